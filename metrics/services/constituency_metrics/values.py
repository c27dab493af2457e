"""What the services tell: figures that travel."""

from dataclasses import dataclass
from datetime import datetime

from transactions.queries import Coverage


@dataclass(frozen=True, slots=True)
class Activity:
    """What happened in one hour of the day, or on one weekday, on all days together.

    The averages are over its completed hours, None where there are none.
    """

    # Hour 0 to 23, or weekday 1 (Monday) to 7.
    slot: int
    bulletins_issued: int
    votes_cast: int
    transaction_count: int
    completed_hours: int
    average_bulletins_per_hour: float | None
    average_votes_per_hour: float | None


@dataclass(frozen=True, slots=True)
class ActivityPattern:
    """All 24 hours of the day and all seven weekdays, in the scope's own zone."""

    as_of: datetime | None
    by_hour_of_day: tuple[Activity, ...]
    by_weekday: tuple[Activity, ...]
    # None where no hour files are expected, and of an election.
    coverage: Coverage | None = None


@dataclass(frozen=True, slots=True)
class VelocityTrend:
    """Slopes of the hourly velocities by least squares, per hour².

    Over completed hours; None with fewer than three of them.
    """

    vote_velocity_trend: float | None
    bulletin_velocity_trend: float | None
    completed_hours: int
    as_of: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Figures of a scope in a period, as `CONTRACT.md` 4 defines them.

    Hours are taken by their start. Averages, peak and trends are over completed hours:
    from the first hour of the scope with a transaction to the last that is over at
    `as_of`. Empty ones among them count as zeros, except gaps: those whose file is
    missing. Nothing is completed where these are more than 10,000 hours: then a time
    stamp of another year is among them, and `start` or `end` has to leave it out.
    """

    as_of: datetime | None
    bulletins_issued: int
    votes_cast: int
    revotes: int
    transaction_count: int
    failed_count: int
    participation_rate: float | None
    anomaly_count: int
    # Percent of the bulletins; negative where more votes were cast than issued.
    abandonment_rate: float | None
    average_votes_per_hour: float | None
    average_bulletins_per_hour: float | None
    # Start of the completed hour with most votes, the earliest of several.
    peak_hour: datetime | None
    peak_hour_votes: int | None
    vote_velocity_trend: float | None
    bulletin_velocity_trend: float | None
    completed_hours: int
    # Empty completed hours have a file, or none was expected; these have none.
    missing_hours: int
    hourly_activity: tuple[Activity, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalMetrics(Metrics):
    """Figures of one constituency."""

    contract_id: str
    registered_voters: int | None
    anomaly_score: float | None
    # None where no hour files are expected.
    coverage: Coverage | None


@dataclass(frozen=True, slots=True)
class PeriodMetrics:
    """What happened from `start` to `end`, instants in UTC.

    Everything counted is None where nothing is recorded and a file is missing: a gap in
    the feed, not a zero. `complete`: it was over at `as_of`, no file of it is missing,
    and all its hours were asked for.
    """

    start: datetime
    end: datetime
    bulletins_issued: int | None
    votes_cast: int | None
    revotes: int | None
    transaction_count: int | None
    failed_count: int | None
    participation_rate: float | None
    # Up to its end, also of what was before the first period asked for.
    cumulative_participation_rate: float | None
    complete: bool


@dataclass(frozen=True, slots=True)
class PeriodSeries:
    """Periods in their order, and the moment up to which they are counted."""

    as_of: datetime | None
    periods: tuple[PeriodMetrics, ...]
    # None where no hour files are expected, and of an election.
    coverage: Coverage | None = None
