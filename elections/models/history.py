"""Who changed what in the registry, and who belongs to which group.

Triggers write the events, so no way of editing is missed. They look at what staff edit
alone: figures, and what the ledger tells, cost the loaders nothing.
"""

import pghistory
import pgtrigger
from django.contrib.auth.models import User
from django.db.models import Model

from elections.models.registry import Constituency, Election, Region

BEFORE, AFTER = "before", "after"
# Who works in the admin has a context, see `election_monitor.middleware`.
BY_STAFF = "NULLIF(current_setting('pghistory.context_id', true), '') IS NOT NULL"
WINDOW_BY_STAFF = "'staff' IN (OLD.window_source, NEW.window_source)"


def changes_of(
    model: type[Model], fields: list[str], *, sometimes: dict[str, str]
) -> type[Model]:
    """Return the base of a model that keeps `fields` before and after each change.

    `sometimes` names fields that others write, too, and the condition in SQL under which
    a change of them is one by staff.
    """
    always = [name for name in fields if name not in sometimes]
    conditions = [_differs(model, always)] + [
        f"({_differs(model, [name])} AND {condition})"
        for name, condition in sometimes.items()
    ]
    trackers = [
        pghistory.UpdateEvent(
            label,
            row=row,
            # With columns named, an update of figures does not even ask the condition.
            operation=pgtrigger.UpdateOf(  # type: ignore[no-untyped-call]
                *_columns(model, fields)
            ),
            condition=pgtrigger.Condition(" OR ".join(conditions)),
            # By number, because triggers run in the order of their names.
            trigger_name=f"history_{number}_{label}",
            level=pgtrigger.Row,
        )
        for number, (label, row) in enumerate(
            [(BEFORE, pghistory.Old), (AFTER, pghistory.New)]
        )
    ]
    return pghistory.create_event_model(
        model,
        *trackers,
        fields=fields,
        obj_field=pghistory.ObjForeignKey(related_name="+"),
        append_only=True,
    )


def _columns(model: type[Model], fields: list[str]) -> list[str]:
    return [str(model._meta.get_field(name).column) for name in fields]  # type: ignore[union-attr]


def _differs(model: type[Model], fields: list[str]) -> str:
    old, new = (
        ", ".join(f'{row}."{column}"' for column in _columns(model, fields))
        for row in ("OLD", "NEW")
    )
    return f"ROW({old}) IS DISTINCT FROM ROW({new})"


class RegionEvent(
    changes_of(  # type: ignore[misc]
        Region, ["code", "name", "timezone"], sometimes={}
    )
):
    """A region before or after a change."""


class ElectionEvent(
    changes_of(  # type: ignore[misc]
        Election,
        [
            "slug",
            "name",
            "kind",
            "timezone",
            "export_timezone",
            "starts_at",
            "ends_at",
            "window_source",
            "status_override",
            "description",
            "update_mode",
            "refresh_seconds",
        ],
        sometimes={"starts_at": WINDOW_BY_STAFF, "ends_at": WINDOW_BY_STAFF},
    )
):
    """An election before or after a change; not where the ledger told its times."""


class ConstituencyEvent(
    changes_of(  # type: ignore[misc]
        Constituency,
        [
            "contract_id",
            "election",
            "region",
            "district",
            "ballot_kind",
            "name",
            "status",
            "stated_registered_voters",
            "stated_registered_voters_source",
        ],
        sometimes={"status": BY_STAFF},
    )
):
    """A constituency before or after a change; not where the feed decided its status."""


class Membership(User.groups.through):  # type: ignore[misc,name-defined]
    """A user in a group."""

    class Meta:
        proxy = True


class MembershipEvent(
    pghistory.create_event_model(  # type: ignore[misc]
        Membership,
        pghistory.InsertEvent("joined", level=pgtrigger.Row),
        pghistory.DeleteEvent("left", level=pgtrigger.Row),
        fields=["user", "group"],
        obj_field=None,
        append_only=True,
    )
):
    """A user who joined or left a group."""
