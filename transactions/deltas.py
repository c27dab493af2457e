"""What a chunk changed, in the words of the statistics."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

ONE_MINUTE = timedelta(minutes=1)
# Minutes are written and kept for this much longer than they are read, so that no clock
# of another machine, and no chunk that was long on its way, leaves one half counted.
MINUTE_MARGIN = timedelta(hours=1)


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
class MinuteDelta:
    """What one chunk changed in one constituency-minute; every count may be negative."""

    constituency_id: int
    minute: datetime
    bulletins_issued: int = 0
    votes_cast: int = 0
    revotes: int = 0
    transaction_count: int = 0
    failed_count: int = 0


@dataclass(frozen=True, slots=True)
class LedgerChange:
    """All that one committed chunk changed."""

    deltas: Sequence[HourDelta]
    # The loader's clock.
    now: datetime
    # Only those inside the retention, and only where a count changed.
    minutes: Sequence[MinuteDelta] = ()


def minutes_exact_since(now: datetime) -> datetime:
    """Return the first minute from which on every minute is counted at `now`."""
    since = now - timedelta(hours=settings.MINUTE_RETENTION_HOURS)
    return since.replace(second=0, microsecond=0) + ONE_MINUTE


def minutes_written_since(now: datetime) -> datetime:
    """Return the first minute that is still written, and not yet pruned, at `now`."""
    return minutes_exact_since(now) - MINUTE_MARGIN
