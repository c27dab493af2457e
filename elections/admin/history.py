"""The history of an object: who changed which field, from what to what."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import Group
from django.db.models import ForeignKey, Model
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from elections.admin import cells
from elections.admin.base import M
from elections.models import MembershipEvent
from elections.models.history import AFTER, BEFORE

NOBODY = "a program"
# Nobody reads further back on a page; the table keeps all.
CHANGES_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one field, or of the groups of a user."""

    at: datetime
    by: str
    what: str
    before: str
    after: str

    @property
    def moment(self) -> SafeString:
        """Return when it was, as the pages show times."""
        return cells.moment(self.at, timespec="seconds")


class TrackedAdmin(ModelAdmin[M]):
    """Shows on the history page what the triggers wrote, above Django's own entries."""

    object_history_template = "admin/elections/object_history.html"
    events: type[Any]

    def changes(self, object_id: str) -> list[Change]:
        """Return the changes of an object, the newest first."""
        rows = self.events.objects.filter(pgh_obj_id=object_id)
        newest = rows.select_related("pgh_context").order_by("-pgh_id")
        # Two rows for each change.
        return field_changes(list(newest[: 2 * CHANGES_SHOWN]))

    def history_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        changes = self.changes(object_id) if object_id.isdecimal() else []
        return super().history_view(
            request, object_id, {"changes": changes, **(extra_context or {})}
        )


def field_changes(events: list[Any]) -> list[Change]:
    """Return what differs between the rows before and after each change."""
    pairs = [
        (before, after)
        for after, before in pairwise(events)
        if (before.pgh_label, after.pgh_label) == (BEFORE, AFTER)
    ]
    names = _names_of_references(row for pair in pairs for row in pair)
    return [
        Change(
            at=after.pgh_created_at,
            by=author(after),
            what=str(field.verbose_name),
            before=_shown(before, field, names),
            after=_shown(after, field, names),
        )
        for before, after in pairs
        for field in _own_fields(after)
        if getattr(before, field.attname) != getattr(after, field.attname)
    ]


def memberships(user_id: str) -> list[Change]:
    """Return which groups a user joined and left, the newest first."""
    groups = dict(Group.objects.values_list("pk", "name"))
    rows = MembershipEvent.objects.filter(user_id=user_id)
    newest = rows.select_related("pgh_context").order_by("-pgh_id")
    found = []
    for event in newest[:CHANGES_SHOWN]:
        name = groups.get(event.group_id, f"group {event.group_id}")
        joined = event.pgh_label == "joined"
        before, after = ("", name) if joined else (name, "")
        found.append(
            Change(event.pgh_created_at, author(event), "group", before, after)
        )
    return found


def author(event: Any) -> str:
    """Return the name of whoever made a change in the admin."""
    context = event.pgh_context
    return (context and context.metadata.get("username")) or NOBODY


def _own_fields(event: Model) -> Iterator[Any]:
    fields = event._meta.concrete_fields
    return (field for field in fields if not field.name.startswith("pgh_"))


def _names_of_references(events: Iterable[Any]) -> dict[tuple[str, Any], str]:
    """Return how the objects are called that events refer to, all read at once."""
    wanted: dict[Any, set[Any]] = {}
    for event in events:
        for field in _own_fields(event):
            if isinstance(field, ForeignKey):
                ids = wanted.setdefault(field.name, set())
                ids.add((field.related_model, getattr(event, field.attname)))
    names: dict[tuple[str, Any], str] = {}
    for field_name, references in wanted.items():
        (model,) = {model for model, _ in references}
        found = model._default_manager.in_bulk([pk for _, pk in references if pk])
        names |= {(field_name, pk): str(obj) for pk, obj in found.items()}
    return names


def _shown(event: Any, field: Any, names: dict[tuple[str, Any], str]) -> str:
    value = getattr(event, field.attname)
    if value is None:
        return ""
    if isinstance(field, ForeignKey):
        return names.get((field.name, value), f"no longer there ({value})")
    if field.choices:
        return str(dict(field.flatchoices).get(value, value))
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if hasattr(value, "hour") else str(value)
