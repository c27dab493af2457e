"""Lines that could not be read: find them, correct them, load them."""

import csv
from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from elections.admin import cells
from elections.admin.base import ReadOnlyAdmin
from elections.admin.filters import (
    ElectionFilter,
    FormFilter,
    Input,
)
from elections.spreadsheets import neutralised
from transactions.admin.batches import (
    PROBLEMS_SHOWN,
    BatchFilter,
    batch_link,
    rows_sentence,
)
from transactions.formats import Reason
from transactions.models import RejectedRow
from transactions.services import CannotRetry, ImportSummary, retry_rejected

EXPORT_COLUMNS = [
    "batch",
    "file",
    "line",
    "code",
    "message",
    "raw",
    "is_cut",
    "resolved_by",
]
EXPORT_CHUNK_ROWS = 2_000


class ResolvedFilter(admin.SimpleListFilter):
    """Open rows, unless others are asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: Any, model_admin: Any) -> Any:
        return [("open", "Open"), ("resolved", "Corrected"), ("all", "All")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        for value, label in self.lookup_choices:
            yield {
                "selected": (self.value() or "open") == value,
                "query_string": changelist.get_query_string({"state": value}),
                "display": label,
            }

    def queryset(self, request: Any, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        if self.value() == "all":
            return queryset
        return queryset.filter(resolved_by__isnull=self.value() != "resolved")


class ReasonFilter(FormFilter):
    """By the reason of the refusal, of which there are dozens."""

    title = "reason"
    names = ("code",)

    def inputs(self) -> list[Input]:
        codes = [(reason.code, reason.code) for reason in Reason]
        options = [("", "All"), *sorted(codes)]
        return [Input("code", "Reason", self.value("code"), "select", options)]

    def queryset(self, request: Any, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        code = self.value("code")
        return queryset.filter(code=code) if code else queryset


class ElectionOfBatchFilter(ElectionFilter):
    path = "batch__constituency__election"


class CorrectionForm(forms.Form):
    """The whole line, as it should have been."""

    corrected = forms.CharField(
        label="Corrected line",
        strip=False,
        widget=forms.Textarea({"rows": 10, "class": "em-raw", "spellcheck": "false"}),
    )

    def clean_corrected(self) -> str:
        text: str = self.cleaned_data["corrected"]
        return text.strip("\r\n")


class RejectedRowAdmin(ReadOnlyAdmin[RejectedRow]):
    list_display = ["place", "of_batch", "line", "code", "reason", "start", "state"]
    list_display_links = ["place"]
    list_filter = [ResolvedFilter, ReasonFilter, BatchFilter, ElectionOfBatchFilter]
    list_select_related = ["batch"]
    search_fields = ["message", "raw"]
    search_help_text = "A part of the reason or of the line"
    ordering = ["-id"]
    actions = ["try_again", "export_csv"]

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Tell whether this user may load corrected lines."""
        return request.user.has_perm("transactions.change_rejectedrow")

    @admin.display(description="row", ordering="id")
    def place(self, obj: RejectedRow) -> str:
        return f"#{obj.pk}"

    @admin.display(description="batch", ordering="batch")
    def of_batch(self, obj: RejectedRow) -> SafeString:
        return batch_link(obj.batch_id, obj.batch.name)

    @admin.display(description="reason", ordering="code")
    def reason(self, obj: RejectedRow) -> SafeString:
        return cells.short(obj.message, 80)

    @admin.display(description="line as it came")
    def start(self, obj: RejectedRow) -> SafeString:
        return cells.code(obj.raw, 60)

    @admin.display(description="state", ordering="resolved_by")
    def state(self, obj: RejectedRow) -> SafeString:
        if obj.resolved_by_id:
            return cells.badge("good", "corrected")
        return cells.badge("bad", "open")

    # Not change_view's own way: it opens a database transaction, in which no chunk can
    # be loaded.
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        if row is None:
            return self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined, no-any-return]
                request, self.opts, object_id
            )
        can_retry = self.has_retry_permission(request) and not row.resolved_by_id
        if request.method == "POST" and not self.has_retry_permission(request):
            raise PermissionDenied
        form = CorrectionForm(request.POST or None, initial={"corrected": row.raw})
        if request.method == "POST" and self._is_loaded(request, row, form):
            return redirect(cells.list_url(RejectedRow))
        return self._page(request, row, form if can_retry else None, extra_context)

    def _page(
        self,
        request: HttpRequest,
        row: RejectedRow,
        form: CorrectionForm | None,
        extra_context: dict[str, Any] | None,
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"Rejected line {row.line:,}",
            "opts": self.opts,
            "original": row,
            "batch": batch_link(row.batch_id, row.batch.name),
            "resolved_by": row.resolved_by
            and batch_link(row.resolved_by.pk, row.resolved_by.name),
            "form": form,
            "media": self.media,
            "is_popup": IS_POPUP_VAR in request.GET,
            **(extra_context or {}),
        }
        return TemplateResponse(
            request, "admin/transactions/rejectedrow/fix.html", context
        )

    def _is_loaded(
        self, request: HttpRequest, row: RejectedRow, form: CorrectionForm
    ) -> bool:
        """Load the corrected line; where that fails, the form says why."""
        if row.resolved_by_id:
            form.add_error(
                None, "Somebody has loaded a correction of this line already."
            )
        if not form.is_valid():
            return False
        try:
            summary = retry_rejected(row, form.cleaned_data["corrected"])
        except CannotRetry as error:
            form.add_error("corrected", str(error))
            return False
        self.log_change(request, row, "Loaded the corrected line.")
        _tell_correction(request, row, summary)
        return True

    @admin.action(description="Try again as it is", permissions=["retry"])
    def try_again(
        self, request: HttpRequest, queryset: "QuerySet[RejectedRow]"
    ) -> None:
        total, refusals = ImportSummary(), []
        rows = queryset.filter(resolved_by=None).select_related("batch")
        tried = 0
        for row in rows.order_by("batch_id", "line").iterator(chunk_size=100):
            tried += 1
            try:
                total += retry_rejected(row, row.raw)
            except CannotRetry as error:
                refusals.append(f"Batch {row.batch_id}, line {row.line}: {error}")
        if done := tried - len(refusals):
            messages.success(request, f"{_lines(done)} loaded: {rows_sentence(total)}")
        for sentence in refusals[:PROBLEMS_SHOWN]:
            messages.error(request, sentence)
        if (more := len(refusals) - PROBLEMS_SHOWN) > 0:
            messages.error(request, f"{_lines(more)} more cannot be loaded either.")
        if not tried:
            messages.warning(request, "All of these lines have been corrected before.")

    @admin.action(description="Export as CSV", permissions=["view"])
    def export_csv(
        self, request: HttpRequest, queryset: "QuerySet[RejectedRow]"
    ) -> StreamingHttpResponse:
        rows = queryset.select_related("batch").order_by("id")
        return StreamingHttpResponse(
            _csv_lines(rows),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="rejected-rows.csv"'},
        )


class _Line:
    """A file that hands back what is written to it."""

    def write(self, text: str) -> str:
        return text


def _csv_lines(rows: "QuerySet[RejectedRow]") -> Iterator[str]:
    writer = csv.writer(_Line())
    # The mark makes spreadsheets read the text as UTF-8.
    yield "\ufeff" + writer.writerow(EXPORT_COLUMNS)
    for row in rows.iterator(chunk_size=EXPORT_CHUNK_ROWS):
        values = [
            row.batch_id,
            row.batch.name,
            row.line,
            row.code,
            row.message,
            row.raw,
            "yes" if row.is_cut else "no",
            row.resolved_by_id or "",
        ]
        yield writer.writerow(neutralised(str(value)) for value in values)


def _tell_correction(
    request: HttpRequest, row: RejectedRow, summary: ImportSummary
) -> None:
    place = f"Line {row.line:,} of batch {row.batch_id}"
    if summary.accepted:
        messages.success(request, f"{place} is loaded.")
    elif summary.duplicate:
        messages.info(request, f"{place} says what the ledger holds already.")
    else:
        messages.warning(
            request,
            f"{place} contradicts what the ledger holds of its transaction: "
            "see Conflicting rows.",
        )


def _lines(count: int) -> str:
    return f"{count:,} lines" if count > 1 else "1 line"
