"""Files that were loaded, and files that wait for their constituency."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from elections.admin import cells
from elections.admin.base import M, ReadOnlyAdmin
from elections.admin.filters import (
    ConstituencyFilter,
    ElectionOfConstituencyFilter,
    TextFilter,
)
from elections.models import Constituency
from transactions.admin.uploads import ExportUploadPage
from transactions.models import (
    BatchKind,
    BatchStatus,
    ConflictingRow,
    ImportBatch,
    RejectedRow,
    VanishedRow,
    WaitingBatch,
)
from transactions.services import ImportSummary, discard, load_waiting

STATUS_KINDS = {
    BatchStatus.QUEUED: "busy",
    BatchStatus.RUNNING: "busy",
    BatchStatus.LOADED: "good",
    BatchStatus.UNCHANGED: "quiet",
    BatchStatus.WAITING: "busy",
    BatchStatus.FAILED: "bad",
    BatchStatus.INTERRUPTED: "bad",
}
PROBLEMS_SHOWN = 5


class BatchFilter(TextFilter):
    """By the batch of a row."""

    title = "batch"
    names = ("batch",)
    lookup = "batch_id"
    is_number = True


class UploadFilter(TextFilter):
    """By the upload that brought a file."""

    title = "upload"
    names = ("upload",)
    lookup = "parent_id"
    is_number = True


class AttentionFilter(admin.SimpleListFilter):
    """Batches in which something was not simply loaded."""

    title = "what to look at"
    parameter_name = "with"

    def lookups(self, request: Any, model_admin: Any) -> Any:
        return [
            ("any", "Anything"),
            ("rejected", "Rejected rows"),
            ("conflicting", "Conflicting rows"),
            ("vanished", "Vanished rows"),
            ("outside_interval", "Rows outside their hour"),
        ]

    def queryset(self, request: Any, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        column = self.value()
        if column == "any":
            some = Q(rejected__gt=0) | Q(conflicting__gt=0) | Q(vanished__gt=0)
            return queryset.filter(some | Q(outside_interval__gt=0))
        if column in {"rejected", "conflicting", "vanished", "outside_interval"}:
            return queryset.filter(**{f"{column}__gt": 0})
        return queryset


class BatchPages(ReadOnlyAdmin[M]):
    """How batches look, whichever list they are in."""

    ordering = ["-id"]

    @admin.display(description="file", ordering="name")
    def file(self, obj: Any) -> SafeString:
        return cells.short(obj.name)

    @admin.display(description="hour in the name", ordering="interval")
    def hour(self, obj: Any) -> SafeString:
        return cells.label_hour(obj.interval)

    @admin.display(description="size", ordering="size_bytes")
    def size(self, obj: Any) -> SafeString:
        return cells.number(obj.size_bytes)

    @admin.display(description="SHA-256")
    def content(self, obj: Any) -> SafeString:
        return cells.digest(obj.sha256)

    @admin.display(description="started", ordering="started_at")
    def started(self, obj: Any) -> SafeString:
        return cells.moment(obj.started_at)

    @admin.display(description="finished", ordering="finished_at")
    def finished(self, obj: Any) -> SafeString:
        return cells.moment(obj.finished_at)


class ImportBatchAdmin(ExportUploadPage, BatchPages[ImportBatch]):
    list_display = [
        "id",
        "file",
        "state",
        "problem",
        "read",
        "loaded",
        "known",
        "in_conflict",
        "refused",
        "gone",
        "outside",
        "place",
        "hour",
        "kind",
        "started",
    ]
    list_display_links = ["id", "file"]
    list_filter = [
        "status",
        AttentionFilter,
        "kind",
        UploadFilter,
        ElectionOfConstituencyFilter,
        ConstituencyFilter,
    ]
    list_select_related = ["constituency"]
    search_fields = ["name", "contract_id__exact"]
    search_help_text = "A part of the file's name, or a whole contract id"
    fields = [
        "name",
        "state",
        "problem_in_full",
        "kind",
        "upload_or_files",
        "place",
        "contract_id",
        "hour",
        ("started", "finished"),
        ("read", "loaded", "known"),
        ("in_conflict", "refused", "gone", "outside"),
        "size",
        "content",
        "chunks",
    ]

    @admin.display(description="status", ordering="status")
    def state(self, obj: ImportBatch) -> SafeString:
        kind = STATUS_KINDS.get(BatchStatus(obj.status), "quiet")
        return cells.badge(kind, obj.status)

    @admin.display(description="constituency", ordering="constituency")
    def place(self, obj: ImportBatch) -> SafeString:
        return constituency_link(obj.constituency)

    @admin.display(description="upload")
    def upload_or_files(self, obj: ImportBatch) -> SafeString:
        if obj.kind == BatchKind.UPLOAD:
            address = cells.list_url(ImportBatch, upload=obj.pk)
            return cells.link(address, "Files in it")
        return (
            batch_link(obj.parent.pk, obj.parent.name) if obj.parent else cells.NOTHING
        )

    @admin.display(description="rows read", ordering="rows_read")
    def read(self, obj: ImportBatch) -> SafeString:
        return cells.number(obj.rows_read)

    @admin.display(description="accepted", ordering="accepted")
    def loaded(self, obj: ImportBatch) -> SafeString:
        return cells.number(obj.accepted)

    @admin.display(description="duplicate", ordering="duplicate")
    def known(self, obj: ImportBatch) -> SafeString:
        return cells.number(obj.duplicate)

    @admin.display(description="rejected", ordering="rejected")
    def refused(self, obj: ImportBatch) -> SafeString:
        address = cells.list_url(RejectedRow, batch=obj.pk, state="all")
        return _linked(obj, obj.rejected, address)

    @admin.display(description="conflicting", ordering="conflicting")
    def in_conflict(self, obj: ImportBatch) -> SafeString:
        address = cells.list_url(ConflictingRow, batch=obj.pk)
        return _linked(obj, obj.conflicting, address)

    @admin.display(description="vanished", ordering="vanished")
    def gone(self, obj: ImportBatch) -> SafeString:
        address = cells.list_url(VanishedRow, batch=obj.pk)
        return _linked(obj, obj.vanished, address)

    @admin.display(description="outside its hour", ordering="outside_interval")
    def outside(self, obj: ImportBatch) -> SafeString:
        return cells.number(obj.outside_interval)

    @admin.display(description="problem")
    def problem(self, obj: ImportBatch) -> SafeString:
        return cells.short(obj.error)

    @admin.display(description="problem")
    def problem_in_full(self, obj: ImportBatch) -> SafeString:
        return cells.whole(obj.error)


class WaitingBatchAdmin(BatchPages[WaitingBatch]):
    list_display = ["id", "file", "next_step", "contract", "hour", "size", "started"]
    list_display_links = ["id", "file"]
    search_fields = ["name", "contract_id__exact"]
    search_help_text = "A part of the file's name, or a whole contract id"
    fields = ["name", "contract_id", "next_step", "problem", "hour", "size", "started"]
    actions = ["load", "discard"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[WaitingBatch]":
        files = super().get_queryset(request).exclude(kind=BatchKind.UPLOAD)
        kept = files.filter(status=BatchStatus.WAITING)
        known = Constituency.objects.filter(contract_id=OuterRef("contract_id"))
        # A file of many contracts names none: loading it again tells.
        return kept.annotate(is_registered=Q(contract_id="") | Exists(known))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("transactions.view_importbatch")

    def has_load_permission(self, request: HttpRequest) -> bool:
        """Tell whether this user may put waiting files into the ledger."""
        return request.user.has_perm("transactions.change_importbatch")

    @admin.action(
        description="Load those whose constituency is registered now",
        permissions=["load"],
    )
    def load(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        ready = list(queryset.filter(is_registered=True).order_by("interval", "id"))
        left = queryset.filter(is_registered=False).count()
        if ready:
            tell_import(request, load_waiting(ready))
        if left:
            messages.warning(
                request,
                f"{_files(left)} still waiting: register their constituencies first.",
            )

    @admin.action(
        description="Discard: nobody will register them", permissions=["load"]
    )
    def discard(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        batches = list(queryset)
        discard(batches)
        messages.success(request, f"Discarded: {len(batches):,}.")

    @admin.display(description="contract id", ordering="contract_id")
    def contract(self, obj: WaitingBatch) -> SafeString:
        return cells.code(obj.contract_id, 50)

    @admin.display(description="next step", ordering="is_registered")
    def next_step(self, obj: Any) -> SafeString:
        if not obj.contract_id:
            rows = cells.list_url(RejectedRow, batch=obj.pk)
            return cells.links(
                [("register the contracts of its rows, then load it", rows)]
            )
        if obj.is_registered:
            return cells.badge("good", "registered: load it")
        address = reverse("admin:elections_constituency_add")
        query = urlencode({"contract_id": obj.contract_id})
        return cells.link(f"{address}?{query}", "Register constituency")

    @admin.display(description="why it waits")
    def problem(self, obj: WaitingBatch) -> SafeString:
        return cells.whole(obj.error)


def constituency_link(constituency: Constituency | None) -> SafeString:
    """Return a link to a constituency, or a dash."""
    if constituency is None:
        return cells.NOTHING
    label = cells.short(constituency.name, 40)
    return cells.link(cells.change_url(constituency), label)


def batch_link(batch_id: int, name: str) -> SafeString:
    """Return a link to a batch; its name may not be known."""
    address = reverse("admin:transactions_importbatch_change", args=[batch_id])
    return cells.link(address, format_html("{} {}", batch_id, cells.short(name, 40)))


def tell_import(request: HttpRequest, summary: ImportSummary) -> None:
    """Tell staff what an import did, and what it could not do."""
    loaded = summary.files - summary.files_waiting - summary.files_failed
    messages.success(
        request,
        f"{loaded:,} of {summary.files:,} files loaded: {rows_sentence(summary)}",
    )
    for name, problem in summary.problems[:PROBLEMS_SHOWN]:
        messages.error(request, f"{name}: {problem}")
    if (more := len(summary.problems) - PROBLEMS_SHOWN) > 0:
        messages.error(request, f"… and {more:,} more, see Import batches.")


def rows_sentence(summary: ImportSummary) -> str:
    """Return what became of the rows of an import."""
    return (
        f"{summary.accepted:,} rows accepted, {summary.duplicate:,} duplicate, "
        f"{summary.conflicting:,} conflicting, {summary.rejected:,} rejected."
    )


def _files(count: int) -> str:
    return f"{count:,} files are" if count > 1 else "1 file is"


def _linked(batch: ImportBatch, count: int, address: str) -> SafeString:
    """Return a count with a link to the rows; those of an upload belong to its files."""
    if batch.kind == BatchKind.UPLOAD:
        address = cells.list_url(ImportBatch, upload=batch.pk)
    return cells.link(address, cells.number(count)) if count else cells.number(0)
