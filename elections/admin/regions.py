"""Regions in the admin."""

from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from elections.admin import cells
from elections.admin.exchange import RegionResource
from elections.admin.registry import ZonedAdmin, warn_of_zone
from elections.models import Constituency, Region, RegionEvent


class RegionAdmin(ZonedAdmin[Region]):
    events = RegionEvent
    resource_classes = [RegionResource]
    list_display = ["code", "short_name", "zone", "constituencies"]
    list_display_links = ["code", "short_name"]
    search_fields = ["code", "name"]
    search_help_text = "Code or a part of the name"
    ordering = ["code"]
    fields = ["code", "name", "timezone"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Region]":
        count = Count("constituencies")
        return super().get_queryset(request).annotate(constituency_count=count)

    @admin.display(description="time zone", ordering="timezone")
    def zone(self, obj: Region) -> str:
        return obj.timezone or "the election’s"

    @admin.display(ordering="constituency_count")
    def constituencies(self, obj: Any) -> SafeString:
        address = cells.list_url(Constituency, region__id__exact=obj.pk)
        return cells.link(address, cells.number(obj.constituency_count))

    def obstacles(self, obj: Region) -> list[str]:
        count = obj.constituencies.count()
        return [f"{count:,} constituencies lie in it"] if count else []

    def warn(self, request: HttpRequest, region: Region, before: str) -> None:
        """Ask for a recount of the region, in whose constituencies hours have moved."""
        warn_of_zone(
            request,
            what=f"region {region.code}",
            before=before,
            after=region.timezone,
            address=cells.list_url(Constituency, region__id__exact=region.pk),
        )
