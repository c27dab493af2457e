"""What files say against each other: conflicts, vanished rows, rollbacks."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from elections.admin import cells
from elections.admin.base import M, ReadOnlyAdmin
from elections.admin.filters import (
    ConstituencyFilter,
    ElectionOfConstituencyFilter,
    TextFilter,
)
from transactions.admin.batches import BatchFilter, batch_link, constituency_link
from transactions.models import (
    ConflictingRow,
    ConflictKind,
    ImportBatch,
    RollbackEvent,
    VanishedRow,
)

# In the order in which staff compare them.
COMPARED = [
    "timestamp",
    "operation",
    "outcome",
    "quantity",
    "rolled_back",
    "polling_station",
    "sender",
    "payload",
]


class TransactionFilter(TextFilter):
    """By the exact id of a transaction."""

    title = "transaction id"
    names = ("tx_id",)
    lookup = "tx_id"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field of a transaction in two versions."""

    name: str
    stored: object
    incoming: object

    @property
    def differs(self) -> bool:
        """Tell whether the versions disagree here."""
        return self.stored != self.incoming


class TransactionRowAdmin(ReadOnlyAdmin[M]):
    """Rows about a transaction of a constituency."""

    ordering = ["-id"]
    list_select_related = ["constituency"]

    @admin.display(description="constituency")
    def place(self, obj: Any) -> SafeString:
        return constituency_link(obj.constituency)

    @admin.display(description="transaction")
    def transaction(self, obj: Any) -> SafeString:
        return ledger_link(obj.constituency.contract_id, obj.tx_id)


class ConflictingRowAdmin(TransactionRowAdmin[ConflictingRow]):
    change_form_template = "admin/transactions/conflictingrow/change_form.html"
    list_display = ["id", "transaction", "place", "kind", "differing", "batch", "line"]
    list_filter = [
        "kind",
        ElectionOfConstituencyFilter,
        ConstituencyFilter,
        TransactionFilter,
        BatchFilter,
    ]
    list_select_related = ["constituency", "batch"]
    fields = ["transaction", "place", "kind_in_words"]

    @admin.display(description="what happened")
    def kind_in_words(self, obj: ConflictingRow) -> str:
        if obj.kind == ConflictKind.CONTENT:
            return (
                "Two files say different things of one transaction. What was loaded "
                "first counts; the other version is kept here and changes no figure."
            )
        return (
            "Two files disagree whether the transaction is rolled back. The statement "
            "of the later hour holds; the other one is kept here."
        )

    @admin.display(description="differs in")
    def differing(self, obj: ConflictingRow) -> str:
        names = [row.name for row in compare(obj) if row.differs]
        return ", ".join(names) or "–"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = self._versions(row) if row else {}
        return super().change_view(
            request, object_id, form_url, {**context, **(extra_context or {})}
        )

    def _versions(self, row: ConflictingRow) -> dict[str, Any]:
        stored = ImportBatch.objects.filter(pk=row.stored_batch_id).first()
        return {
            "comparison": compare(row),
            "stored_batch": batch_link(
                row.stored_batch_id, stored.name if stored else ""
            ),
            "incoming_batch": batch_link(row.batch_id, row.batch.name),
            "incoming_line": row.line,
        }


class VanishedRowAdmin(TransactionRowAdmin[VanishedRow]):
    list_display = ["id", "transaction", "place", "hour", "seen_in", "missing_from"]
    list_filter = [
        ElectionOfConstituencyFilter,
        ConstituencyFilter,
        TransactionFilter,
        BatchFilter,
    ]
    list_select_related = ["constituency", "batch", "earlier"]
    fields = ["transaction", "place", "hour", "seen_in", "missing_from"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[VanishedRow]":
        # Eight bytes per line of an hour file are of no use here.
        return super().get_queryset(request).defer("earlier__row_hashes")

    @admin.display(description="hour of the file", ordering="earlier__interval")
    def hour(self, obj: VanishedRow) -> SafeString:
        return cells.label_hour(obj.earlier.interval)

    @admin.display(description="seen in")
    def seen_in(self, obj: VanishedRow) -> SafeString:
        address = reverse("admin:transactions_feedhour_change", args=[obj.earlier_id])
        return cells.link(address, f"version {obj.earlier.version}")

    @admin.display(description="missing from")
    def missing_from(self, obj: VanishedRow) -> SafeString:
        return batch_link(obj.batch_id, obj.batch.name)


class RollbackEventAdmin(TransactionRowAdmin[RollbackEvent]):
    list_display = ["id", "transaction", "place", "state", "by_batch", "recorded"]
    list_filter = [ConstituencyFilter, TransactionFilter, BatchFilter]
    list_select_related = ["constituency", "batch"]
    fields = ["transaction", "place", "state", "by_batch", "recorded", "position"]

    @admin.display(description="became", ordering="rolled_back")
    def state(self, obj: RollbackEvent) -> SafeString:
        return rollback_badge(obj)

    @admin.display(description="by batch")
    def by_batch(self, obj: RollbackEvent) -> SafeString:
        return batch_link(obj.batch_id, obj.batch.name)

    @admin.display(description="recorded", ordering="recorded_at")
    def recorded(self, obj: RollbackEvent) -> SafeString:
        return cells.moment(obj.recorded_at)


def compare(row: ConflictingRow) -> list[Comparison]:
    """Return both versions field by field, fields of older software at the end."""
    more = sorted({*row.stored, *row.incoming}.difference(COMPARED))
    return [
        Comparison(name, row.stored.get(name), row.incoming.get(name))
        for name in [*COMPARED, *more]
    ]


def ledger_url(**search: object) -> str:
    """Return the address of the ledger with a search filled in."""
    return f"{reverse('admin:transactions_ledger_changelist')}?{urlencode(search)}"


def ledger_link(contract_id: str, tx_id: str) -> SafeString:
    """Return a link to a transaction of the ledger."""
    address = ledger_url(constituency=contract_id, tx_id=tx_id)
    return cells.link(address, cells.code(tx_id, 20))


def rollback_badge(event: RollbackEvent) -> SafeString:
    """Return what a transaction became by an event."""
    if event.rolled_back:
        return cells.badge("bad", "rolled back")
    return cells.badge("good", "came back")
