"""Elections in the admin, with the sums of their constituencies."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from elections import queries
from elections.admin import cells
from elections.admin.exchange import ElectionResource, own_window
from elections.admin.registry import (
    STATUS_KINDS,
    ZonedAdmin,
    marked,
    warn_of_zone,
)
from elections.models import Constituency, Election, ElectionEvent, ElectionStatus


class StatusFilter(admin.SimpleListFilter):
    """By the status that staff state or the clock says."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: Any, model_admin: Any) -> Any:
        return ElectionStatus.choices

    def queryset(self, request: Any, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(status=self.value()) if self.value() else queryset


class ElectionAdmin(ZonedAdmin[Election]):
    events = ElectionEvent
    resource_classes = [ElectionResource]
    list_display = [
        "short_name",
        "bulletins_issued",
        "votes_cast",
        "participation",
        "transactions",
        "last_transaction",
        "status",
        "constituencies",
    ]
    list_filter = [StatusFilter, "is_simulated", "kind"]
    search_fields = ["slug", "name"]
    search_help_text = "Slug or a part of the name"
    ordering = ["-starts_at", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    readonly_fields = [
        "status",
        "window_from",
        "constituencies",
        "bulletins_issued",
        "votes_cast",
        "participation",
        "transactions",
        "last_transaction",
        "pages",
    ]
    fieldsets = [
        (None, {"fields": ["name", "slug", "kind", "description"]}),
        (
            "When",
            {
                "fields": [
                    ("starts_at", "ends_at"),
                    "window_from",
                    "status_override",
                    "timezone",
                    "export_timezone",
                ],
                "description": "Times are in UTC. With both empty the ledger tells them.",
            },
        ),
        ("Updates", {"fields": ["update_mode", "refresh_seconds"]}),
    ]
    figures = [
        "pages",
        "status",
        "constituencies",
        ("bulletins_issued", "votes_cast"),
        "participation",
        ("transactions", "last_transaction"),
    ]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Election]":
        return queries.elections()

    def get_fieldsets(self, request: Any, obj: Any = None) -> Any:
        if obj is None:
            return self.fieldsets
        return [("Current figures", {"fields": self.figures}), *self.fieldsets]

    @admin.display(description="election", ordering="name")
    def short_name(self, obj: Election) -> SafeString:
        return marked(obj, cells.short(obj.name))

    @admin.display(ordering="status")
    def status(self, obj: Any) -> SafeString:
        return cells.badge(STATUS_KINDS.get(obj.status, "quiet"), obj.status)

    @admin.display(description="times by")
    def window_from(self, obj: Election) -> str:
        return obj.get_window_source_display()

    @admin.display(ordering="constituency_count")
    def constituencies(self, obj: Any) -> SafeString:
        address = cells.list_url(Constituency, election=obj.slug)
        return cells.link(address, cells.number(obj.constituency_count))

    @admin.display(ordering="bulletins_issued")
    def bulletins_issued(self, obj: Any) -> SafeString:
        return cells.number(obj.bulletins_issued)

    @admin.display(ordering="votes_cast")
    def votes_cast(self, obj: Any) -> SafeString:
        return cells.number(obj.votes_cast)

    @admin.display(description="participation", ordering="participation_rate")
    def participation(self, obj: Any) -> SafeString:
        return cells.percent(obj.participation_rate)

    @admin.display(ordering="transaction_count")
    def transactions(self, obj: Any) -> SafeString:
        return cells.number(obj.transaction_count)

    @admin.display(description="last ledger time", ordering="as_of")
    def last_transaction(self, obj: Any) -> SafeString:
        return cells.moment(obj.as_of)

    @admin.display(description="see also")
    def pages(self, obj: Election) -> SafeString:
        return cells.links(self.related_pages(obj))

    def related_pages(self, obj: Election) -> list[tuple[str, str]]:
        """Return the lists that show an election's rows: label and address."""
        return [("Constituencies", cells.list_url(Constituency, election=obj.slug))]

    def obstacles(self, obj: Election) -> list[str]:
        count = obj.constituencies.count()
        return [f"{count:,} constituencies belong to it"] if count else []

    def derive(self, obj: Election, form: "forms.ModelForm[Election]") -> Iterable[str]:
        is_stated = {"starts_at", "ends_at"}.intersection(form.changed_data)
        return own_window(obj) if is_stated else ()

    def warn(self, request: HttpRequest, election: Election, before: str) -> None:
        """Ask for a recount of the election, whose hours have moved."""
        warn_of_zone(
            request,
            what=f"election {election.slug}",
            before=before,
            after=election.timezone,
            address=cells.list_url(Election, q=election.slug),
        )
