"""The minutes of whole elections, counted by the worker for the hours that changed."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from elections.locks import Lock, key_of, lock_until_commit, try_share_until_commit
from metrics.services.updates import NotNow
from metrics.sql import statements
from transactions.deltas import minutes_exact_since

ONE_HOUR = timedelta(hours=1)
# Four weeks: longer than people vote. The server has room for some thousand locks.
LOCKED_HOURS = 4 * 7 * 24
DELETED_SECONDS = 1.0
# A ledger that was loaded a minute ago has the planner's statistics of an empty one: a
# nested loop over it and its constituencies would take minutes instead of a second.
NO_NESTED_LOOP, NESTED_LOOP = (
    "SET LOCAL enable_nestloop = off",
    "SET LOCAL enable_nestloop = on",
)


class SeriesService:
    """Keeps ElectionMinute equal to what its constituencies did, hour by hour."""

    def rebuild(
        self, election_id: int, hours: Iterable[datetime], *, now: datetime
    ) -> int:
        """Count the minutes of these hours again; return how many were changed.

        An hour that begins between two hours of UTC stands for both that it touches.
        What the retention of MinuteStats holds is read from there, older hours from the
        ledger, in one read for all of them.

        Raises:
            NotNow: the election is being deleted.
        """
        wanted = _utc_hours(hours)
        if not wanted:
            return 0
        exact_since = minutes_exact_since(now)
        past = [hour for hour in wanted if hour < exact_since]
        values: dict[str, Any] = {
            "election_id": election_id,
            "recent": [hour for hour in wanted if hour >= exact_since],
            "past": past,
            "past_start": past[0] if past else None,
            "past_end": past[-1] + ONE_HOUR if past else None,
        }
        with transaction.atomic():
            # Not waited for: a deletion waits for what this worker has in hand.
            if not try_share_until_commit(Lock.SERIES, election_id):
                raise NotNow("The election is being deleted.", seconds=DELETED_SECONDS)
            # In a statement of its own: the next one then sees what the holder before
            # has counted, and a worker that counted less cannot be the last to write. By
            # the hour: live ones do not wait for a read of the whole ledger.
            lock_until_commit(Lock.SERIES_HOUR, *_lock_keys(election_id, wanted))
            with connection.cursor() as cursor:
                cursor.execute(NO_NESTED_LOOP)
                cursor.execute(statements["rebuild_series"], values)
                (changed,) = cursor.fetchone()
                cursor.execute(NESTED_LOOP)
        return int(changed)


def _lock_keys(election_id: int, hours: Iterable[datetime]) -> set[int]:
    """Return what to lock these hours of UTC by.

    Hours that are `LOCKED_HOURS` apart share a key.
    """
    numbers = {int(hour.timestamp()) // 3_600 % LOCKED_HOURS for hour in hours}
    return {key_of(f"{election_id} {number}") for number in numbers}


def _utc_hours(hours: Iterable[datetime]) -> list[datetime]:
    """Return the hours of UTC that `hours` touch, in order."""
    touched = set()
    for hour in hours:
        for instant in (hour, hour + ONE_HOUR - timedelta.resolution):
            in_utc = instant.astimezone(UTC)
            touched.add(in_utc.replace(minute=0, second=0, microsecond=0))
    return sorted(touched)
