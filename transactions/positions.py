"""Positions: the order that decides which statement about a transaction holds.

A position is one integer, so that the database compares it at once: from the highest
bit down, whether an hourly file said it (one bit), the start of its interval in minutes
since 1970 (28 bits) and the ordinal among the statements about the same transaction in
the same file, from 1 (34 bits). Whole-contract dumps, plain columns and API rows have no
interval: they take the UTC hour of the time stamp, and hourly files outrank them.
The highest position holds; on a tie "rolled back" holds (`DOMAIN.md` 3).
"""

from datetime import datetime
from typing import TypeVar

import polars as pl

Milliseconds = TypeVar("Milliseconds", int, pl.Series)

ORDINAL_BITS = 34
INTERVAL_BITS = 28
HOURLY_FILE = 1 << (ORDINAL_BITS + INTERVAL_BITS)
MILLISECONDS_PER_MINUTE = 60_000
MINUTES_PER_HOUR = 60


def interval_base(interval: datetime) -> int:
    """Return the position before the first statement of an hourly file."""
    minutes = int(interval.timestamp()) // 60
    return HOURLY_FILE | minutes << ORDINAL_BITS


def hour_base(timestamp_ms: Milliseconds) -> Milliseconds:
    """Return the position before the first statement in the UTC hour of a time stamp.

    A column of time stamps gives a column of positions.
    """
    minutes = timestamp_ms // MILLISECONDS_PER_MINUTE
    return (minutes - minutes % MINUTES_PER_HOUR) * (1 << ORDINAL_BITS)
