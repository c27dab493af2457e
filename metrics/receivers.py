"""Listens to what the ledger announces."""

import math

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from metrics import update_queries
from metrics.services import HourlyStatsService, MetricsUpdateService
from metrics.services.minutes import MinuteStatsService
from metrics.services.update_handlers import register_handlers, tell
from metrics.services.wake_up import wake_worker
from transactions.deltas import LedgerChange
from transactions.services import back_pressure
from transactions.signals import ledger_changed


def connect() -> None:
    """Start to listen; called once, when the apps are ready."""
    ledger_changed.connect(count_changes, dispatch_uid="metrics.count_changes")
    register_handlers()
    back_pressure.register(seconds_until_caught_up)


def count_changes(*, change: LedgerChange, **_: object) -> None:
    """Bring statistics and totals up to date with a chunk, and ask for their refresh.

    Last of all that the chunk's transaction does.
    """
    now = timezone.now()
    HourlyStatsService().apply(change.deltas, now=now)
    MinuteStatsService().apply(change.minutes)
    touched = {delta.constituency_id for delta in change.deltas}
    tell(update_queries.live_totals(touched))
    MetricsUpdateService().enqueue_changes(change.deltas, now=now)
    transaction.on_commit(wake_worker, robust=True)


def seconds_until_caught_up() -> int | None:
    """Return how long rows should wait while the queue is too old, None while it is not.

    As long as it is old already, a minute at most.
    """
    age = update_queries.queue_age(timezone.now()).total_seconds()
    if age <= settings.BACK_PRESSURE_SECONDS:
        return None
    return min(60, math.ceil(age))
