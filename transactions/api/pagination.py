"""Pages of the ledger: by time and id, not by number."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import orjson
from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.utils.urls import replace_query_param

from transactions.models import Transaction

if TYPE_CHECKING:
    from rest_framework.pagination import LimitOffsetPagination as DefaultPagination
else:
    DefaultPagination = api_settings.DEFAULT_PAGINATION_CLASS


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: behind a row, or before it."""

    timestamp: datetime
    tx_id: str
    is_backwards: bool

    def written(self) -> str:
        """Return it as a word that fits into an address."""
        content = [self.timestamp.isoformat(), self.tx_id, self.is_backwards]
        return urlsafe_b64encode(orjson.dumps(content)).decode()

    @classmethod
    def read(cls, word: str) -> Self:
        """Return what `written` wrote.

        Raises:
            ValueError: something else did.
        """
        content = orjson.loads(urlsafe_b64decode(word.encode("ascii")))
        if not isinstance(content, list) or list(map(type, content)) != [
            str,
            str,
            bool,
        ]:
            raise ValueError(word)
        moment, tx_id, is_backwards = content
        timestamp = parse_datetime(moment)
        if timestamp is None or timestamp.tzinfo is None or "\0" in tx_id:
            raise ValueError(word)
        return cls(timestamp, tx_id, is_backwards)

    def choose(self, rows: "QuerySet[Transaction]") -> "QuerySet[Transaction]":
        """Return the rows on its side, the nearest first."""
        if self.is_backwards:
            near = rows.filter(timestamp__lte=self.timestamp)
            beyond = Q(timestamp__lt=self.timestamp) | Q(tx_id__lt=self.tx_id)
            return near.filter(beyond).order_by("-timestamp", "-tx_id")
        # The first condition alone lets an index on the time be used.
        near = rows.filter(timestamp__gte=self.timestamp)
        return near.filter(Q(timestamp__gt=self.timestamp) | Q(tx_id__gt=self.tx_id))


class LedgerPagination(DefaultPagination):
    """Pages by time and id: where one begins does not move while rows come in.

    Any number of rows may have the same time, which DRF's own cursor cannot page through.
    """

    cursor_query_param = "cursor"
    # Set by `paginate_queryset`.
    limit: int
    request: Request

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None
    ) -> list[Any]:
        self.request, self.limit = request, self.get_limit(request) or 0
        cursor = self._cursor()
        found = list(
            (cursor.choose(queryset) if cursor else queryset)[: self.limit + 1]
        )
        has_more, page = len(found) > self.limit, found[: self.limit]
        is_backwards = cursor is not None and cursor.is_backwards
        if is_backwards:
            page.reverse()
        self._next = self._address(page[-1:], is_backwards or has_more, False)
        comes_from_before = cursor is not None and not is_backwards
        has_earlier = has_more if is_backwards else comes_from_before
        self._previous = self._address(page[:1], has_earlier, True)
        return page

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {"next": self._next, "previous": self._previous, "results": data}
        )

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the limit, and the cursor in the place of the offset."""
        [limit, _] = super().get_schema_operation_parameters(view)
        return [
            limit,
            {
                "name": self.cursor_query_param,
                "in": "query",
                "required": False,
                "description": "From `next` or `previous` of a page.",
                "schema": {"type": "string"},
            },
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe a page: no count, which would read all rows."""
        link = {
            "type": ["string", "null"],
            "format": "uri-reference",
            "example": "/api/v1/transactions/?constituency=CJ9v…&cursor=WyIyMDI2…",
        }
        count = {"type": "integer", "minimum": 0, "example": 4}
        envelope = {
            "as_of": {
                "type": ["string", "null"],
                "format": "date-time",
                "example": "2026-09-18T12:50:00Z",
            },
            "coverage": {
                "type": ["object", "null"],
                "required": ["received", "expected"],
                "properties": {"received": count, "expected": count},
            },
            "is_simulated": {"type": "boolean", "example": False},
        }
        return {
            "type": "object",
            "required": ["next", "previous", "results", *envelope],
            "properties": {
                "next": link,
                "previous": link,
                "results": schema,
                **envelope,
            },
        }

    def _cursor(self) -> Cursor | None:
        word = self.request.query_params.get(self.cursor_query_param)
        if not word:
            return None
        try:
            return Cursor.read(word)
        except (ValueError, OverflowError, binascii.Error) as error:
            detail = ErrorDetail("No page begins there.", code="invalid_cursor")
            raise ValidationError({self.cursor_query_param: [detail]}) from error

    def _address(
        self, edge: Sequence[Transaction], has_rows: bool, is_backwards: bool
    ) -> str | None:
        if not (edge and has_rows):
            return None
        cursor = Cursor(edge[0].timestamp, edge[0].tx_id, is_backwards)
        path = self.request.get_full_path()
        return replace_query_param(path, self.cursor_query_param, cursor.written())
