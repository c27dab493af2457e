"""Figures that differed from what they are counted from: the alarms, for staff."""

from django.contrib import admin
from django.utils.safestring import SafeString

from elections.admin import cells
from elections.admin.base import ReadOnlyAdmin
from metrics.models import Discrepancy


class IsOpenFilter(admin.EmptyFieldListFilter):
    """Open alarms have no time at which they were resolved."""


class DiscrepancyAdmin(ReadOnlyAdmin[Discrepancy]):
    list_display = [
        "id",
        "place",
        "hour",
        "figure",
        "stored",
        "counted",
        "found_by",
        "found",
        "last_seen",
        "resolved",
    ]
    list_filter = [("resolved_at", IsOpenFilter), "figure", "found_by"]
    list_select_related = ["constituency"]
    search_fields = ["constituency__contract_id__exact", "constituency__name"]
    ordering = ["-id"]
    fields = [
        "place",
        "hour",
        "figure",
        ("stored", "counted"),
        "found_by",
        ("found", "last_seen", "resolved"),
    ]

    @admin.display(description="constituency", ordering="constituency")
    def place(self, obj: Discrepancy) -> SafeString:
        label = cells.short(obj.constituency.name, 40)
        return cells.link(cells.change_url(obj.constituency), label)

    @admin.display(description="found", ordering="found_at")
    def found(self, obj: Discrepancy) -> SafeString:
        return cells.moment(obj.found_at)

    @admin.display(description="last seen", ordering="last_seen_at")
    def last_seen(self, obj: Discrepancy) -> SafeString:
        return cells.moment(obj.last_seen_at)

    @admin.display(description="right again", ordering="resolved_at")
    def resolved(self, obj: Discrepancy) -> SafeString:
        return cells.moment(obj.resolved_at)


admin.site.register(Discrepancy, DiscrepancyAdmin)
