"""What is done for each kind of update.

constituency:<id>  refresh its derived metrics, then ask for what depends on them
election:<id>      refresh the constituencies of an election that need it, or all of them
totals:<id>        tell an election's totals
series:<id>        count an election's recent minutes again
history:<id>       the same for hours beyond the retention, in one read of the ledger
"""

from collections.abc import Iterable
from datetime import datetime

import structlog
from django.db import connection, transaction

from metrics import events, update_queries
from metrics.models import UpdateTrigger
from metrics.services.constituency_metrics import ConstituencyMetricsService
from metrics.services.hourly_stats import UnknownConstituency
from metrics.services.series import SeriesService, try_lock_series
from metrics.services.updates import (
    PRIORITIES,
    ClaimedUpdate,
    MetricsUpdateService,
    Request,
    register,
)
from metrics.sql import statements
from metrics.update_queries import LiveTotals
from transactions.deltas import minutes_exact_since

logger = structlog.get_logger(__name__)

# Refreshes of constituencies come by the hundred; their election follows once for all.
ELECTION_DELAY_SECONDS = 0.5
# One read of the whole ledger serves all old hours that a bulk load touches meanwhile.
HISTORY_DELAY_SECONDS = 30.0
SERIES_TAKEN_DELAY_SECONDS = 1.0


def register_handlers() -> None:
    """Let the update service know them; called once, when the apps are ready."""
    register("constituency", refresh_constituency)
    register("election", refresh_members)
    register("totals", tell_election)
    register("series", rebuild_series)
    register("history", rebuild_series)


def refresh_constituency(update: ClaimedUpdate, now: datetime) -> None:
    """Refresh a constituency, tell its totals, and ask for its election's figures."""
    constituency_id = int(update.key)
    try:
        ConstituencyMetricsService().refresh(constituency_id, now=now)
    except UnknownConstituency:
        # Deleted since: there is nothing left to refresh.
        logger.info("The constituency is gone", scope=update.scope)
        return
    for totals in update_queries.live_totals([constituency_id]):
        _enqueue_dependents(totals.election_id, update, now)
        tell([totals])


def refresh_members(update: ClaimedUpdate, now: datetime) -> None:
    """Ask for a refresh of an election's constituencies.

    Of all where a person asked, else of those whose refresh was lost.
    """
    election_id = int(update.key)
    is_all = update.trigger == UpdateTrigger.MANUAL
    with connection.cursor() as cursor:
        cursor.execute(
            statements["enqueue_members"],
            {
                "election_id": election_id,
                "is_all": is_all,
                "trigger": update.trigger,
                "priority": PRIORITIES[UpdateTrigger(update.trigger)],
                "now": now,
            },
        )
    if is_all and (hours := update_queries.hours_of_election(election_id)):
        MetricsUpdateService().enqueue(
            [Request(f"history:{election_id}", hours)],
            trigger=UpdateTrigger.MANUAL,
            now=now,
        )


def tell_election(update: ClaimedUpdate, now: datetime) -> None:
    """Publish an election's totals."""
    totals = update_queries.live_election_totals(int(update.key))
    tell([totals] if totals else [])


def rebuild_series(update: ClaimedUpdate, now: datetime) -> None:
    """Count an election's minutes of the hours that changed again.

    Later where another worker is at it: it may read the whole ledger, and this process
    has constituencies to refresh.
    """
    election_id = int(update.key)
    if try_lock_series(election_id):
        SeriesService().rebuild(election_id, update.hours, now=now)
        return
    MetricsUpdateService().enqueue(
        [Request(update.scope, update.hours, SERIES_TAKEN_DELAY_SECONDS)],
        trigger=UpdateTrigger(update.trigger),
        now=now,
    )


def tell(totals: Iterable[LiveTotals]) -> None:
    """Publish totals once the transaction is committed, never before."""
    told = [events.Event(one.election, events.METRICS, one.content) for one in totals]

    # No partial: Django names a robust hook that failed, and a partial has no name.
    def publish() -> None:
        events.publish(told)

    transaction.on_commit(publish, robust=True)


def _enqueue_dependents(election_id: int, update: ClaimedUpdate, now: datetime) -> None:
    kept_since = minutes_exact_since(now)
    recent = [hour for hour in update.hours if hour >= kept_since]
    past = [hour for hour in update.hours if hour < kept_since]
    wanted = [Request(f"totals:{election_id}", (), ELECTION_DELAY_SECONDS)]
    if recent:
        wanted.append(Request(f"series:{election_id}", recent, ELECTION_DELAY_SECONDS))
    if past:
        wanted.append(Request(f"history:{election_id}", past, HISTORY_DELAY_SECONDS))
    MetricsUpdateService().enqueue(
        wanted, trigger=UpdateTrigger(update.trigger), now=now
    )
