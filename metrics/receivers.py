"""Listens to what the ledger announces."""

import math
from collections.abc import Collection

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save

from elections.clock import database_now
from elections.models import Constituency, Election, MachineToken, Region
from elections.signals import registry_changed
from elections.tags import ACCOUNTS, tags_of
from metrics import update_queries
from metrics.cache import metrics_cache
from metrics.services import HourlyStatsService, MetricsUpdateService
from metrics.services.freshness import (
    Places,
    forget_everything,
    forget_places,
    forget_tags,
)
from metrics.services.minutes import MinuteStatsService
from metrics.services.update_handlers import register_handlers, tell
from metrics.services.wake_up import wake_worker
from transactions.deltas import LedgerChange
from transactions.services import back_pressure
from transactions.signals import ledger_changed, ledger_committed


def connect() -> None:
    """Start to listen; called once, when the apps are ready."""
    ledger_changed.connect(count_changes, dispatch_uid="metrics.count_changes")
    ledger_committed.connect(forget_chunk, dispatch_uid="metrics.forget_chunk")
    registry_changed.connect(forget_registry, dispatch_uid="metrics.forget_registry")
    # Whatever staff do: an admin form, an import of a table, a shell.
    for model in (Region, Election, Constituency):
        for signal in (post_save, post_delete):
            name = f"metrics.forget.{model.__name__}.{id(signal)}"
            signal.connect(forget_edited, sender=model, dispatch_uid=name)
    for account in (get_user_model(), Group, MachineToken):
        for signal in (post_save, post_delete):
            name = f"metrics.forget.{account.__name__}.{id(signal)}"
            signal.connect(forget_accounts, sender=account, dispatch_uid=name)
    m2m_changed.connect(
        forget_accounts,
        sender=get_user_model().groups.through,
        dispatch_uid="metrics.forget.membership",
    )
    register_handlers()
    back_pressure.register(seconds_until_caught_up)


def count_changes(*, change: LedgerChange, **_: object) -> None:
    """Bring statistics and totals up to date with a chunk, and ask for their refresh.

    Last of all that the chunk's transaction does.
    """
    now = database_now()
    HourlyStatsService().apply(change.deltas, now=now)
    MinuteStatsService().apply(change.minutes)
    touched = {delta.constituency_id for delta in change.deltas}
    tell(update_queries.live_totals(touched))
    MetricsUpdateService().enqueue_changes(change.deltas, now=now)
    transaction.on_commit(wake_worker, robust=True)


def forget_chunk(*, places: Places, **_: object) -> None:
    """End the answers that a chunk made old: it is committed."""
    metrics_cache().invalidate(tags_of(places))


def forget_registry(*, places: Collection[tuple[str, str]], **_: object) -> None:
    """End the answers about constituencies that got another status, or are new."""
    if places:
        forget_places(places)
    else:
        forget_everything()


def forget_edited(**_: object) -> None:
    """End all answers: a region, an election or what a constituency was is in many."""
    forget_everything()


def forget_accounts(**_: object) -> None:
    """End what is kept of who may do what."""
    forget_tags([ACCOUNTS])


def seconds_until_caught_up() -> int | None:
    """Return how long rows should wait while the queue is too old, None while it is not.

    As long as it is old already, a minute at most.
    """
    age = update_queries.queue_age(database_now()).total_seconds()
    if age <= settings.BACK_PRESSURE_SECONDS:
        return None
    return min(60, math.ceil(age))
