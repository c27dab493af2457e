"""Hourly statistics over HTTP: in pages, or all rows at once."""

import re
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from elections.api.schema import answer
from elections.api.views import SLUG
from elections.tags import HOURLY_STATS, constituency_tag, election_tag
from metrics import events, queries
from metrics.api import bulk, examples
from metrics.api.base import WITHOUT_SEARCH, Provenance, envelope
from metrics.api.bulk import CsvRenderer, ParquetRenderer
from metrics.api.filters import HourlyStatsFilterSet
from metrics.api.pagination import FiguresPagination
from metrics.api.serializers import HourlyStatsSerializer
from metrics.models import HourlyStats

SLUG_ONLY = re.compile(SLUG)
JSON_FIRST: Any = api_settings.DEFAULT_RENDERER_CLASSES


class HourlyStatsViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[HourlyStats]):
    """Statistics per constituency and hour, oldest first.

    A constituency, election or region that nobody knows is an error, not an empty list.
    """

    queryset = queries.hourly_stats()
    serializer_class = HourlyStatsSerializer
    filterset_class = HourlyStatsFilterSet
    pagination_class = FiguresPagination
    filter_backends = WITHOUT_SEARCH
    ordering = ["hour", "constituency__contract_id"]
    ordering_fields = {"constituency": "constituency__contract_id"} | {
        name: name
        for name in (
            "hour",
            "timestamp",
            "bulletins_issued",
            "votes_cast",
            "revotes",
            "transaction_count",
            "failed_count",
            "participation_rate",
            "anomaly_count",
        )
    }
    renderer_classes = [*JSON_FIRST, CsvRenderer, ParquetRenderer]
    # `as_of`, and velocities with it, follow other constituencies, which end nothing here.
    answer_seconds = 10.0
    bound_filterset: HourlyStatsFilterSet

    @staticmethod
    def answer_tags(request: HttpRequest, **_: str) -> list[str]:
        if contract_id := request.GET.get("constituency"):
            return [constituency_tag(contract_id)]
        slug = request.GET.get("election")
        return [election_tag(slug) if slug else HOURLY_STATS]

    @extend_schema(
        examples=[answer(examples.HOURLY_STATS, media_type="application/json")],
        responses={
            (200, "application/json"): HourlyStatsSerializer(many=True),
            (200, CsvRenderer.media_type): OpenApiTypes.STR,
            (200, ParquetRenderer.media_type): OpenApiTypes.BINARY,
        },
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        """Return a page of rows; as CSV or Parquet all of them, without pages."""
        slug = request.query_params.get("election", "")
        live_id = events.live_id(slug) if SLUG_ONLY.fullmatch(slug) else None
        stats = self.filter_queryset(self.get_queryset())
        written_as = request.accepted_renderer.format
        is_bulk = written_as in bulk.BULK_FORMATS
        if is_bulk:
            bulk.refuse_paging(request)
        page = None if is_bulk else self.paginate_queryset(stats)
        scope = self._scope()
        as_of = queries.as_of_in(scope)
        source = Provenance(
            max(as_of.values(), default=None),
            queries.coverage_in(scope),
            queries.is_simulated_in(scope),
            live_id,
        )
        if page is None:
            return bulk.answer(stats, written_as=written_as, as_of=as_of, source=source)
        rows = HourlyStatsSerializer(page, many=True, context={"as_of": as_of})
        answer = self.get_paginated_response(rows.data)
        answer.data |= envelope(source)
        return answer

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Write what is no file as JSON: an error is none."""
        if isinstance(response, Response) and hasattr(request, "accepted_renderer"):
            request.accepted_renderer = self.get_renderers()[0]
            request.accepted_media_type = request.accepted_renderer.media_type
        return super().finalize_response(request, response, *args, **kwargs)

    def _scope(self) -> queries.Scope:
        chosen = self.bound_filterset.form.cleaned_data
        return queries.Scope(
            constituency=chosen["constituency"],
            election=chosen["election"],
            region=chosen["region"],
        )
