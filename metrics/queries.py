"""Every read that the API and the pages need, named by what it returns."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db import connection
from django.db.models import (
    Count,
    Exists,
    ExpressionWrapper,
    F,
    FloatField,
    OuterRef,
    QuerySet,
)
from django.db.models.functions import Cast, NullIf

from elections.models import Constituency, Election, Region
from elections.queries import TOTALS, as_of_by_election, constituencies
from metrics.models import HourlyStats
from metrics.sql import statements
from transactions.queries import Coverage, coverage, coverage_by_constituency

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


# As the services compute it, to the last digit.
ABANDONMENT_RATE = ExpressionWrapper(
    Cast(F("bulletins_issued") - F("votes_cast"), FloatField())
    * 100
    / NullIf(F("bulletins_issued"), 0),
    output_field=FloatField(null=True),
)
# What a table of constituencies may show, and where it stands.
TABLE_COLUMNS = {
    "contract_id": "contract_id",
    "name": "name",
    "region": "region__code",
    "district": "district",
    "status": "status",
    "registered_voters": "registered_voters",
    **{name: name for name in TOTALS},
    "participation_rate": "participation_rate",
    "abandonment_rate": "abandonment_rate",
    "anomaly_count": "anomaly_count",
    "anomaly_score": "anomaly_score",
    "last_transaction_at": "last_transaction_at",
    "version": "version",
}


def constituencies_with_rates() -> "QuerySet[Constituency]":
    """Return all constituencies by contract id, with `abandonment_rate`."""
    return constituencies().annotate(abandonment_rate=ABANDONMENT_RATE)


@dataclass(frozen=True, slots=True)
class Table:
    """Figures of all constituencies of an election, a list per column."""

    as_of: datetime | None
    count: int
    columns: dict[str, list[Any]]


def constituency_table(election_id: int, names: Iterable[str]) -> Table:
    """Return columns of an election's constituencies, by contract id, in one query.

    Names are those of TABLE_COLUMNS. `as_of` is the newest ledger time among the rows.
    """
    wanted = ["last_transaction_at", *names]
    rows = list(
        constituencies_with_rates()
        .filter(election=election_id)
        .values_list(*(TABLE_COLUMNS[name] for name in wanted))
    )
    moments, *columns = zip(*rows, strict=True) if rows else ([] for _ in wanted)
    return Table(
        as_of=max((moment for moment in moments if moment), default=None),
        count=len(rows),
        columns=dict(zip(wanted[1:], map(list, columns), strict=True)),
    )


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


def is_simulated_in(scope: Scope) -> bool:
    """Tell whether any election in `scope` is not a real one."""
    return scope.constituencies.filter(election__is_simulated=True).exists()


def _id_of(chosen: Constituency | Election | Region | None) -> list[int] | None:
    return None if chosen is None else [chosen.pk]


def velocity(*, count: int, hour: datetime, as_of: datetime | None) -> float | None:
    """Return `count` per hour, over the part of `hour` that has elapsed at `as_of`.

    None where nothing has elapsed.
    """
    elapsed = min(ONE_HOUR, as_of - hour) if as_of is not None else timedelta()
    return count / (elapsed / ONE_HOUR) if elapsed > timedelta() else None


class Unit(StrEnum):
    """What hours are added up by; all but the first three are periods."""

    TOTAL = "total"
    HOUR_OF_DAY = "hour_of_day"
    WEEKDAY = "weekday"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


PERIODS = frozenset({Unit.HOUR, Unit.DAY, Unit.WEEK, Unit.MONTH})
# More than a year: nobody votes for longer, and nobody reads more rows.
HOURS_AT_MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HoursAsked:
    """Whose hours are added up: constituencies, each by itself, or whole elections."""

    ids: Collection[int]
    are_elections: bool = False
    # Constituencies that the newest ledger time of their election holds for, since their
    # hour files tell what came; others have only their own. And these elections.
    on_election_time: Collection[int] = ()
    election_ids: Collection[int] = ()
    # Start of every hour whose file should be there and is not, with its scope's id.
    missing: Collection[tuple[int, datetime]] = ()
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class HoursSum:
    """What the hours of one scope add up to, in all, in one period or in one slot.

    A completed hour is over at `as_of` and not before the first one with a transaction;
    an empty one whose file is missing is a gap and no completed hour.
    """

    scope_id: int
    unit: Unit
    zone: str
    as_of: datetime | None
    # More than HOURS_AT_MOST: nobody looks at them one by one, so none is completed.
    is_too_long: bool
    # Of the scope, whatever the period. Known registers only, with their number.
    registered_voters: int | None
    register_constituency_count: int
    constituency_count: int
    anomaly_score: float | None
    # One of its instants, not necessarily its start: a clock may show midnight twice.
    period: datetime | None
    # Hour of day 0 to 23, or weekday 1 (Monday) to 7.
    slot: int | None
    bulletins_issued: int
    votes_cast: int
    revotes: int
    transaction_count: int
    failed_count: int
    anomaly_count: int
    # Votes of constituencies whose register is known; also those before `start`.
    registered_votes: int
    earlier_registered_votes: int
    missing_count: int
    completed_count: int
    completed_bulletins: int
    completed_votes: int
    peak_hour: datetime | None
    peak_hour_votes: int | None
    vote_velocity_trend: float | None
    bulletin_velocity_trend: float | None


def hours_sums(asked: HoursAsked, *units: Unit) -> dict[Unit, list[HoursSum]]:
    """Return the hours added up by each unit, by scope and in order, in one query.

    With Unit.TOTAL one row for each scope, else none for scopes without an hour. Slots
    and periods are those of the scope's zone; empty ones between others have rows, and
    periods have from `start` on. The cost grows with the hours, not with the ledger.
    """
    values: dict[str, Any] = {
        "ids": list(asked.ids),
        "are_elections": asked.are_elections,
        "on_election_time": list(asked.on_election_time),
        "election_ids": list(asked.election_ids),
        "missing_ids": [scope_id for scope_id, _ in asked.missing],
        "missing_hours": [hour for _, hour in asked.missing],
        "start": asked.start,
        "end": asked.end,
        "longest": HOURS_AT_MOST * ONE_HOUR,
        "units": list(units),
        "from_start": not PERIODS.isdisjoint(units),
    }
    sums: dict[Unit, list[HoursSum]] = {unit: [] for unit in units}
    with connection.cursor() as cursor:
        cursor.execute(statements["sum_hours"], values)
        for scope_id, unit, *columns in cursor.fetchall():
            row = HoursSum(scope_id, Unit(unit), *columns)
            if unit == Unit.TOTAL or (row.period, row.slot) != (None, None):
                sums[row.unit].append(row)
    return sums


def silent_hours(election_id: int) -> list[datetime]:
    """Return the hours, in the zone of the exports, of which an election has no file.

    Only those in which at least one constituency with hour files was open.
    """
    with connection.cursor() as cursor:
        of_election: dict[str, Any] = {"election_id": election_id}
        cursor.execute(statements["windows_of_election"], of_election)
        windows = coverage_by_constituency([pk for (pk,) in cursor.fetchall()])
        hours = sorted({hour for window in windows.values() for hour in window.missing})
        cursor.execute(statements["silent_hours"], of_election | {"hours": hours})
        return [hour for (hour,) in cursor.fetchall()]


def active_constituency_counts(
    election_ids: Iterable[int],
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> dict[int, int]:
    """Return how many constituencies had a transaction in the period, by election.

    Elections without any are left out.
    """
    hours = HourlyStats.objects.filter(
        constituency=OuterRef("pk"), transaction_count__gt=0
    )
    if start is not None:
        hours = hours.filter(hour__gte=start)
    if end is not None:
        hours = hours.filter(hour__lt=end)
    active = Constituency.objects.filter(Exists(hours), election__in=list(election_ids))
    counts = active.order_by("election").values_list("election")
    return dict(counts.annotate(number=Count("pk")))


def anomaly_score(constituency_id: int) -> float | None:
    """Return the stored score, 0 to 1; None where nobody has evaluated it."""
    scores = Constituency.objects.values_list("anomaly_score", flat=True)
    return scores.get(pk=constituency_id)
