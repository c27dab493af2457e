"""The figures of whole elections, from the statements that constituencies have theirs of."""

from dataclasses import dataclass
from datetime import datetime

from elections.models import Election
from metrics import queries
from metrics.queries import HoursAsked, Unit, hours_sums
from metrics.services.constituency_metrics import (
    ActivityPattern,
    Metrics,
    PeriodMetrics,
    PeriodSeries,
    VelocityTrend,
    activity_pattern,
    figures,
    period_series,
    velocity_trend,
)
from transactions.feed_queries import silent_constituencies


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectionMetrics(Metrics):
    """Figures of one election: they count ballots, not people.

    `participation_rate` is that of the constituencies whose register is known: their
    votes by the sum of their registers.
    """

    slug: str
    # Sum of the registers that are known, None where none is; and their number.
    register_entries: int | None
    register_constituency_count: int
    constituency_count: int
    # With a transaction in the period.
    active_constituency_count: int


class ElectionMetricsService:
    """Derives the figures of elections from HourlyStats, never from the ledger.

    Hours, hours of day, days, weeks and months are those of the election's zone. The
    hour of a constituency that begins at half past counts in the one in which it begins.
    `as_of` is the newest ledger time of the whole election. An hour is missing where
    files were expected and no constituency has one: who is silent while others are not
    is told by the coverage of constituencies, and spoils no sum here.
    """

    def total_metrics(
        self,
        election: Election,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> ElectionMetrics:
        """Return the figures of the hours from `start` to `end`, of all without them."""
        asked = _asked(election, start=start, end=end)
        sums = hours_sums(asked, Unit.TOTAL, Unit.HOUR_OF_DAY)
        [total] = sums[Unit.TOTAL]
        return ElectionMetrics(
            slug=election.slug,
            register_entries=total.registered_voters,
            register_constituency_count=total.register_constituency_count,
            constituency_count=total.constituency_count,
            active_constituency_count=queries.active_constituency_counts(
                [election.pk], start=start, end=end
            ).get(election.pk, 0),
            **figures(total, sums[Unit.HOUR_OF_DAY]),
        )

    def silent_constituency_count(self, election: Election, *, now: datetime) -> int:
        """Return how many feeds are silent at `now`, of those that should be heard."""
        return len(silent_constituencies([election.pk], now=now))

    def period_series(
        self,
        election: Election,
        *,
        period: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> PeriodSeries:
        """Return every hour, day, week (from Monday) or month, also empty ones.

        As those of a constituency, but a file that only some constituencies miss makes
        no period incomplete.

        Raises:
            UnknownPeriod: `period` is none of the four.
            TooManyHours: the answer would be about more than anybody looks at.
        """
        return period_series(_asked(election, start=start, end=end), period)

    def metrics_by_period(
        self,
        election: Election,
        *,
        period: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[PeriodMetrics]:
        """Return the periods of `period_series` alone.

        Raises:
            UnknownPeriod, TooManyHours: as `period_series`.
        """
        series = self.period_series(election, period=period, start=start, end=end)
        return list(series.periods)

    def hourly_activity_pattern(
        self,
        election: Election,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> ActivityPattern:
        """Return when the election is busy, by hour of day and by weekday."""
        return activity_pattern(_asked(election, start=start, end=end))

    def velocity_trend(
        self,
        election: Election,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> VelocityTrend:
        """Return whether votes and bulletins per hour grow or shrink."""
        return velocity_trend(_asked(election, start=start, end=end))


def _asked(
    election: Election, *, start: datetime | None, end: datetime | None
) -> HoursAsked:
    silent = queries.silent_hours(election.pk)
    return HoursAsked(
        ids=[election.pk],
        are_elections=True,
        election_ids=[election.pk],
        missing=[(election.pk, hour) for hour in silent],
        start=start,
        end=end,
    )
