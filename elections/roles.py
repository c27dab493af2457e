"""Roles: groups of users, and which role implies which.

Reads no model, so the settings can name roles, too.
"""

from enum import StrEnum
from typing import Any

from django.conf import settings


class Role(StrEnum):
    """What somebody may do; the value is the name of the group."""

    VIEWER = "viewer"
    OBSERVER = "observer"
    ANALYST = "analyst"
    OPERATOR = "operator"
    FEEDER = "feeder"
    ADMIN = "admin"


# What holds besides, directly; `implied` follows it to the end.
IMPLIES = {
    Role.VIEWER: [],
    Role.OBSERVER: [Role.VIEWER],
    Role.ANALYST: [Role.OBSERVER],
    Role.OPERATOR: [Role.ANALYST, Role.FEEDER],
    Role.FEEDER: [],
    Role.ADMIN: [Role.OPERATOR],
}
CACHE = "_election_monitor_roles"


def implied(role: Role) -> frozenset[Role]:
    """Return `role` and all that it implies."""
    return frozenset({role}.union(*(implied(lower) for lower in IMPLIES[role])))


def roles_of(user: Any) -> frozenset[Role]:
    """Return the roles of a user, the implied ones too.

    A superuser is an admin. Staff in none of the groups are operators, as they were
    before there were groups. Asked of the database once per user object, so once per
    request.
    """
    if not (user.is_authenticated and user.is_active):
        return frozenset()
    if user.is_superuser:
        return implied(Role.ADMIN)
    if not hasattr(user, CACHE):
        names = set(user.groups.values_list("name", flat=True))
        own = {role for role in Role if role in names}
        if user.is_staff and not own:
            own = {Role.OPERATOR}
        setattr(user, CACHE, frozenset().union(*(implied(role) for role in own)))
    roles: frozenset[Role] = getattr(user, CACHE)
    return roles


def has_role(user: Any, role: Role) -> bool:
    """Tell whether a user has `role`, or one that implies it."""
    return role in roles_of(user)


def may_read(user: Any) -> bool:
    """Tell whether a user, or a stranger, may see elections and their figures."""
    return settings.API_PUBLIC_READ or has_role(user, Role.VIEWER)
