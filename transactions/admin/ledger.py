"""The ledger as a page of its own: found by id, by constituency or by time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied
from django.db import OperationalError, connection, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString

from elections.admin import cells
from elections.admin.base import ReadOnlyAdmin
from elections.models import Constituency
from transactions.admin.batches import batch_link, constituency_link
from transactions.admin.disagreements import ledger_url, rollback_badge
from transactions.models import (
    ConflictingRow,
    ImportBatch,
    Ledger,
    RollbackEvent,
    Transaction,
    VanishedRow,
)
from transactions.operations import Operation, Outcome

PAGE_ROWS = 100
# Without a constituency the rows of this time have to be sorted: 3 million at the peak.
LONGEST_PERIOD = timedelta(hours=1)
STATEMENT_TIMEOUT_MS = 10_000
# Of one id, which hardly ever stands in two constituencies.
MOST_STORIES = 5
DIGEST_DIGITS = 32
TOO_SLOW = "The search took too long. Name a constituency, or a shorter time."

Row = TypeVar("Row", RollbackEvent, ConflictingRow, VanishedRow)


class InstantField(forms.DateTimeField):
    """A time in UTC, as browsers write it or with an offset of its own."""

    widget = forms.DateTimeInput({"type": "datetime-local", "step": "1"})

    def to_python(self, value: Any) -> datetime | None:
        # `datetime.fromisoformat` of the standard field would take it for local time.
        moment = super().to_python(value)
        return moment and moment.replace(tzinfo=moment.tzinfo or UTC)


class SearchForm(forms.Form):
    """What to look for: an id, a constituency, or a short time."""

    tx_id = forms.CharField(label="Transaction id", required=False, max_length=512)
    constituency = forms.CharField(
        label="Contract id of the constituency", required=False, max_length=128
    )
    operation = forms.TypedChoiceField(
        choices=[
            ("", "any"),
            *((o.value, o.label.replace("_", " ")) for o in Operation),
        ],
        coerce=int,
        empty_value=None,
        required=False,
    )
    start = InstantField(label="From (UTC)", required=False)
    end = InstantField(label="Before (UTC)", required=False)

    def clean_constituency(self) -> Constituency | None:
        contract_id = self.cleaned_data["constituency"]
        if not contract_id:
            return None
        known = Constituency.objects.filter(contract_id=contract_id)
        constituency = known.select_related("election", "region").first()
        if constituency is None:
            raise forms.ValidationError("No constituency has this contract id.")
        return constituency

    def clean(self) -> dict[str, Any]:
        found = self.cleaned_data
        start, end = found.get("start"), found.get("end")
        if start and end and start >= end:
            raise forms.ValidationError("The start must lie before the end.")
        if self.errors or found.get("tx_id") or found.get("constituency"):
            return found
        if not (start and end):
            raise forms.ValidationError(
                "Give a transaction id, a constituency, or both ends of a time."
            )
        if end - start > LONGEST_PERIOD:
            raise forms.ValidationError(
                "Without a constituency the time may span one hour at most."
            )
        return found


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the ledger, and where the next one begins."""

    rows: list[Transaction]
    after: str = ""


class LedgerAdmin(ReadOnlyAdmin[Ledger]):
    """Takes the place of a list and of a form: neither knows composite keys."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("transactions.view_transaction")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        constituency = self.get_object(request, object_id)
        if constituency is None or not self.has_view_permission(request):
            return super().change_view(request, object_id, form_url, extra_context)
        return redirect(ledger_url(constituency=constituency.contract_id))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = SearchForm(request.GET if request.GET else None)
        page = Page([])
        if form.is_bound and form.is_valid():
            page = self._search(form, request.GET.get("after", ""))
        items = described(page.rows)
        context = {
            **self.admin_site.each_context(request),
            "title": "Ledger",
            "opts": self.opts,
            "media": self.media,
            "form": form,
            "is_searched": form.is_bound and not form.errors,
            "is_one_place": bool(form.data.get("constituency")),
            "rows": items,
            "stories": stories(items) if _is_by_id(form) else [],
            "next_page": _address(request, page.after) if page.after else "",
            "first_page": _address(request, "") if "after" in request.GET else "",
            **(extra_context or {}),
        }
        return TemplateResponse(
            request, "admin/transactions/ledger/change_list.html", context
        )

    def _search(self, form: SearchForm, after: str) -> Page:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}")
                return find(**form.cleaned_data, after=after)
        except ValueError:
            form.add_error(None, "This page does not exist. Search again.")
        except OperationalError:
            form.add_error(None, TOO_SLOW)
        return Page([])


def find(
    *,
    tx_id: str = "",
    constituency: Constituency | None = None,
    operation: int | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    after: str = "",
) -> Page:
    """Return the transactions that fit, in the order of time, a page at a time.

    Raises:
        ValueError: `after` is nothing that a page before has given.
    """
    rows = Transaction.objects.all()
    if tx_id:
        rows = rows.filter(tx_id=tx_id)
    if constituency:
        rows = rows.filter(constituency=constituency.pk)
    if operation is not None:
        rows = rows.filter(operation=operation)
    if start:
        rows = rows.filter(timestamp__gte=start)
    if end:
        rows = rows.filter(timestamp__lt=end)
    if after:
        rows = _after(rows, after)
    found = list(rows.order_by("timestamp", "tx_id", "constituency")[: PAGE_ROWS + 1])
    has_more = len(found) > PAGE_ROWS
    found = found[:PAGE_ROWS]
    return Page(found, _cursor(found[-1]) if has_more else "")


def _cursor(row: Transaction) -> str:
    return f"{row.timestamp.isoformat()} {row.constituency_id} {row.tx_id}"


def _after(rows: "QuerySet[Transaction]", cursor: str) -> "QuerySet[Transaction]":
    moment, constituency_id, tx_id = cursor.split(" ", 2)
    timestamp = parse_datetime(moment)
    if timestamp is None or timestamp.tzinfo is None or not constituency_id.isdecimal():
        raise ValueError(cursor)
    later_id = Q(tx_id__gt=tx_id) | Q(
        tx_id=tx_id, constituency__gt=int(constituency_id)
    )
    # The first condition alone lets an index on the time be used.
    return rows.filter(timestamp__gte=timestamp).filter(
        Q(timestamp__gt=timestamp) | Q(timestamp=timestamp) & later_id
    )


def _address(request: HttpRequest, after: str) -> str:
    """Return the same search, from the row behind `after` on."""
    query = {name: value for name, value in request.GET.items() if name != "after"}
    return f"?{urlencode(query | ({'after': after} if after else {}))}"


def _is_by_id(form: SearchForm) -> bool:
    return form.is_bound and bool(form.data.get("tx_id"))


@dataclass(frozen=True, slots=True)
class Item:
    """A transaction as the page shows it."""

    row: Transaction
    place: Constituency | None
    loaded_by: ImportBatch | None

    @property
    def time(self) -> SafeString:
        """Return the time stamp on the clock of the constituency."""
        zone = self.place.zone if self.place else UTC
        return cells.moment(self.row.timestamp, zone, timespec="milliseconds")

    @property
    def address(self) -> str:
        """Return the page of this one transaction."""
        place = {"constituency": self.place.contract_id} if self.place else {}
        return ledger_url(tx_id=self.row.tx_id, **place)

    @property
    def place_link(self) -> SafeString:
        """Return a link to the constituency."""
        return constituency_link(self.place)

    @property
    def batch(self) -> SafeString:
        """Return a link to the batch that loaded the transaction first."""
        return batch_link(
            self.row.batch_id, self.loaded_by.name if self.loaded_by else ""
        )

    @property
    def operation(self) -> str:
        """Return what the transaction asked for."""
        return Operation(self.row.operation).label.replace("_", " ")

    @property
    def outcome(self) -> str:
        """Return how the contract answered."""
        return Outcome(self.row.outcome).label

    @property
    def sender_hex(self) -> str:
        """Return the digest of the sender's key."""
        return bytes(self.row.sender or b"").hex()

    @property
    def payload_hex(self) -> str:
        """Return the digest of what was sent and written."""
        return bytes(self.row.payload or b"").hex()

    @property
    def recipients(self) -> list[str]:
        """Return the digests of the voters of an issue."""
        text = bytes(self.row.recipients or b"").hex()
        return [
            text[at : at + DIGEST_DIGITS] for at in range(0, len(text), DIGEST_DIGITS)
        ]

    @property
    def state(self) -> SafeString:
        """Return in a word what the transaction counts for."""
        row = self.row
        if row.rolled_back:
            return cells.badge("bad", "rolled back")
        if row.counted:
            return cells.badge("good", "counted")
        if row.outcome == Outcome.FAILED:
            return cells.badge("bad", "refused by the contract")
        if row.operation == Operation.VOTE_CAST and row.outcome == Outcome.ACCEPTED:
            return cells.badge("busy", "revote")
        return cells.badge("quiet", "a transaction only")


def described(rows: list[Transaction]) -> list[Item]:
    """Return what the page shows of each transaction."""
    places = Constituency.objects.select_related("election", "region").in_bulk(
        {row.constituency_id for row in rows}
    )
    names = ImportBatch.objects.in_bulk({row.batch_id for row in rows})
    return [
        Item(row, places.get(row.constituency_id), names.get(row.batch_id))
        for row in rows
    ]


def stories(items: list[Item]) -> list[dict[str, Any]]:
    """Return what happened to each transaction, and what files say against it."""
    return [
        {
            "item": item,
            "rollbacks": [
                {
                    "badge": rollback_badge(event),
                    "recorded": cells.moment(event.recorded_at),
                    "batch": batch_link(event.batch_id, event.batch.name),
                }
                for event in about(item, RollbackEvent).select_related("batch")
            ],
            "conflicts": about(item, ConflictingRow),
            "vanished": about(item, VanishedRow),
        }
        for item in items[:MOST_STORIES]
    ]


def about(item: Item, model: type[Row]) -> "QuerySet[Row]":
    """Return the rows of a model that are about one transaction, in order."""
    rows = model._default_manager.filter(
        constituency=item.row.constituency_id, tx_id=item.row.tx_id
    )
    return rows.order_by("id")
