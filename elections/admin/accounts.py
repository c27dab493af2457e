"""Users and groups in the admin: roles, and no way up to superuser but by one."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest

from elections.admin.history import Change, TrackedAdmin, memberships
from elections.roles import Role


class UserWithRolesAdmin(TrackedAdmin[User], UserAdmin[User]):
    list_display = ["username", "in_groups", "is_active", "is_staff", "is_superuser"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[User]":
        return super().get_queryset(request).prefetch_related("groups")

    def changes(self, object_id: str) -> list[Change]:
        return memberships(object_id)

    @admin.display(description="groups")
    def in_groups(self, obj: User) -> str:
        return ", ".join(sorted(group.name for group in obj.groups.all()))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        if request.user.is_superuser:
            return fields
        return [*fields, "is_superuser", "user_permissions"]

    def has_change_permission(
        self, request: HttpRequest, obj: User | None = None
    ) -> bool:
        is_allowed = super().has_change_permission(request, obj)
        return is_allowed and _is_in_reach(request, obj)

    def has_delete_permission(
        self, request: HttpRequest, obj: User | None = None
    ) -> bool:
        is_allowed = super().has_delete_permission(request, obj)
        return is_allowed and _is_in_reach(request, obj)


class RoleGroupAdmin(GroupAdmin):
    """The groups of the roles keep their names, which the API goes by."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return [*fields, "name"] if obj and obj.name in list(Role) else fields

    def has_delete_permission(
        self, request: HttpRequest, obj: Group | None = None
    ) -> bool:
        is_role = obj is not None and obj.name in list(Role)
        return super().has_delete_permission(request, obj) and not is_role


def _is_in_reach(request: HttpRequest, user: User | None) -> bool:
    """Tell whether an account is not above the one that would edit it."""
    is_above = user is not None and user.is_superuser
    return bool(request.user.is_superuser) or not is_above
