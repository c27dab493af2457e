"""The ways into the ledger over HTTP, and what became of what came in."""

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_orjson_renderer.parsers import ORJSONParser
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.filters import SearchFilter
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from elections.api.permissions import LedgerAccess, MayFeed
from transactions import queries
from transactions.api import ledger
from transactions.api.filters import ImportBatchFilterSet
from transactions.api.limits import (
    MULTIPART_BYTES,
    BackPressure,
    BoundedBody,
    TooLarge,
)
from transactions.api.pagination import LedgerPagination
from transactions.api.serializers import (
    ConflictingRowSerializer,
    ImportBatchSerializer,
    PostedAnswerSerializer,
    PostedRowsSerializer,
    RejectedRowSerializer,
    UploadSerializer,
    VanishedRowSerializer,
)
from transactions.models import (
    ConflictingRow,
    ImportBatch,
    RejectedRow,
    Transaction,
    VanishedRow,
)
from transactions.services import UnusableName, load_rows, receive_upload

ROWS = "transactions"
DEFAULTS: Any = api_settings.DEFAULT_FILTER_BACKENDS


class TransactionViewSet(BoundedBody, viewsets.GenericViewSet[Transaction]):
    """Rows of the ledger, fed by whoever has them first."""

    queryset = ledger.ledger()
    permission_classes = [LedgerAccess]
    parser_classes = [ORJSONParser]
    serializer_class = PostedRowsSerializer
    filterset_class = ledger.LedgerFilterSet
    filter_backends = ledger.LEDGER_BACKENDS
    pagination_class = LedgerPagination
    bound_filterset: ledger.LedgerFilterSet

    def largest_body(self) -> int:
        return settings.API_BATCH_BYTES

    def get_throttles(self) -> list[Any]:
        feeding = [] if self.action == "list" else [BackPressure()]
        return [*super().get_throttles(), *feeding]

    @extend_schema(responses=ledger.LedgerRowSerializer(many=True))
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the transactions of a constituency, the oldest first, by pages.

        Also those that are rolled back, refused or revotes. Follow `next`: rows that come
        in meanwhile move no page.
        """
        rows = self.filter_queryset(self.get_queryset())
        page = self.paginate_queryset(rows)
        described = ledger.LedgerRowSerializer(page or [], many=True)
        constituency = self.bound_filterset.form.cleaned_data["constituency"]
        answer = self.get_paginated_response(described.data)
        answer.data |= ledger.provenance(constituency)
        return answer

    @extend_schema(
        request=PostedRowsSerializer,
        responses={status.HTTP_200_OK: PostedAnswerSerializer},
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Load up to 10,000 rows; the same rows again change nothing.

        A row that cannot be loaded is listed with its reason, and the others go on. One
        of an unknown constituency is kept: staff load it when they have registered that.
        """
        rows = _rows(request.data)
        posted = load_rows(rows, source=f"Posted by {request.user.get_username()}")
        return Response(PostedAnswerSerializer(posted).data)


class ImportViewSet(
    BoundedBody,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[ImportBatch],
):
    """Files, uploads and requests, and what became of their rows; the newest first."""

    queryset = queries.import_batches()
    serializer_class = ImportBatchSerializer
    permission_classes = [MayFeed]
    filterset_class = ImportBatchFilterSet
    lookup_value_regex = r"[0-9]{1,18}"
    search_fields = ["name"]
    ordering = ["-id"]
    ordering_fields = {
        name: name
        for name in ("id", "started_at", "finished_at", "rows_read", "size_bytes")
    }

    def largest_body(self) -> int:
        return settings.UPLOAD_BYTES + MULTIPART_BYTES

    def get_parsers(self) -> list[Any]:
        return [MultiPartParser()]

    @extend_schema(
        request={"multipart/form-data": UploadSerializer},
        responses={status.HTTP_202_ACCEPTED: ImportBatchSerializer},
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Upload an export file or a zip archive; poll `imports/{id}/` for the rest."""
        wanted = UploadSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        file = wanted.validated_data["file"]
        if file.size > settings.UPLOAD_BYTES:
            raise TooLarge(
                f"Send a file of at most {settings.UPLOAD_BYTES:,} bytes.",
                "file_too_large",
            )
        try:
            batch = receive_upload(
                file,
                name=file.name,
                election=wanted.validated_data.get("election"),
                uploaded_by=request.user,
                now=timezone.now(),
            )
        except UnusableName as error:
            raise _invalid("file", str(error), "file_name_not_usable") from error
        found = queries.import_batch(batch.pk)
        return Response(
            self.get_serializer(found).data, status=status.HTTP_202_ACCEPTED
        )

    def get_object(self) -> ImportBatch:
        batch = super().get_object()
        return queries.with_progress(batch)


class RowsOfBatch(mixins.ListModelMixin, viewsets.GenericViewSet[Any]):
    """Rows of one batch, or of all files of an upload, in their order."""

    permission_classes = [MayFeed]
    filter_backends = [backend for backend in DEFAULTS if backend is not SearchFilter]

    def get_queryset(self) -> "QuerySet[Any]":
        batch = get_object_or_404(ImportBatch, pk=self.kwargs.get("pk"))
        return queries.rows_of_batch(super().get_queryset(), batch.pk)


class RejectedRows(RowsOfBatch):
    """Rows that could not be loaded, with the reason."""

    queryset = RejectedRow.objects.select_related("batch")
    serializer_class = RejectedRowSerializer


class ConflictingRows(RowsOfBatch):
    """Rows that say something else of a known transaction than the ledger does."""

    queryset = ConflictingRow.objects.select_related("batch", "constituency")
    serializer_class = ConflictingRowSerializer


class VanishedRows(RowsOfBatch):
    """Transactions that an earlier version of a file had and this one lacks."""

    queryset = VanishedRow.objects.select_related("batch", "constituency", "earlier")
    serializer_class = VanishedRowSerializer


def _rows(body: object) -> list[object]:
    """Return the rows of a request's body.

    Raises:
        ValidationError: it is something else than an object with a list of rows.
        TooLarge: there are too many.
    """
    if not isinstance(body, dict) or ROWS not in body:
        raise _invalid(ROWS, 'Send an object: {"transactions": [...]}.', "required")
    rows = body[ROWS]
    if not isinstance(rows, list):
        raise _invalid(ROWS, "Send a list of rows.", "not_a_list")
    most = settings.API_BATCH_ROWS
    if len(rows) > most:
        raise TooLarge(
            f"Send at most {most:,} rows at once; these are {len(rows):,}.",
            "too_many_transactions",
        )
    return rows


def _invalid(parameter: str, message: str, code: str) -> ValidationError:
    return ValidationError({parameter: [ErrorDetail(message, code=code)]})
