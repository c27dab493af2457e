"""What is done for each kind of update.

constituency:<id>  refresh its derived metrics, then ask for what depends on them
election:<id>      refresh the constituencies of an election that need it, or all of them
totals:<id>        tell an election's totals
series:<id>        count an election's recent minutes again
history:<id>       the same for hours beyond the retention, in one read of the ledger
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import structlog
from django.db import connection, transaction

from elections.models import Election
from elections.tags import election_tag
from metrics import events, update_queries
from metrics.models import UpdateTrigger
from metrics.services.constituency_metrics import ConstituencyMetricsService
from metrics.services.freshness import forget_constituencies, forget_tags
from metrics.services.series import SeriesService
from metrics.services.updates import (
    PRIORITIES,
    ClaimedUpdate,
    MetricsUpdateService,
    Request,
    register,
    register_for_many,
)
from metrics.signals import metrics_refreshed
from metrics.sql import statements
from metrics.update_queries import LiveTotals
from transactions.deltas import minutes_exact_since

logger = structlog.get_logger(__name__)

# Refreshes of constituencies come by the hundred; their election follows once for all.
ELECTION_DELAY_SECONDS = 0.5
# One read of the whole ledger serves all old hours that a bulk load touches meanwhile.
HISTORY_DELAY_SECONDS = 30.0


def register_handlers() -> None:
    """Let the update service know them; called once, when the apps are ready."""
    register_for_many("constituency", refresh_constituencies)
    register("election", refresh_members)
    register("totals", tell_election)
    register("series", rebuild_series)
    register("history", rebuild_series, takes_long=True)


def refresh_constituencies(updates: Sequence[ClaimedUpdate], now: datetime) -> None:
    """Refresh constituencies, tell their totals, and ask for their elections' figures."""
    asked: dict[int, list[ClaimedUpdate]] = {}
    for update in updates:
        asked.setdefault(int(update.key), []).append(update)
    refreshed = ConstituencyMetricsService().refresh_many(asked, now=now)
    # Before the events: whoever hears of a change and asks gets it. And again for loaders
    # that were killed between their commit and this.
    forget_constituencies(asked)
    by_election: dict[int, list[ClaimedUpdate]] = {}
    for one in refreshed:
        by_election.setdefault(one.election_id, []).extend(
            asked.pop(one.constituency_id)
        )
    # What is left was deleted since: there is nothing to refresh.
    for constituency_id in asked:
        logger.info("The constituency is gone", constituency_id=constituency_id)
    if by_election:
        # Evaluations are asked for here: in the order of scopes, so that no two who ask
        # for several can deadlock.
        metrics_refreshed.send(
            sender=ConstituencyMetricsService,
            hours={
                election_id: {hour for update in updates for hour in update.hours}
                for election_id, updates in by_election.items()
            },
            now=now,
        )
        _enqueue_dependents(by_election, now)
    tell(update_queries.live_totals([one.constituency_id for one in refreshed]))


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
    if is_all:
        hours = update_queries.hours_of_election(election_id)
        MetricsUpdateService().enqueue(
            _counts_of_minutes(election_id, hours, now),
            trigger=UpdateTrigger.MANUAL,
            now=now,
        )


def tell_election(update: ClaimedUpdate, now: datetime) -> None:
    """Publish an election's totals."""
    totals = update_queries.live_election_totals(int(update.key))
    tell([totals] if totals else [])


def rebuild_series(update: ClaimedUpdate, now: datetime) -> None:
    """Count an election's minutes of the hours that changed again.

    Those beyond the retention are a kind of their own: one that may read the whole ledger.
    """
    election_id = int(update.key)
    SeriesService().rebuild(election_id, update.hours, now=now)
    for slug in Election.objects.filter(pk=election_id).values_list("slug", flat=True):
        forget_tags([election_tag(slug)])


def tell(totals: Iterable[LiveTotals]) -> None:
    """Publish totals once the transaction is committed, never before."""
    tell_events(
        events.Event(one.election, events.METRICS, one.content, one.is_of_election)
        for one in totals
    )


def tell_events(wanted: Iterable[events.Event]) -> None:
    """Publish events once the transaction is committed, never before."""
    told = list(wanted)

    # No partial: Django names a robust hook that failed, and a partial has no name.
    def publish() -> None:
        events.publish(told)

    transaction.on_commit(publish, robust=True)


def _enqueue_dependents(
    by_election: Mapping[int, Sequence[ClaimedUpdate]], now: datetime
) -> None:
    """Ask for all at once: in one order of scopes, so that two workers cannot deadlock."""
    wanted = [
        request
        for election_id, updates in by_election.items()
        for request in _dependents(
            election_id, {hour for update in updates for hour in update.hours}, now
        )
    ]
    most_urgent = min(
        (update for updates in by_election.values() for update in updates),
        key=lambda update: update.priority,
    )
    MetricsUpdateService().enqueue(
        wanted, trigger=UpdateTrigger(most_urgent.trigger), now=now
    )


def _dependents(
    election_id: int, hours: Collection[datetime], now: datetime
) -> Iterator[Request]:
    yield Request(f"totals:{election_id}", (), ELECTION_DELAY_SECONDS)
    yield from _counts_of_minutes(
        election_id, hours, now, ELECTION_DELAY_SECONDS, HISTORY_DELAY_SECONDS
    )


def _counts_of_minutes(
    election_id: int,
    hours: Collection[datetime],
    now: datetime,
    recent_delay_seconds: float = 0,
    past_delay_seconds: float = 0,
) -> Iterator[Request]:
    kept_since = minutes_exact_since(now)
    recent = sorted(hour for hour in hours if hour >= kept_since)
    past = sorted(hour for hour in hours if hour < kept_since)
    if recent:
        yield Request(f"series:{election_id}", recent, recent_delay_seconds)
    if past:
        yield Request(f"history:{election_id}", past, past_delay_seconds)
