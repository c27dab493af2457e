"""What members of the groups may do in the admin, if they are staff."""

from collections.abc import Iterator
from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.contrib.auth.management import create_permissions

from elections.roles import Role

# Permissions are given by rule, so a table that comes later has them at once.
OWN_APPS = {"elections", "transactions", "metrics", "anomalies"}
ACCOUNTS = {"machinetoken", "membership", "membershipevent"}
# Findings that ask for a look by somebody who knows what they cannot tell.
FOR_ANALYSTS = {"stationreport"}
FEEDING = {"view_importbatch", "add_importbatch"}


def is_granted(role: Role, app_label: str, model: str, codename: str) -> bool:
    """Tell whether staff in the group of `role` have this permission."""
    if role is Role.ADMIN:
        return True
    if app_label not in OWN_APPS or model in ACCOUNTS:
        return False
    is_view = codename.startswith("view_")
    rules = {
        Role.OPERATOR: True,
        Role.ANALYST: is_view,
        Role.OBSERVER: is_view
        and (app_label != "transactions" or model == "transaction")
        and model not in FOR_ANALYSTS,
        Role.VIEWER: is_view and app_label == "elections",
        Role.FEEDER: codename in FEEDING,
    }
    return rules[role]


def give_permissions(
    sender: AppConfig, *, apps: Any = installed, using: str = "default", **_: object
) -> None:
    """Give the groups what they lack, after the tables of the last app were made.

    Nothing is taken away, so what staff add to a group stays.
    """
    if sender is not _last_app():
        return
    try:
        group_model = apps.get_model("auth", "Group")
        permission_model = apps.get_model("auth", "Permission")
    except LookupError:
        return
    # The app that makes them may hear of the last tables later than this.
    create_permissions(sender, verbosity=0, using=using, apps=apps)
    groups = group_model.objects.using(using)
    groups.bulk_create(
        (group_model(name=role.value) for role in Role), ignore_conflicts=True
    )
    links = group_model.permissions.through
    ids = dict(groups.filter(name__in=list(Role)).values_list("name", "id"))
    permissions = permission_model.objects.using(using).values_list(
        "id", "content_type__app_label", "content_type__model", "codename"
    )
    links.objects.using(using).bulk_create(
        (
            links(group_id=ids[role.value], permission_id=pk)
            for role, pk in _granted(list(permissions))
        ),
        ignore_conflicts=True,
    )


def _granted(
    permissions: list[tuple[int, str, str, str]],
) -> Iterator[tuple[Role, int]]:
    for pk, app_label, model, codename in permissions:
        for role in Role:
            if is_granted(role, app_label, model, codename):
                yield role, pk


def _last_app() -> AppConfig:
    """Return the app whose tables are made last."""
    with_models = [app for app in installed.get_app_configs() if app.models_module]
    return with_models[-1]
