"""From the rows of the database to the panels that the rules of flow compare."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from zoneinfo import ZoneInfo

import numpy as np

from anomalies.queries import FlowRow
from anomalies.rules.ballots import electorates
from anomalies.rules.panels import Ints, Panel, Truths
from elections.names import normalise

ONE_HOUR = timedelta(hours=1)
# The column of a close that nobody tells: beyond any vote.
FOREVER = 10_000
# Longer than any vote: one time stamp that is years off must not make a panel of years.
MOST_HOURS = 45 * 24
# After the last close only late rows come, which belong to no hour of the vote.
AFTER_CLOSE = timedelta(days=1)
# Further ballots of a district are told from the first by this, as published.
BALLOT_SUFFIX = re.compile(r"_\d+$")


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of the contracts per constituency and hour; 0 in hours that nobody knows."""

    rejected: Ints
    accepted: Ints


@dataclass(frozen=True, slots=True)
class Panels:
    """Both series of an election up to the hour that was evaluated."""

    first_hour: datetime
    # Primary keys of the constituencies and of their regions (0: none), row by row.
    ids: Ints
    regions: Ints
    panels: dict[str, Panel]
    calls: Calls

    @property
    def shape(self) -> tuple[int, int]:
        """Return the numbers of constituencies and of hours."""
        rows, columns = next(iter(self.panels.values())).counts.shape
        return rows, columns

    @property
    def columns(self) -> int:
        """Return the number of hours."""
        return self.shape[1]

    def hour(self, column: int) -> datetime:
        """Return the hour of a column, a UTC instant."""
        return self.first_hour + column * ONE_HOUR

    def column(self, hour: datetime) -> int:
        """Return the column an hour falls into; zones with half hours share one."""
        hours: int = (hour - self.first_hour) // ONE_HOUR
        return hours


def panels(rows: Sequence[FlowRow], *, until: datetime) -> Panels | None:
    """Return the counts of all hours that end up to `until`; None where there are none.

    A register smaller than the bulletins is taken for unknown: it says nothing of what to
    expect, and H02 tells of it.
    """
    first = _first_hour(rows)
    if first is None or first + ONE_HOUR > until:
        return None
    closes = [row.closes_at for row in rows if row.closes_at and row.hours]
    if closes:
        until = min(until, _full_hour(max(closes) + AFTER_CLOSE))
        first = max(first, until - MOST_HOURS * ONE_HOUR)
    until = min(until, first + MOST_HOURS * ONE_HOUR)
    columns = int((until - first) // ONE_HOUR)
    grid = _Grid(first, columns)
    shared = {
        "is_known": np.stack([grid.known(row) for row in rows]),
        "voters": np.array([_voters(row) for row in rows]),
        "groups": _groups(rows, first),
        "opens": np.array([grid.opens(row) for row in rows]),
        "closes": np.array([grid.closes(row) for row in rows]),
        "first_clock": np.array([_clock(row, first) for row in rows]),
    }
    shared["electorates"] = electorates(_districts(rows), shared["voters"])
    return Panels(
        first_hour=first,
        ids=np.array([row.id for row in rows], dtype=np.int64),
        regions=np.array([row.region_id or 0 for row in rows], dtype=np.int64),
        panels={
            "bulletins_issued": Panel(
                counts=np.stack([grid.counts(row.hours, row.issued) for row in rows]),
                **shared,
            ),
            "votes_cast": Panel(
                counts=np.stack(
                    [grid.counts(row.hours, row.cast_votes) for row in rows]
                ),
                **shared,
            ),
        },
        calls=_calls(rows, grid, shared["is_known"]),
    )


def _calls(rows: Sequence[FlowRow], grid: "_Grid", is_known: Truths) -> Calls:
    rejected, all_of_them = (
        np.where(
            is_known, np.stack([grid.counts(row.hours, of(row)) for row in rows]), 0
        )
        for of in (attrgetter("rejected"), attrgetter("calls"))
    )
    return Calls(rejected, np.maximum(all_of_them - rejected, 0))


def _first_hour(rows: Sequence[FlowRow]) -> datetime | None:
    """Return the hour in which voting opens first, or else of the first ballot."""
    opens = [row.opens_at for row in rows if row.opens_at and row.hours]
    ballots = [
        hour
        for row in rows
        if row.opens_at is None
        for hour, issued, cast in zip(
            row.hours, row.issued, row.cast_votes, strict=True
        )
        if issued or cast
    ]
    moments = opens + ballots
    return _full_hour(min(moments)) if moments else None


def _full_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True)
class _Grid:
    first: datetime
    columns: int

    def _column(self, moment: datetime) -> int:
        hours: int = (moment - self.first) // ONE_HOUR
        return hours

    def counts(self, hours: Sequence[datetime], counts: Sequence[int]) -> Ints:
        """Return the counts in their columns; a rolled-back surplus is no negative one."""
        found = np.zeros(self.columns, dtype=np.int64)
        for hour, count in zip(hours, counts, strict=True):
            column = self._column(hour)
            if 0 <= column < self.columns:
                found[column] += max(count, 0)
        return found

    def known(self, row: FlowRow) -> Truths:
        """Return which hours its files have told; all where it gets no files."""
        if not row.has_files:
            return np.ones(self.columns, bool)
        found = np.zeros(self.columns, bool)
        told = np.array([self._column(hour) for hour in row.told_hours], dtype=np.int64)
        found[told[(told >= 0) & (told < self.columns)]] = True
        return found

    def opens(self, row: FlowRow) -> int:
        """Return the column in which its voting opens, that of its first ballot else."""
        if row.opens_at:
            return self._column(row.opens_at)
        return self._column(row.hours[0]) if row.hours else 0

    def closes(self, row: FlowRow) -> int:
        """Return the column of the last votes."""
        # The close itself is the first moment without a vote.
        last = row.closes_at and row.closes_at - timedelta(microseconds=1)
        return self._column(last) if last else FOREVER


def _voters(row: FlowRow) -> float:
    register = row.registered_voters
    if not register or register < row.bulletins_issued:
        return float("nan")
    return float(register)


def _groups(rows: Sequence[FlowRow], first: datetime) -> Ints:
    """Number the peers: one opening, and one distance from UTC."""
    keys = [
        (row.opens_at, first.astimezone(ZoneInfo(row.zone)).utcoffset()) for row in rows
    ]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], dtype=np.int64)


def _clock(row: FlowRow, first: datetime) -> int:
    return first.astimezone(ZoneInfo(row.zone)).hour


def _districts(rows: Sequence[FlowRow]) -> Ints:
    """Number the districts; a name without its ballot, within one region."""
    keys = [
        (row.region_id, BALLOT_SUFFIX.sub("", normalise(row.district)) or row.id)
        for row in rows
    ]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys], dtype=np.int64)
