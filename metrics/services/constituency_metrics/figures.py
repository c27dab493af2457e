"""From sums of hours to figures: the same for constituencies and elections."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from elections.queries import TOTALS
from metrics.queries import (
    HOURS_AT_MOST,
    ONE_HOUR,
    PERIODS,
    HoursAsked,
    HoursSum,
    Unit,
    hours_sums,
)
from metrics.services.constituency_metrics.values import (
    Activity,
    ActivityPattern,
    PeriodMetrics,
    PeriodSeries,
    VelocityTrend,
)

HOURS_OF_DAY, WEEKDAYS = range(24), range(1, 8)
# By their days on the clock: a month ends within 31 days of its first.
DAYS = {Unit.DAY: 1, Unit.WEEK: 7, Unit.MONTH: 31}


class UnknownPeriod(ValueError):
    """Periods are hour, day, week and month."""

    def __init__(self, period: str) -> None:
        super().__init__(f"“{period}” is no period. Use hour, day, week or month.")


class TooManyHours(ValueError):
    """The answer would be about more hours than anybody looks at."""

    def __init__(self) -> None:
        super().__init__(
            f"These periods have more than {HOURS_AT_MOST:,} hours. Ask for a later "
            "start or an earlier end."
        )


def figures(total: HoursSum, by_hour_of_day: Iterable[HoursSum]) -> dict[str, Any]:
    """Return the fields of `Metrics`, from the sums of one scope, and maybe others."""
    issued, completed = total.bulletins_issued, total.completed_count
    return {name: getattr(total, name) for name in [*TOTALS, "as_of"]} | {
        "participation_rate": _percent(total.registered_votes, total.registered_voters),
        "anomaly_count": total.anomaly_count,
        "abandonment_rate": _percent(issued - total.votes_cast, issued),
        "average_votes_per_hour": _ratio(total.completed_votes, completed),
        "average_bulletins_per_hour": _ratio(total.completed_bulletins, completed),
        "peak_hour": total.peak_hour,
        "peak_hour_votes": total.peak_hour_votes,
        "vote_velocity_trend": total.vote_velocity_trend,
        "bulletin_velocity_trend": total.bulletin_velocity_trend,
        "completed_hours": completed,
        "missing_hours": total.missing_count,
        "hourly_activity": activity(total.scope_id, by_hour_of_day),
    }


def period_series(asked: HoursAsked, period: str) -> PeriodSeries:
    """Return the periods of the one scope asked for.

    Raises:
        UnknownPeriod, TooManyHours: see `period_series` of the services.
    """
    if period not in PERIODS:
        raise UnknownPeriod(period)
    unit = Unit(period)
    by_unit = hours_sums(asked, Unit.TOTAL, unit)
    [total], sums = by_unit[Unit.TOTAL], by_unit[unit]
    if any(row.is_too_long for row in sums):
        raise TooManyHours
    votes = sums[0].earlier_registered_votes if sums else 0
    rows = []
    for row in sums:
        votes += row.registered_votes
        rows.append(_period(row, unit, asked=asked, votes_so_far=votes))
    return PeriodSeries(as_of=total.as_of, periods=tuple(rows))


def activity_pattern(asked: HoursAsked) -> ActivityPattern:
    """Return the pattern of the one scope asked for."""
    sums = hours_sums(asked, Unit.TOTAL, Unit.HOUR_OF_DAY, Unit.WEEKDAY)
    [scope_id], [total] = asked.ids, sums[Unit.TOTAL]
    return ActivityPattern(
        as_of=total.as_of,
        by_hour_of_day=activity(scope_id, sums[Unit.HOUR_OF_DAY], HOURS_OF_DAY),
        by_weekday=activity(scope_id, sums[Unit.WEEKDAY], WEEKDAYS),
    )


def activity(
    scope_id: int, sums: Iterable[HoursSum], slots: Iterable[int] = HOURS_OF_DAY
) -> tuple[Activity, ...]:
    """Return all slots of a scope, also those without an hour."""
    found = {row.slot: row for row in sums if row.scope_id == scope_id}
    return tuple(_activity(slot, found.get(slot)) for slot in slots)


def velocity_trend(asked: HoursAsked) -> VelocityTrend:
    """Return the trend of the one scope asked for."""
    [total] = hours_sums(asked, Unit.TOTAL)[Unit.TOTAL]
    return VelocityTrend(
        vote_velocity_trend=total.vote_velocity_trend,
        bulletin_velocity_trend=total.bulletin_velocity_trend,
        completed_hours=total.completed_count,
        as_of=total.as_of,
    )


def _activity(slot: int, row: HoursSum | None) -> Activity:
    if row is None:
        return Activity(slot, 0, 0, 0, 0, None, None)
    completed = row.completed_count
    return Activity(
        slot=slot,
        bulletins_issued=row.bulletins_issued,
        votes_cast=row.votes_cast,
        transaction_count=row.transaction_count,
        completed_hours=completed,
        average_bulletins_per_hour=_ratio(row.completed_bulletins, completed),
        average_votes_per_hour=_ratio(row.completed_votes, completed),
    )


def _period(
    row: HoursSum, unit: Unit, *, asked: HoursAsked, votes_so_far: int
) -> PeriodMetrics:
    # Rows by period have one.
    start, end = _bounds(cast("datetime", row.period), unit, ZoneInfo(row.zone))
    is_gap = row.missing_count > 0 and row.transaction_count == 0
    counts = {name: None if is_gap else getattr(row, name) for name in TOTALS}
    register = None if is_gap else row.registered_voters
    is_over = row.as_of is not None and end <= row.as_of
    is_whole = (asked.start is None or asked.start <= start) and (
        asked.end is None or end <= asked.end
    )
    return PeriodMetrics(
        start=start,
        end=end,
        **counts,
        participation_rate=_percent(row.registered_votes, register),
        cumulative_participation_rate=_percent(votes_so_far, register),
        complete=is_over and is_whole and row.missing_count == 0,
    )


def _bounds(moment: datetime, unit: Unit, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the instants at which the period that begins about `moment` has its ends.

    By the days of the zone's clock: they have 23, 24 or 25 hours.
    """
    if unit == Unit.HOUR:
        return moment, moment + ONE_HOUR
    first = moment.astimezone(zone).date()
    after = first + timedelta(days=DAYS[unit])
    return _midnight(first, zone), _midnight(
        after.replace(day=1) if unit == Unit.MONTH else after, zone
    )


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the instant at which a day begins; where midnight comes twice, the first."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _ratio(count: int, of: int | None) -> float | None:
    return count / of if of else None


def _percent(count: int, of: int | None) -> float | None:
    # As the database computes the rates that it stores, to the last digit.
    return count * 100.0 / of if of else None
