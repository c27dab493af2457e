"""The registry, accounts and tokens in the admin."""

from django.contrib import admin
from django.contrib.auth.models import Group, User

from elections.admin.accounts import RoleGroupAdmin, UserWithRolesAdmin
from elections.admin.constituencies import ConstituencyAdmin
from elections.admin.elections import ElectionAdmin
from elections.admin.regions import RegionAdmin
from elections.admin.registry import election_link
from elections.admin.tokens import MachineTokenAdmin
from elections.models import Constituency, Election, MachineToken, Region

admin.site.register(Region, RegionAdmin)
admin.site.register(Election, ElectionAdmin)
admin.site.register(Constituency, ConstituencyAdmin)
admin.site.register(MachineToken, MachineTokenAdmin)
admin.site.unregister([User, Group])
admin.site.register(User, UserWithRolesAdmin)
admin.site.register(Group, RoleGroupAdmin)

__all__ = ["ConstituencyAdmin", "ElectionAdmin", "RegionAdmin", "election_link"]
