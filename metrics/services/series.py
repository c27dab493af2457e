"""The minutes of whole elections, counted by the worker for the hours that changed."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction

from elections.locks import NotInTransaction
from metrics.sql import statements
from transactions.deltas import minutes_exact_since

ONE_HOUR = timedelta(hours=1)
# Of the advisory locks of this project, with the election as its second half: one
# worker counts the series of an election at a time.
SERIES_LOCK = 7_302_005


def lock_series(election_id: int) -> None:
    """Keep others from writing the minutes of this election until the transaction ends.

    Raises:
        NotInTransaction: no transaction is open, so the lock would hold nothing.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction("Lock a series inside transaction.atomic().")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, %s)", [SERIES_LOCK, election_id]
        )


def try_lock_series(election_id: int) -> bool:
    """Do as `lock_series` where nobody holds it; tell whether it is held now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(%s, %s)", [SERIES_LOCK, election_id]
        )
        return bool(cursor.fetchone()[0])


class SeriesService:
    """Keeps ElectionMinute equal to what its constituencies did, hour by hour."""

    def rebuild(
        self, election_id: int, hours: Iterable[datetime], *, now: datetime
    ) -> int:
        """Count the minutes of these hours again; return how many were changed.

        An hour that begins between two hours of UTC stands for both that it touches.
        What the retention of MinuteStats holds is read from there, older hours from the
        ledger, in one read for all of them.
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
            # In a statement of its own: the next one then sees what the holder before
            # has counted, and a worker that counted less cannot be the last to write.
            lock_series(election_id)
            with connection.cursor() as cursor:
                cursor.execute(statements["rebuild_series"], values)
                (changed,) = cursor.fetchone()
        return int(changed)


def _utc_hours(hours: Iterable[datetime]) -> list[datetime]:
    """Return the hours of UTC that `hours` touch, in order."""
    touched = set()
    for hour in hours:
        for instant in (hour, hour + ONE_HOUR - timedelta.resolution):
            in_utc = instant.astimezone(UTC)
            touched.add(in_utc.replace(minute=0, second=0, microsecond=0))
    return sorted(touched)
