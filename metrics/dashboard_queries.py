"""Reads for whoever looks at everything at once: the active elections and what stands out."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q

from elections.models import Election, ElectionStatus
from elections.queries import elections_at_a_glance
from metrics.queries import active_constituency_counts
from metrics.sql import statements
from transactions.feed_queries import FeedState, silent_constituencies
from transactions.queries import Coverage, coverage_by_election

# More elections do not run at a time, nor fit on a page.
ELECTIONS_SHOWN = 50
MOVERS_SHOWN = 10
SILENT_SHOWN = 100
ALERTS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class ActiveElection:
    """An election (from `elections_at_a_glance`) and how its constituencies are doing."""

    election: Election
    coverage: Coverage | None
    active_constituency_count: int
    silent_constituency_count: int


@dataclass(frozen=True, slots=True)
class Mover:
    """A constituency in its last completed hour."""

    election: str
    contract_id: str
    name: str
    hour: datetime
    bulletins_issued: int
    votes_cast: int
    participation_rate: float | None


@dataclass(frozen=True, slots=True)
class Overview:
    """The active elections, the newest first, and the silent feeds among them."""

    elections: tuple[ActiveElection, ...]
    # The longest silent first, some of them where there are many.
    silent_feeds: tuple[FeedState, ...]


def overview(*, now: datetime) -> Overview:
    """Return the active elections at a glance, in four queries."""
    active = list(
        elections_at_a_glance().filter(Q(status=ElectionStatus.ACTIVE))[
            :ELECTIONS_SHOWN
        ]
    )
    ids = [election.pk for election in active]
    coverage = coverage_by_election(ids)
    busy = active_constituency_counts(ids)
    silent = silent_constituencies(ids, now=now)
    silent_counts = Counter(feed.election_id for feed in silent)
    longest = sorted(silent, key=lambda feed: (feed.silent_since, feed.contract_id))
    return Overview(
        elections=tuple(
            ActiveElection(
                election,
                coverage.get(election.pk),
                busy.get(election.pk, 0),
                silent_counts[election.pk],
            )
            for election in active
        ),
        silent_feeds=tuple(longest[:SILENT_SHOWN]),
    )


def top_movers(elections: Iterable[Election], *, now: datetime) -> list[Mover]:
    """Return the constituencies with most votes in their last completed hour.

    The ten busiest of each election (from `elections`), in one query. Which hour is the
    last one tells the ledger's clock, or `now` where that is earlier.
    """
    moments = {each: min(now, each.as_of) for each in elections if each.as_of}  # type: ignore[attr-defined]
    slugs = {election.pk: election.slug for election in moments}
    values: dict[str, Any] = {
        "election_ids": list(slugs),
        "moments": list(moments.values()),
        "count": MOVERS_SHOWN,
    }
    with connection.cursor() as cursor:
        cursor.execute(statements["top_movers"], values)
        return [Mover(slugs[pk], *columns) for pk, *columns in cursor.fetchall()]
