"""The registry in the admin."""

from django.contrib import admin

from elections.admin.constituencies import ConstituencyAdmin
from elections.admin.elections import ElectionAdmin
from elections.admin.regions import RegionAdmin
from elections.admin.registry import election_link
from elections.models import Constituency, Election, Region

admin.site.register(Region, RegionAdmin)
admin.site.register(Election, ElectionAdmin)
admin.site.register(Constituency, ConstituencyAdmin)

__all__ = ["ConstituencyAdmin", "ElectionAdmin", "RegionAdmin", "election_link"]
