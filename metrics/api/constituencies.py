"""The figures of constituencies over HTTP."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from elections import queries as registry
from elections.api.serializers import VERSION
from elections.models import Constituency
from elections.tags import constituency_tag
from metrics import events
from metrics.api import examples
from metrics.api.base import (
    Asked,
    EnvelopeSerializer,
    FiguresView,
    Provenance,
    ProvenanceSerializer,
    Told,
    described,
    in_all,
)
from metrics.api.filters import (
    COMPARED_AT_MOST,
    CompareParameters,
    PeriodParameters,
    PeriodsParameters,
    words_of,
)
from metrics.api.serializers import (
    HourOfDaySerializer,
    MetricsSerializer,
    PeriodSerializer,
    WeekdaySerializer,
)
from metrics.queries import Unit
from metrics.services import (
    ConstituencyMetricsService,
    PeriodSeries,
    TooManyHours,
    TotalMetrics,
)

service = ConstituencyMetricsService()


class PlaceSerializer(serializers.Serializer[Any]):
    contract_id = serializers.CharField()
    election = serializers.CharField(help_text="Its slug.")
    name = serializers.CharField()
    timezone = serializers.CharField(help_text="Zone in which hours and days are cut.")


class ComparedSerializer(PlaceSerializer, MetricsSerializer, ProvenanceSerializer):
    """Figures of a constituency beside those of others."""

    registered_voters = serializers.IntegerField(allow_null=True)
    anomaly_score = serializers.FloatField(allow_null=True, help_text="0 to 1.")
    version = serializers.IntegerField(help_text=VERSION)


class ConstituencyMetricsSerializer(ComparedSerializer, EnvelopeSerializer):
    """Figures of a constituency, as metrics/constituencies/{contract_id}/ tells them."""


class ConstituencyPeriodsSerializer(PlaceSerializer, EnvelopeSerializer):
    """Hours, days, weeks or months of a constituency, in their order."""

    period = serializers.ChoiceField(choices=["hour", "day", "week", "month"])
    results = PeriodSerializer(many=True)


class ConstituencyPatternSerializer(PlaceSerializer, EnvelopeSerializer):
    """When a constituency votes: by hour of day, and by weekday."""

    by_hour_of_day = HourOfDaySerializer(many=True, help_text="All 24, from 0.")
    by_weekday = WeekdaySerializer(many=True, help_text="All seven, from Monday.")


class ConstituencyComparisonSerializer(EnvelopeSerializer):
    """Constituencies side by side."""

    results = ComparedSerializer(many=True, help_text="In the order asked.")


class OfConstituency(FiguresView):
    """A view about the constituency that its address names."""

    queryset = registry.constituencies()
    lookup_field = "contract_id"
    # Their `live_id` must not be trimmed away while they are kept: other constituencies
    # push it along.
    answer_seconds = 10.0

    @staticmethod
    def answer_tags(request: HttpRequest, contract_id: str, **_: str) -> list[str]:
        return [constituency_tag(contract_id)]

    def get_object(self) -> Constituency:
        place: Constituency = super().get_object()
        self.live_id = events.live_id(place.election.slug)
        return place


@described(example=examples.CONSTITUENCY)
class ConstituencyMetricsView(OfConstituency):
    """Figures of the hours of one constituency, all of them or those of a period."""

    serializer_class = ConstituencyMetricsSerializer
    filterset_class = PeriodParameters

    def figures(self, asked: Asked) -> Told:
        place = self.get_object()
        metrics = service.total_metrics(place, **asked)
        return told(place, metrics), provenance(place, metrics)


@described(example=examples.CONSTITUENCY_PERIODS)
class ConstituencyPeriodsView(OfConstituency):
    """What happened in each hour, day, week (from Monday) or month, also empty ones.

    Counts are null where nothing is recorded and a file is missing.
    """

    serializer_class = ConstituencyPeriodsSerializer
    filterset_class = PeriodsParameters

    def figures(self, asked: Asked) -> Told:
        place = self.get_object()
        asked["period"] = asked["period"] or Unit.DAY
        series = period_series(service, place, **asked)
        figures = {"period": asked["period"], "results": series.periods}
        return identity(place) | figures, Provenance(
            series.as_of, series.coverage, place.election.is_simulated
        )


@described(example=examples.CONSTITUENCY_PATTERN)
class ConstituencyPatternView(OfConstituency):
    """When the constituency is busy, by hour of day and by weekday."""

    serializer_class = ConstituencyPatternSerializer
    filterset_class = PeriodParameters

    def figures(self, asked: Asked) -> Told:
        place = self.get_object()
        pattern = service.hourly_activity_pattern(place, **asked)
        return identity(place) | asdict(pattern), Provenance(
            pattern.as_of, pattern.coverage, place.election.is_simulated
        )


@described(example=examples.COMPARISON, operation_id="metrics_constituencies_compare")
class ConstituencyComparisonView(FiguresView):
    """The same figures of several constituencies side by side, in the order asked."""

    queryset = registry.constituencies()
    serializer_class = ConstituencyComparisonSerializer
    filterset_class = CompareParameters
    # As of one constituency.
    answer_seconds = OfConstituency.answer_seconds

    @staticmethod
    def answer_tags(request: HttpRequest, **_: str) -> list[str]:
        named = words_of(request.GET.get("ids", ""))
        return [
            constituency_tag(contract_id) for contract_id in named[:COMPARED_AT_MOST]
        ]

    def figures(self, asked: Asked) -> Told:
        places = _named(asked.pop("ids"))
        slugs = {place.election.slug for place in places}
        self.live_id = events.live_id(slugs.pop()) if len(slugs) == 1 else None
        compared = service.compare(places, **asked)
        every = [
            (told(place, metrics), provenance(place, metrics))
            for place, metrics in zip(places, compared, strict=True)
        ]
        results = [one | asdict(source) for one, source in every]
        return {"results": results}, in_all(source for _, source in every)


def _named(contract_ids: Iterable[str]) -> list[Constituency]:
    """Return constituencies in the order of their ids.

    Raises:
        ValidationError: some of them are unknown.
    """
    found = registry.constituencies().filter(contract_id__in=contract_ids)
    by_id = {place.contract_id: place for place in found}
    unknown = [name for name in contract_ids if name not in by_id]
    if unknown:
        message = f"No constituency has the contract id {', '.join(unknown)}."
        detail = ErrorDetail(message, code="unknown_constituency")
        raise ValidationError({"ids": [detail]})
    return [by_id[contract_id] for contract_id in contract_ids]


def told(place: Constituency, metrics: TotalMetrics) -> dict[str, Any]:
    """Return what an answer tells of one constituency."""
    return asdict(metrics) | identity(place) | {"version": place.version}


def identity(place: Constituency) -> dict[str, Any]:
    """Return whom the figures are about."""
    return {
        "contract_id": place.contract_id,
        "election": place.election.slug,
        "name": place.name,
        "timezone": place.timezone,
    }


def provenance(place: Constituency, metrics: TotalMetrics) -> Provenance:
    """Return where the figures of one constituency come from."""
    is_simulated = place.election.is_simulated
    return Provenance(metrics.as_of, metrics.coverage, is_simulated)


def period_series(
    owner: Any, scope: Any, *, period: str, **bounds: datetime | None
) -> PeriodSeries:
    """Return the periods of a constituency or election, from the service that has them.

    Raises:
        ValidationError: they have more hours than anybody looks at.
    """
    try:
        series: PeriodSeries = owner.period_series(scope, period=period, **bounds)
    except TooManyHours as error:
        detail = ErrorDetail(str(error), code="too_many_hours")
        raise ValidationError({"start": [detail]}) from error
    return series
