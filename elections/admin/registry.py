"""Regions, elections and constituencies, as staff look after them.

Apps above add what they know of them by subclasses that they register in place of these:
`transactions` the coverage of the feed, `metrics` the recount.
"""

from abc import abstractmethod
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from elections.admin import cells
from elections.admin.base import DeletesOnlyWhatIsEmpty, M, SaveChangedFieldsOnly
from elections.admin.exchange import ExchangeAdmin
from elections.admin.history import TrackedAdmin
from elections.models import (
    ConstituencyStatus,
    Election,
    ElectionStatus,
    known_timezones,
)

STATUS_KINDS: dict[str, str] = {
    ElectionStatus.UPCOMING: "quiet",
    ElectionStatus.ACTIVE: "good",
    ElectionStatus.COMPLETED: "busy",
    ConstituencyStatus.OFFLINE: "bad",
}
SIMULATED = cells.badge("simulated", "SIMULATED")


def warn_of_zone(
    request: HttpRequest, *, what: str, before: str, after: str, address: str
) -> None:
    """Tell staff that figures stand in the hours of the old zone until they recount."""
    messages.warning(
        request,
        format_html(
            "The time zone of {} changed from {} to {}. What is loaded is still counted "
            "in the hours of the old zone: <a href='{}'>open the list</a>, select all and "
            "run the action “Recount from the ledger”.",
            what,
            before or "the election’s",
            after or "the election’s",
            address,
        ),
    )


class RegistryAdmin(
    ExchangeAdmin,
    SaveChangedFieldsOnly[M],
    DeletesOnlyWhatIsEmpty[M],
    TrackedAdmin[M],
):
    """What the three tables of the registry have in common."""

    list_per_page = 50
    show_facets = admin.ShowFacets.NEVER

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name in {"timezone", "export_timezone"}:
            zones = [(name, name) for name in sorted(known_timezones())]
            empty = [("", "The election’s zone")] if db_field.blank else []
            kwargs["widget"] = forms.Select(choices=empty + zones)
        elif db_field.name in {"name", "district"}:
            kwargs["widget"] = forms.Textarea({"rows": 2, "cols": 80})
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @admin.display(description="name", ordering="name")
    def short_name(self, obj: Any) -> SafeString:
        return cells.short(obj.name)


class ZonedAdmin(RegistryAdmin[M]):
    """Of rows that give their constituencies a time zone: staff hear of a change."""

    def save_model(
        self, request: Any, obj: Any, form: "forms.ModelForm[M]", change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        if change and "timezone" in form.changed_data:
            self.warn(request, obj, str(form.initial.get("timezone", "")))

    def after_bulk_import(self, request: HttpRequest, result: Any) -> None:
        for row in result.rows:
            if row.original and row.original.timezone != row.instance.timezone:
                self.warn(request, row.instance, row.original.timezone)

    @abstractmethod
    def warn(self, request: HttpRequest, obj: Any, before: str) -> None:
        """Ask for a recount of what lies in the zone of `obj`, for its hours moved."""


def marked(election: Election, label: SafeString) -> SafeString:
    """Return a label with a mark before it where the election is simulated."""
    return format_html("{} {}", SIMULATED, label) if election.is_simulated else label


def election_link(election: Election, length: int = 60) -> SafeString:
    """Return a link to an election, marked where it is simulated."""
    label = cells.short(election.name, length)
    return marked(election, cells.link(cells.change_url(election), label))
