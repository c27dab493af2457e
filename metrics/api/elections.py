"""The figures of whole elections over HTTP."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from rest_framework import serializers

from elections.api.serializers import VERSION
from elections.models import Election
from elections.queries import VERSION as VERSION_OF_ELECTION
from elections.tags import election_tag
from metrics import events, queries
from metrics.api import examples
from metrics.api.base import (
    Asked,
    EnvelopeSerializer,
    FiguresView,
    Provenance,
    Told,
    described,
)
from metrics.api.constituencies import period_series
from metrics.api.filters import (
    Parameters,
    PeriodParameters,
    PeriodsParameters,
)
from metrics.api.serializers import (
    HourOfDaySerializer,
    MetricsSerializer,
    PeriodSerializer,
    WeekdaySerializer,
)
from metrics.services import ElectionMetricsService

service = ElectionMetricsService()


class IdentitySerializer(serializers.Serializer[Any]):
    slug = serializers.CharField()
    name = serializers.CharField()
    timezone = serializers.CharField(help_text="Zone in which hours and days are cut.")


class ElectionMetricsSerializer(
    IdentitySerializer, MetricsSerializer, EnvelopeSerializer
):
    """Figures of an election. They count ballots, not people."""

    version = serializers.IntegerField(help_text=VERSION)
    register_entries = serializers.IntegerField(
        allow_null=True,
        help_text="Sum of the registers that are known; null where none is.",
    )
    register_constituency_count = serializers.IntegerField(
        help_text="Constituencies whose register is known."
    )
    constituency_count = serializers.IntegerField()
    active_constituency_count = serializers.IntegerField(
        help_text="With a transaction in the period."
    )
    silent_constituency_count = serializers.IntegerField(
        help_text="Whose voting is open and whose feed is silent now, whatever the period."
    )


class ElectionPeriodsSerializer(IdentitySerializer, EnvelopeSerializer):
    """Hours, days, weeks or months of an election, in their order."""

    period = serializers.ChoiceField(choices=["hour", "day", "week", "month"])
    results = PeriodSerializer(many=True)


class ElectionPatternSerializer(IdentitySerializer, EnvelopeSerializer):
    """When an election is voted in: by hour of day, and by weekday."""

    by_hour_of_day = HourOfDaySerializer(many=True, help_text="All 24, from 0.")
    by_weekday = WeekdaySerializer(many=True, help_text="All seven, from Monday.")


class OfElection(FiguresView):
    """A view about the election that its address names."""

    queryset = Election.objects.order_by("slug")
    lookup_field = "slug"
    filterset_class = Parameters

    @staticmethod
    def answer_tags(request: HttpRequest, slug: str, **_: str) -> list[str]:
        return [election_tag(slug)]

    def get_object(self) -> Election:
        self.live_id = events.live_id(self.kwargs["slug"])
        election: Election = super().get_object()
        return election

    def provenance(self, election: Election, as_of: datetime | None) -> Provenance:
        """Return where figures of the election come from; its coverage is one query."""
        coverage = queries.coverage_in(queries.Scope(election=election))
        return Provenance(as_of, coverage, election.is_simulated)


@described(example=examples.ELECTION)
class ElectionMetricsView(OfElection):
    """Figures of an election, all of them or those of a period. They count ballots."""

    serializer_class = ElectionMetricsSerializer
    # Which feeds are silent changes with the time alone.
    answer_seconds = 5.0
    filterset_class = PeriodParameters
    # Read before the figures: then an event that is newer is never dropped.
    queryset = OfElection.queryset.annotate(version=VERSION_OF_ELECTION)

    def figures(self, asked: Asked) -> Told:
        election = self.get_object()
        metrics = service.total_metrics(election, **asked)
        silent = service.silent_constituency_count(election, now=timezone.now())
        figures = asdict(metrics) | {
            "silent_constituency_count": silent,
            "version": vars(election)["version"],
        }
        source = self.provenance(election, metrics.as_of)
        return identity(election) | figures, source


@described(example=examples.ELECTION_PERIODS)
class ElectionPeriodsView(OfElection):
    """What happened in each hour, day, week (from Monday) or month, also empty ones.

    Counts are null where nothing is recorded and no constituency has a file.
    """

    serializer_class = ElectionPeriodsSerializer
    filterset_class = PeriodsParameters

    def figures(self, asked: Asked) -> Told:
        election = self.get_object()
        asked["period"] = asked["period"] or queries.Unit.DAY
        series = period_series(service, election, **asked)
        figures = {"period": asked["period"], "results": series.periods}
        source = self.provenance(election, series.as_of)
        return identity(election) | figures, source


@described(example=examples.ELECTION_PATTERN)
class ElectionPatternView(OfElection):
    """When the election is busy, by hour of day and by weekday."""

    serializer_class = ElectionPatternSerializer
    filterset_class = PeriodParameters

    def figures(self, asked: Asked) -> Told:
        election = self.get_object()
        pattern = service.hourly_activity_pattern(election, **asked)
        source = self.provenance(election, pattern.as_of)
        return identity(election) | asdict(pattern), source


def identity(election: Election) -> dict[str, Any]:
    """Return whom the figures are about."""
    return {
        "slug": election.slug,
        "name": election.name,
        "timezone": election.timezone,
    }
