"""Every read that the API and the pages need, named by what it returns."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from elections.models import Constituency, Election, Region
from elections.queries import as_of_by_election
from metrics.models import HourlyStats
from transactions.queries import Coverage, coverage

ONE_HOUR = timedelta(hours=1)


def has_election(slug: str) -> bool:
    """Tell whether an election has this slug."""
    return Election.objects.filter(slug=slug).exists()


def contract_ids(*, election: str | None = None) -> list[str]:
    """Return the contract ids of all constituencies, or of one election's."""
    constituencies = Constituency.objects.order_by("id")
    if election is not None:
        constituencies = constituencies.filter(election__slug=election)
    return list(constituencies.values_list("contract_id", flat=True))


def hourly_stats() -> "QuerySet[HourlyStats]":
    """Return all hours with their constituency and election, oldest first."""
    rows = HourlyStats.objects.select_related("constituency", "election")
    return rows.order_by("hour", "constituency__contract_id")


@dataclass(frozen=True, slots=True)
class Scope:
    """The constituencies that figures are asked of; None is all."""

    constituency: Constituency | None = None
    election: Election | None = None
    region: Region | None = None

    @property
    def constituencies(self) -> "QuerySet[Constituency]":
        chosen = Constituency.objects.all()
        if self.constituency is not None:
            chosen = chosen.filter(pk=self.constituency.pk)
        if self.election is not None:
            chosen = chosen.filter(election=self.election)
        if self.region is not None:
            chosen = chosen.filter(region=self.region)
        return chosen


def as_of_in(scope: Scope) -> dict[int, datetime]:
    """Return the newest ledger time of every election in `scope`, by its id."""
    return as_of_by_election(scope.constituencies)


def coverage_in(scope: Scope) -> Coverage | None:
    """Return the hour files received and expected of the constituencies in `scope`."""
    return coverage(
        constituency_ids=_id_of(scope.constituency),
        election_ids=_id_of(scope.election),
        region_ids=_id_of(scope.region),
    )


def _id_of(chosen: Constituency | Election | Region | None) -> list[int] | None:
    return None if chosen is None else [chosen.pk]


def velocity(*, count: int, hour: datetime, as_of: datetime | None) -> float | None:
    """Return `count` per hour, over the part of `hour` that has elapsed at `as_of`.

    None where nothing has elapsed.
    """
    elapsed = min(ONE_HOUR, as_of - hour) if as_of is not None else timedelta()
    return count / (elapsed / ONE_HOUR) if elapsed > timedelta() else None
