"""The registry over HTTP: read only, staff edit it in the admin."""

from django.http import HttpRequest
from rest_framework import mixins, viewsets

from elections import queries
from elections.api.filters import ConstituencyFilterSet
from elections.api.serializers import (
    ConstituencySerializer,
    ElectionSerializer,
    RegionSerializer,
)
from elections.models import Constituency, Election, Region
from elections.tags import DASHBOARD, constituency_tag, election_tag

# A NUL never reaches the database, which refuses it.
CONTRACT_ID = r"[^/\x00]+"
SLUG = r"[-a-zA-Z0-9_]+"


class RegionViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Region]):
    """Regions of the electoral system, by code."""

    queryset = queries.regions()
    serializer_class = RegionSerializer
    search_fields = ["code", "name"]
    ordering = ["code"]
    ordering_fields = {"code": "code", "name": "name"}

    @staticmethod
    def answer_tags(request: HttpRequest, **_: str) -> list[str]:
        return [DASHBOARD]


class ElectionViewSet(viewsets.ReadOnlyModelViewSet[Election]):
    """Elections with their totals, by slug."""

    queryset = queries.elections()
    # Their status changes with the time alone.
    answer_seconds = 5.0
    serializer_class = ElectionSerializer
    lookup_field = "slug"
    lookup_value_regex = SLUG
    search_fields = ["slug", "name"]
    ordering = ["slug"]
    ordering_fields = {
        name: name
        for name in ("slug", "name", "starts_at", "ends_at", "status", *queries.TOTALS)
    }

    @staticmethod
    def answer_tags(request: HttpRequest, slug: str = "", **_: str) -> list[str]:
        return [election_tag(slug) if slug else DASHBOARD]


class ConstituencyViewSet(viewsets.ReadOnlyModelViewSet[Constituency]):
    """Constituencies with their current totals, by contract id."""

    queryset = queries.constituencies()
    serializer_class = ConstituencySerializer
    lookup_field = "contract_id"
    lookup_value_regex = CONTRACT_ID
    filterset_class = ConstituencyFilterSet
    search_fields = ["name", "district", "contract_id"]
    ordering = ["contract_id"]
    ordering_fields = {
        name: name
        for name in (
            "contract_id",
            "name",
            "registered_voters",
            *queries.TOTALS,
            "participation_rate",
            "anomaly_count",
            "anomaly_score",
            "last_transaction_at",
            "metrics_updated_at",
        )
    }

    @staticmethod
    def answer_tags(request: HttpRequest, contract_id: str = "", **_: str) -> list[str]:
        if contract_id:
            return [constituency_tag(contract_id)]
        slug = request.GET.get("election")
        return [election_tag(slug) if slug else DASHBOARD]
