"""All constituencies of an election over HTTP: in pages, or in one table."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from elections.models import Constituency, Election
from elections.tags import election_tag
from metrics import events, queries
from metrics.api import examples
from metrics.api.base import (
    DEFAULTS,
    Asked,
    EnvelopeSerializer,
    Provenance,
    Told,
    described,
    envelope,
)
from metrics.api.elections import IdentitySerializer, OfElection, identity
from metrics.api.filters import MemberFilterSet, TableParameters
from metrics.api.pagination import FiguresPagination
from metrics.api.serializers import (
    MemberSerializer,
)

# Left out of a table that nobody asked a choice of: the registry tells the district, and
# what was abandoned follows from two other columns.
NOT_BY_DEFAULT = {"district", "abandonment_rate"}
DEFAULT_COLUMNS = [name for name in queries.TABLE_COLUMNS if name not in NOT_BY_DEFAULT]


TEXTS = {"contract_id", "name", "region", "district", "status", "last_transaction_at"}


@extend_schema_field(
    {
        "type": "object",
        "properties": {
            name: {
                "type": "array",
                "items": {"type": ["string" if name in TEXTS else "number", "null"]},
            }
            for name in queries.TABLE_COLUMNS
        },
    }
)
class ColumnsField(serializers.Field[Any, Any, Any, Any]):
    """Columns as they are: going through thousands of cells one by one takes long."""

    def to_representation(self, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return columns


class TableSerializer(IdentitySerializer, EnvelopeSerializer):
    """All constituencies of an election, in columns."""

    count = serializers.IntegerField(help_text="Rows.")
    columns = serializers.ListField(child=serializers.CharField())
    # Only a name of the answer: the class itself loses it to its fields.
    data = ColumnsField(  # type: ignore[assignment]
        help_text="A list for each column; the n-th of all lists is one constituency. "
        "In the order of the contract ids."
    )


@described(example=examples.TABLE)
class ElectionTableView(OfElection):
    """All constituencies in one compact answer, a list for each column."""

    serializer_class = TableSerializer
    filterset_class = TableParameters

    def figures(self, asked: Asked) -> Told:
        election = self.get_object()
        columns = asked["columns"] or DEFAULT_COLUMNS
        table = queries.constituency_table(election.pk, columns)
        if (moments := table.columns.get("last_transaction_at")) is not None:
            table.columns["last_transaction_at"] = [_written(each) for each in moments]
        figures = {"count": table.count, "columns": columns, "data": table.columns}
        return identity(election) | figures, self.provenance(election, table.as_of)


@described(example=examples.MEMBERS)
class ElectionConstituenciesView(mixins.ListModelMixin, GenericAPIView[Constituency]):
    """All constituencies of an election with their current figures, by contract id.

    `as_of`, `coverage` and `is_simulated` are those of the election.
    """

    queryset = queries.constituencies_with_rates()
    serializer_class = MemberSerializer
    filterset_class = MemberFilterSet
    filter_backends = DEFAULTS
    pagination_class = FiguresPagination
    # The filter backend reads the parameters of lists only.
    detail = False
    search_fields = ["name", "district", "contract_id"]
    ordering = ["contract_id"]
    ordering_fields = {
        name: queries.TABLE_COLUMNS[name]
        for name in queries.TABLE_COLUMNS
        if name not in {"district", "version"}
    } | {"metrics_updated_at": "metrics_updated_at"}

    @staticmethod
    def answer_tags(request: HttpRequest, slug: str, **_: str) -> list[str]:
        return [election_tag(slug)]

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        live_id = events.live_id(kwargs["slug"])
        # Parameters first, as everywhere.
        members = self.filter_queryset(self.get_queryset())
        election = get_object_or_404(Election, slug=kwargs["slug"])
        page = self.paginate_queryset(members.filter(election=election))
        scope = queries.Scope(election=election)
        source = Provenance(
            queries.as_of_in(scope).get(election.pk),
            queries.coverage_in(scope),
            election.is_simulated,
            live_id,
        )
        rows = self.get_serializer(page, many=True)
        answer = self.get_paginated_response(rows.data)
        answer.data |= envelope(source)
        return answer


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
