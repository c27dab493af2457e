"""What a chunk changed, in the words of the statistics."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class HourDelta:
    """What one chunk changed in one constituency-hour; every count may be negative."""

    constituency_id: int
    hour: datetime
    bulletins_issued: int = 0
    votes_cast: int = 0
    revotes: int = 0
    transaction_count: int = 0
    failed_count: int = 0
    # Of the register, which belongs to the constituency and not to the hour.
    registered_voters: int = 0
    voters_lists: int = 0
    last_transaction_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LedgerChange:
    """All that one committed chunk changed."""

    deltas: Sequence[HourDelta]
