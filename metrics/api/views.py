"""The figures over HTTP."""

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest
from rest_framework import mixins, viewsets
from rest_framework.fields import DateTimeField
from rest_framework.filters import SearchFilter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from elections.tags import HOURLY_STATS, constituency_tag, election_tag
from metrics import queries
from metrics.api.filters import HourlyStatsFilterSet
from metrics.api.pagination import FiguresPagination
from metrics.api.serializers import HourlyStatsSerializer
from metrics.models import HourlyStats

DEFAULTS: Any = api_settings.DEFAULT_FILTER_BACKENDS


class HourlyStatsViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[HourlyStats]):
    """Statistics per constituency and hour, oldest first.

    A constituency, election or region that nobody knows is an error, not an empty list.
    """

    queryset = queries.hourly_stats()
    serializer_class = HourlyStatsSerializer
    filterset_class = HourlyStatsFilterSet
    pagination_class = FiguresPagination
    # `coverage` is not known of what a search finds.
    filter_backends = [backend for backend in DEFAULTS if backend is not SearchFilter]
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
    bound_filterset: HourlyStatsFilterSet

    @staticmethod
    def answer_tags(request: HttpRequest, **_: str) -> list[str]:
        if contract_id := request.GET.get("constituency"):
            return [constituency_tag(contract_id)]
        slug = request.GET.get("election")
        return [election_tag(slug) if slug else HOURLY_STATS]

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        scope = self._scope()
        as_of = queries.as_of_in(scope)
        coverage = queries.coverage_in(scope)
        rows = HourlyStatsSerializer(page, many=True, context={"as_of": as_of})
        answer = self.get_paginated_response(rows.data)
        newest = max(as_of.values(), default=None)
        answer.data["as_of"] = newest and DateTimeField().to_representation(newest)
        answer.data["coverage"] = coverage and asdict(coverage)
        return answer

    def _scope(self) -> queries.Scope:
        chosen = self.bound_filterset.form.cleaned_data
        return queries.Scope(
            constituency=chosen["constituency"],
            election=chosen["election"],
            region=chosen["region"],
        )
