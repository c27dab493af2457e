"""Hour files as they came: their versions, and what differs between two of them."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db.models import IntegerField, QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from elections.admin import cells
from elections.admin.base import ReadOnlyAdmin
from elections.admin.filters import (
    ConstituencyFilter,
    ElectionOfConstituencyFilter,
    PeriodFilter,
)
from transactions.admin.batches import batch_link, constituency_link
from transactions.loader.records import missing_hashes
from transactions.models import FeedHour
from transactions.row_hashes import HASH_BYTES


class VersionFilter(admin.SimpleListFilter):
    """Hours that were published again."""

    title = "version"
    parameter_name = "versions"

    def lookups(self, request: Any, model_admin: Any) -> Any:
        return [("later", "Published again (2, 3, …)")]

    def queryset(self, request: Any, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(version__gt=1) if self.value() == "later" else queryset


class LabelPeriodFilter(PeriodFilter):
    title = "hour in the name"
    column = "interval"


@dataclass(frozen=True, slots=True)
class VersionDifference:
    """How many transactions each of two versions has that the other has not."""

    other: FeedHour
    other_rows: int
    only_here: int
    only_there: int


class FeedHourAdmin(ReadOnlyAdmin[FeedHour]):
    change_form_template = "admin/transactions/feedhour/change_form.html"
    list_display = ["id", "place", "hour", "version", "lines", "of_batch"]
    list_filter = [
        VersionFilter,
        ElectionOfConstituencyFilter,
        ConstituencyFilter,
        LabelPeriodFilter,
    ]
    list_select_related = ["constituency", "batch"]
    ordering = ["-id"]
    fields = ["place", "hour", "version", "lines", "of_batch", "content"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[FeedHour]":
        size = Length("row_hashes", output_field=IntegerField())
        rows = super().get_queryset(request).defer("row_hashes")
        return rows.annotate(line_count=size / HASH_BYTES)

    @admin.display(description="constituency")
    def place(self, obj: FeedHour) -> SafeString:
        return constituency_link(obj.constituency)

    @admin.display(description="hour in the name", ordering="interval")
    def hour(self, obj: FeedHour) -> SafeString:
        return cells.label_hour(obj.interval)

    @admin.display(ordering="line_count")
    def lines(self, obj: Any) -> SafeString:
        return cells.number(obj.line_count)

    @admin.display(description="batch", ordering="batch")
    def of_batch(self, obj: FeedHour) -> SafeString:
        return batch_link(obj.batch_id, obj.batch.name)

    @admin.display(description="SHA-256")
    def content(self, obj: FeedHour) -> SafeString:
        return cells.digest(obj.sha256)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        hour = self.get_object(request, object_id)
        differences = [] if hour is None else differences_of(hour)
        return super().change_view(
            request,
            object_id,
            form_url,
            {"differences": differences, **(extra_context or {})},
        )


def differences_of(hour: FeedHour) -> list[VersionDifference]:
    """Compare a version of an hour with each other one, both ways."""
    mine = bytes(hour.row_hashes)
    others = FeedHour.objects.filter(
        constituency_id=hour.constituency_id, interval=hour.interval
    ).exclude(pk=hour.pk)
    return [
        VersionDifference(
            other=other,
            other_rows=len(other.row_hashes) // HASH_BYTES,
            only_here=len(missing_hashes(mine, bytes(other.row_hashes))),
            only_there=len(missing_hashes(bytes(other.row_hashes), mine)),
        )
        for other in others.order_by("version")
    ]
