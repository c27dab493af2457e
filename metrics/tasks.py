"""What Celery runs. Each is safe to run twice, late or never: the rows are the truth."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from celery import shared_task
from django.db import connection, transaction
from django.utils import timezone

from metrics import services, update_queries
from metrics.models import UpdateTrigger
from metrics.services import MetricsUpdateService, MinuteStatsService, Request
from metrics.services.wake_up import PROCESS_UPDATES, wake_worker
from transactions.services import close_ended, mark_silent

ROUND_UPDATES = 200
# Constituencies compared per hour: a second or two, where they are of common size.
SAMPLE = 20
# A task that waits for what is due soon keeps others from its process: not for long.
DRAIN_SECONDS = 5.0
# Coalescing delays updates by a second; the sweep finds what is due later.
SOON_SECONDS = 1.5
# What is due may be locked by a loader that has not committed yet.
SHORTEST_PAUSE_SECONDS = 0.02
# Of the advisory locks of this project, see transactions/services/intake.py.
PERIODIC_LOCK = 7_302_003
DRAIN_LOCK = 7_302_004


@shared_task(name=PROCESS_UPDATES)
def process_updates(**_: object) -> int:
    """Make the updates that are due, and wait for those that are due within a second.

    Returns how many were made.
    """
    service = MetricsUpdateService()
    ends_at = time.monotonic() + DRAIN_SECONDS
    done = service.process(limit=ROUND_UPDATES, clock=timezone.now).done
    with _only_one(DRAIN_LOCK) as is_only:
        # One process waits; the others are free for what comes meanwhile.
        while is_only and time.monotonic() < ends_at:
            pause = _seconds_to_next()
            if pause is None or pause > SOON_SECONDS:
                return done
            time.sleep(max(SHORTEST_PAUSE_SECONDS, pause))
            done += service.process(limit=ROUND_UPDATES, clock=timezone.now).done
    if is_only:
        wake_worker()
    return done


@shared_task(name="metrics.refresh_active_elections")
def refresh_active_elections(**_: object) -> int:
    """Ask for a refresh of what was not refreshed after it changed, for any reason."""
    now = timezone.now()
    with _only_run("refresh_active_elections") as is_only:
        if not is_only:
            return 0
        wanted = [
            Request(f"election:{election_id}")
            for election_id in update_queries.active_election_ids(now)
        ]
        MetricsUpdateService().enqueue(wanted, trigger=UpdateTrigger.SCHEDULED, now=now)
    return len(wanted)


@shared_task(name="metrics.watch_feeds")
def watch_feeds(**_: object) -> int:
    """Close what has ended and mark the feeds that are silent; return the changes."""
    now = timezone.now()
    return len(close_ended(now)) + len(mark_silent(now))


@shared_task(name="metrics.prune")
def prune(**_: object) -> int:
    """Remove minutes beyond the retention, and finished updates of yesterday."""
    now = timezone.now()
    removed = MinuteStatsService().prune(now)
    return removed + MetricsUpdateService().prune(
        finished_before=now - timedelta(days=1)
    )


@shared_task(name="metrics.verify_sample")
def verify_sample(**_: object) -> int:
    """Compare some constituencies with the ledger; return how many figures differ."""
    return services.verify_sample(count=SAMPLE, now=timezone.now())


def _seconds_to_next() -> float | None:
    due_at = update_queries.next_due_at()
    return (due_at - timezone.now()).total_seconds() if due_at else None


@contextmanager
def _only_run(task: str) -> Iterator[bool]:
    """Open a transaction; tell whether no other beat's run of `task` is in one."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [PERIODIC_LOCK, task]
        )
        yield bool(cursor.fetchone()[0])


@contextmanager
def _only_one(lock: int) -> Iterator[bool]:
    """Tell whether this session alone holds `lock`, until the end of the block."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [lock])
        is_only = bool(cursor.fetchone()[0])
    try:
        yield is_only
    finally:
        if is_only:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [lock])
