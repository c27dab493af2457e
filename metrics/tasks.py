"""What Celery runs. Each is safe to run twice, late or never: the rows are the truth."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import wraps

from celery import shared_task
from django.db import transaction

from elections.clock import database_now
from elections.locks import Lock, alone, key_of
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
# What is due may be locked by a loader that has not committed yet, and what is not due
# yet may get company that is.
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 0.05


def _one_at_a_time(task: Callable[[], int]) -> Callable[..., int]:
    """Let a periodic task do nothing while it runs already: of two beats, for example."""

    @wraps(task)
    def run(**_: object) -> int:
        with alone(Lock.PERIODIC_TASK, key_of(task.__name__)) as is_alone:
            return task() if is_alone else 0

    return run


@shared_task(name=PROCESS_UPDATES)
def process_updates(**_: object) -> int:
    """Make the updates that are due, and wait for those that are due within a second.

    Returns how many were made.
    """
    service = MetricsUpdateService()
    ends_at = time.monotonic() + DRAIN_SECONDS
    last = service.process(limit=ROUND_UPDATES, clock=database_now)
    done = last.done
    while time.monotonic() < ends_at:
        pause = _wait_for_next()
        if pause is None:
            if last.is_cut:
                wake_worker()
            return done
        if pause <= LONGEST_PAUSE_SECONDS:
            last = service.process(limit=ROUND_UPDATES, clock=database_now)
            done += last.done
    wake_worker()
    return done


def _wait_for_next() -> float | None:
    """Pause until the next update is due, but not for long; return how long that is.

    None where none is due soon, or another process waits for it already: one is enough,
    and while it works another may wait.
    """
    with alone(Lock.DRAIN) as is_only:
        if is_only:
            return _pause()
    # It may have been leaving just now.
    time.sleep(SHORTEST_PAUSE_SECONDS)
    with alone(Lock.DRAIN) as is_only:
        return _pause() if is_only else None


def _pause() -> float | None:
    seconds = _seconds_to_next()
    if seconds is None or seconds > SOON_SECONDS:
        return None
    time.sleep(min(LONGEST_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, seconds)))
    return seconds


def _seconds_to_next() -> float | None:
    due_at = update_queries.next_due_at()
    return (due_at - database_now()).total_seconds() if due_at else None


@shared_task(name="metrics.refresh_active_elections")
@_one_at_a_time
def refresh_active_elections() -> int:
    """Ask for a refresh of what was not refreshed after it changed, for any reason."""
    now = database_now()
    wanted = [
        Request(f"election:{election_id}")
        for election_id in update_queries.active_election_ids(now)
    ]
    with transaction.atomic():
        MetricsUpdateService().enqueue(wanted, trigger=UpdateTrigger.SCHEDULED, now=now)
    return len(wanted)


@shared_task(name="metrics.watch_feeds")
@_one_at_a_time
def watch_feeds() -> int:
    """Close what has ended and mark the feeds that are silent; return the changes."""
    now = database_now()
    return len(close_ended(now)) + len(mark_silent(now))


@shared_task(name="metrics.prune")
@_one_at_a_time
def prune() -> int:
    """Remove minutes beyond the retention, and finished updates of yesterday."""
    now = database_now()
    removed = MinuteStatsService().prune(now)
    return removed + MetricsUpdateService().prune(
        finished_before=now - timedelta(days=1)
    )


@shared_task(name="metrics.verify_sample")
@_one_at_a_time
def verify_sample() -> int:
    """Compare some constituencies with the ledger; return how many figures differ."""
    return services.verify_sample(count=SAMPLE, now=database_now())
