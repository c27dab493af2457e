"""The figures of constituencies."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from elections.models import Constituency
from metrics import queries
from metrics.queries import HoursAsked, Unit, hours_sums
from metrics.services.constituency_metrics.figures import (
    activity_pattern,
    figures,
    period_series,
    velocity_trend,
)
from metrics.services.constituency_metrics.refreshing import Refresh, refresh
from metrics.services.constituency_metrics.values import (
    ActivityPattern,
    PeriodMetrics,
    PeriodSeries,
    TotalMetrics,
    VelocityTrend,
)
from metrics.services.hourly_stats import UnknownConstituency
from transactions.queries import Coverage, coverage_by_constituency


class ConstituencyMetricsService:
    """Derives the figures of constituencies from HourlyStats, never from the ledger.

    Hours of day, days, weeks and months are those of the constituency's zone. `as_of` is
    the newest ledger time of its election where hour files tell what it delivered up to
    then, else its own: nobody knows whether anything is missing after that.
    """

    def total_metrics(
        self,
        constituency: Constituency,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> TotalMetrics:
        """Return the figures of the hours from `start` to `end`, of all without them."""
        return self.compare([constituency], start=start, end=end)[0]

    def compare(
        self,
        constituencies: Iterable[Constituency],
        *,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[TotalMetrics]:
        """Return the figures of several, in the order given, each on its own clock.

        The number of queries does not depend on how many there are.
        """
        chosen = list(constituencies)
        asked, coverage = _asked(chosen, start=start, end=end)
        sums = hours_sums(asked, Unit.TOTAL, Unit.HOUR_OF_DAY)
        totals = {row.scope_id: row for row in sums[Unit.TOTAL]}
        return [
            TotalMetrics(
                contract_id=constituency.contract_id,
                registered_voters=totals[constituency.pk].registered_voters,
                anomaly_score=totals[constituency.pk].anomaly_score,
                coverage=coverage.get(constituency.pk),
                **figures(totals[constituency.pk], sums[Unit.HOUR_OF_DAY]),
            )
            for constituency in chosen
        ]

    def period_series(
        self,
        constituency: Constituency,
        *,
        period: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> PeriodSeries:
        """Return every hour, day, week (from Monday) or month, also empty ones.

        From `start`, else the first hour that is recorded or missing, to `end`, but not
        beyond `as_of`.

        Raises:
            UnknownPeriod: `period` is none of the four.
            TooManyHours: the answer would be about more than anybody looks at.
        """
        asked, coverage = _asked([constituency], start=start, end=end)
        series = period_series(asked, period)
        return replace(series, coverage=coverage.get(constituency.pk))

    def metrics_by_period(
        self,
        constituency: Constituency,
        *,
        period: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[PeriodMetrics]:
        """Return the periods of `period_series` alone.

        Raises:
            UnknownPeriod, TooManyHours: as `period_series`.
        """
        series = self.period_series(constituency, period=period, start=start, end=end)
        return list(series.periods)

    def hourly_activity_pattern(
        self,
        constituency: Constituency,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> ActivityPattern:
        """Return when the constituency is busy, by hour of day and by weekday."""
        asked, coverage = _asked([constituency], start=start, end=end)
        pattern = activity_pattern(asked)
        return replace(pattern, coverage=coverage.get(constituency.pk))

    def velocity_trend(
        self,
        constituency: Constituency,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> VelocityTrend:
        """Return whether votes and bulletins per hour grow or shrink."""
        asked, _ = _asked([constituency], start=start, end=end)
        return velocity_trend(asked)

    def anomaly_score(self, constituency: Constituency) -> float | None:
        """Return the stored score, 0 to 1; None where nobody has evaluated it."""
        return queries.anomaly_score(constituency.pk)

    def refresh(self, constituency_id: int, *, now: datetime) -> Refresh:
        """Write what is derived, and raise the alarm where a total is not its hours' sum.

        Such a total is kept as a Discrepancy and not repaired: `recompute_metrics` does
        that, when somebody has looked. One that is right again is resolved.

        Raises:
            NotInTransaction: no transaction is open.
            UnknownConstituency: it does not exist, or not any more.
        """
        refreshed = refresh([constituency_id], now=now)
        if not refreshed:
            raise UnknownConstituency(str(constituency_id))
        return refreshed[0]

    def refresh_many(
        self, constituency_ids: Iterable[int], *, now: datetime
    ) -> list[Refresh]:
        """As `refresh`, with a few statements for all of them; those that exist.

        Raises:
            NotInTransaction: no transaction is open.
        """
        return refresh(constituency_ids, now=now)


def _asked(
    constituencies: Sequence[Constituency],
    *,
    start: datetime | None,
    end: datetime | None,
) -> tuple[HoursAsked, dict[int, Coverage]]:
    fed = coverage_by_constituency([constituency.pk for constituency in constituencies])
    asked = HoursAsked(
        ids=[constituency.pk for constituency in constituencies],
        on_election_time=list(fed),
        election_ids={c.election_id for c in constituencies if c.pk in fed},
        missing=[(pk, hour) for pk, window in fed.items() for hour in window.missing],
        start=start,
        end=end,
    )
    coverage = {pk: Coverage(own.received, own.expected) for pk, own in fed.items()}
    return asked, coverage
