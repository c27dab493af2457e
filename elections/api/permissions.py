"""Who may call which endpoint: one class per kind, all of them in docs/api.md."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from elections.roles import Role, has_role, roles_of

if TYPE_CHECKING:
    # Its classes are made from the settings, which name a class of this module.
    from rest_framework.views import APIView


class RolePermission(BasePermission):
    """Asks for one role to read, and for one to write."""

    reads: Role
    writes: Role
    # Whether everybody reads where `API_PUBLIC_READ` is on.
    is_public = False
    # Whether a POST changes nothing.
    is_read_by_post = False

    @classmethod
    def is_open(cls) -> bool:
        """Tell whether everybody may read, so that nobody has to be looked up."""
        return cls.is_public and bool(settings.API_PUBLIC_READ)

    @classmethod
    def may_read(cls, roles: Collection[Role]) -> bool:
        """Tell whether somebody with these roles may read."""
        return cls.is_open() or cls.reads in roles

    @classmethod
    def is_read(cls, method: str) -> bool:
        """Tell whether a method only reads."""
        return method in SAFE_METHODS or cls.is_read_by_post

    def has_permission(self, request: Request, view: "APIView") -> bool:
        # A method that the view does not have is answered with 405, not with 403.
        # HEAD is answered by GET, whether or not the view was told so.
        method = "GET" if request.method == "HEAD" else str(request.method)
        if not hasattr(view, method.lower()):
            return True
        if self.is_read(str(request.method)):
            return self.is_open() or self.may_read(roles_of(request.user))
        return has_role(request.user, self.writes)


class PublicOrViewer(RolePermission):
    """Elections, the registry, hours of constituencies, and whole elections at any length.

    A minute of a whole election is public, one of a constituency may show a single voter.
    """

    reads, writes, is_public = Role.VIEWER, Role.OPERATOR, True


class MayListen(RolePermission):
    """Tickets: who may read totals may also follow them, and asks by POST."""

    reads = writes = Role.VIEWER
    is_public = True
    is_read_by_post = True


class LedgerAccess(RolePermission):
    """The ledger: observers read it, feeders write it."""

    reads, writes = Role.OBSERVER, Role.FEEDER


class MayFeed(RolePermission):
    """Imports, and what became of them."""

    reads, writes = Role.FEEDER, Role.FEEDER


class MayOperate(RolePermission):
    """The update queue and the cache."""

    reads, writes = Role.OPERATOR, Role.OPERATOR


class AlertAccess(RolePermission):
    """Alerts: observers read them, analysts deal with them."""

    reads, writes = Role.OBSERVER, Role.ANALYST
