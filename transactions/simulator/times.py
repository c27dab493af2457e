"""Instants as milliseconds since 1970 UTC, and the hours they fall into."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np

from transactions.simulator.randomness import Ints

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# What the labels in file names are written in. The real zone of the label is stated
# nowhere (DOMAIN 4); Moscow time is the simulator's choice.
LABEL_ZONE = timezone(timedelta(hours=3))


def to_ms(moment: datetime) -> int:
    """Return the milliseconds of an aware instant."""
    return round(moment.timestamp() * SECOND)


def to_datetime(ms: int) -> datetime:
    """Return the instant in UTC."""
    return datetime.fromtimestamp(ms // SECOND, tz=UTC) + timedelta(
        milliseconds=ms % SECOND
    )


def iso(ms: int) -> str:
    """Return the instant as ISO 8601 in UTC, to the second."""
    return to_datetime(ms).strftime("%Y-%m-%dT%H:%M:%SZ")


def ledger_date(ms: int) -> str:
    """Return a date as VOTING_BASE writes it: UTC, without a zone."""
    return to_datetime(ms).strftime("%d-%m-%Y %H:%M:%S")


def hours_in(zone: ZoneInfo, moments: Ints) -> Ints:
    """Return the start of the hour of `zone` that each instant lies in.

    Offsets are looked up once per quarter of an hour of UTC: no zone changes its clock
    within one.
    """
    quarters, place = np.unique(moments // (15 * MINUTE), return_inverse=True)
    offsets = np.array(
        [_offset(zone, int(quarter) * 15 * MINUTE) for quarter in quarters.tolist()],
        dtype=np.int64,
    )[place]
    return (moments + offsets) // HOUR * HOUR - offsets


def hour_in(zone: ZoneInfo, moment: int) -> int:
    """Return the start of the hour of `zone` that one instant lies in."""
    return int(hours_in(zone, np.array([moment], dtype=np.int64))[0])


def _offset(zone: ZoneInfo, ms: int) -> int:
    offset = to_datetime(ms).astimezone(zone).utcoffset() or timedelta()
    return int(offset.total_seconds()) * SECOND
