"""Hourly statistics in the admin, and the recount of what the ledger adds up to."""

from abc import abstractmethod
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from elections.admin import cells, election_link
from elections.admin.base import M, ReadOnlyAdmin
from elections.admin.filters import ConstituencyFilter, ElectionFilter, PeriodFilter
from elections.clock import database_now
from elections.models import Constituency, Election
from metrics import queries
from metrics.admin import updates
from metrics.models import HourlyStats
from metrics.services import Aggregation, HourlyStatsService, Request
from transactions.admin import ConstituencyWithFeedAdmin, ElectionWithFeedAdmin

ONE_HOUR = timedelta(hours=1)
FAILURES_SHOWN = 5
RECOUNT = "Recount from the ledger"


class RecountAdmin(admin.ModelAdmin[M]):
    """A list whose figures can be counted again."""

    actions: list[Any] = ["recount"]

    def has_recount_permission(self, request: HttpRequest) -> bool:
        """Tell whether this user may have figures counted again."""
        return request.user.has_perm("metrics.change_hourlystats")

    @admin.action(description=RECOUNT, permissions=["recount"])
    def recount(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        tell(request, self.count_again(queryset, now=database_now()))

    @abstractmethod
    def count_again(self, queryset: "QuerySet[Any]", *, now: datetime) -> Aggregation:
        """Count what is selected again, and return what that changed."""


class HourlyStatsAdmin(RecountAdmin[HourlyStats], ReadOnlyAdmin[HourlyStats]):
    list_display = [
        "local_hour",
        "place",
        "of_election",
        "issued",
        "cast",
        "further_votes",
        "transactions",
        "failed",
        "participation",
        "findings",
        "changed",
    ]
    list_filter = [ElectionFilter, ConstituencyFilter, PeriodFilter]
    search_fields = ["constituency__contract_id__exact", "constituency__name"]
    search_help_text = "A whole contract id, or a part of the constituency's name"
    ordering = ["-hour", "constituency_id"]
    fields = [
        "local_hour",
        "place",
        "of_election",
        ("issued", "cast", "further_votes"),
        ("transactions", "failed"),
        "participation",
        "findings",
        "changed",
        "version",
    ]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[HourlyStats]":
        # Not joined: a join would be made for all rows before the page is cut.
        rows = queries.hourly_stats().order_by().select_related(None)
        return rows.prefetch_related(
            "election", "constituency__election", "constituency__region"
        )

    def count_again(self, queryset: "QuerySet[Any]", *, now: datetime) -> Aggregation:
        places: dict[datetime, list[str]] = defaultdict(list)
        rows = queryset.order_by("hour", "constituency_id")
        for hour, contract_id in rows.values_list("hour", "constituency__contract_id"):
            places[hour].append(contract_id)
        total = Aggregation()
        for hour, contract_ids in places.items():
            total += HourlyStatsService().aggregate_hourly_stats_for_timerange(
                contract_ids, hour, hour + ONE_HOUR, now=now
            )
        return total

    @admin.display(description="hour, local", ordering="hour")
    def local_hour(self, obj: HourlyStats) -> SafeString:
        return cells.moment(obj.hour, obj.constituency.zone)

    @admin.display(description="constituency", ordering="constituency")
    def place(self, obj: HourlyStats) -> SafeString:
        label = cells.short(obj.constituency.name, 40)
        return cells.link(cells.change_url(obj.constituency), label)

    @admin.display(description="election", ordering="election")
    def of_election(self, obj: HourlyStats) -> SafeString:
        return election_link(obj.election, 32)

    @admin.display(description="bulletins issued", ordering="bulletins_issued")
    def issued(self, obj: HourlyStats) -> SafeString:
        return cells.number(obj.bulletins_issued)

    @admin.display(description="votes cast", ordering="votes_cast")
    def cast(self, obj: HourlyStats) -> SafeString:
        return cells.number(obj.votes_cast)

    @admin.display(description="revotes", ordering="revotes")
    def further_votes(self, obj: HourlyStats) -> SafeString:
        return cells.number(obj.revotes)

    @admin.display(description="transactions", ordering="transaction_count")
    def transactions(self, obj: HourlyStats) -> SafeString:
        return cells.number(obj.transaction_count)

    @admin.display(description="refused by the contract", ordering="failed_count")
    def failed(self, obj: HourlyStats) -> SafeString:
        return cells.number(obj.failed_count)

    @admin.display(description="participation", ordering="participation_rate")
    def participation(self, obj: HourlyStats) -> SafeString:
        return cells.percent(obj.participation_rate)

    @admin.display(description="anomalies", ordering="anomaly_count")
    def findings(self, obj: HourlyStats) -> SafeString:
        return cells.number(obj.anomaly_count)

    @admin.display(description="changed", ordering="timestamp")
    def changed(self, obj: HourlyStats) -> SafeString:
        return cells.moment(obj.timestamp)


class RefreshAdmin(admin.ModelAdmin[M]):
    """A list whose derived metrics can be refreshed, through the update queue."""

    actions: list[Any] = ["refresh"]
    # What the scopes of its objects begin with.
    scope: str

    def has_refresh_permission(self, request: HttpRequest) -> bool:
        """Tell whether this user may have updates made."""
        return request.user.has_perm("metrics.change_metricsupdate")

    @admin.action(description="Refresh metrics now", permissions=["refresh"])
    def refresh(self, request: HttpRequest, queryset: "QuerySet[Any]") -> None:
        ids = queryset.order_by("id").values_list("id", flat=True)
        updates.tell(
            request, updates.ask_for_all(Request(f"{self.scope}:{pk}") for pk in ids)
        )


class ElectionWithStatsAdmin(
    RefreshAdmin[Election], RecountAdmin[Election], ElectionWithFeedAdmin
):
    actions: list[Any] = ["refresh", "recount"]
    scope = "election"

    def count_again(self, queryset: "QuerySet[Any]", *, now: datetime) -> Aggregation:
        total = Aggregation()
        for slug in queryset.order_by("slug").values_list("slug", flat=True):
            total += HourlyStatsService().aggregate_hourly_stats_for_election(
                slug, now=now
            )
        return total

    def related_pages(self, obj: Election) -> list[tuple[str, str]]:
        hours = cells.list_url(HourlyStats, election=obj.slug)
        return [*super().related_pages(obj), ("Hourly statistics", hours)]


class ConstituencyWithStatsAdmin(
    RefreshAdmin[Constituency], RecountAdmin[Constituency], ConstituencyWithFeedAdmin
):
    actions: list[Any] = ["refresh", "recount"]
    scope = "constituency"

    def count_again(self, queryset: "QuerySet[Any]", *, now: datetime) -> Aggregation:
        contract_ids = queryset.order_by("id").values_list("contract_id", flat=True)
        return HourlyStatsService().aggregate_hourly_stats_for_timerange(
            contract_ids, None, None, now=now
        )

    def related_pages(self, obj: Constituency) -> list[tuple[str, str]]:
        hours = cells.list_url(HourlyStats, constituency=obj.contract_id)
        return [("Hours", hours), *super().related_pages(obj)]


def tell(request: HttpRequest, result: Aggregation) -> None:
    """Tell staff what counting again found."""
    for reason in list(result.failed.values())[:FAILURES_SHOWN]:
        messages.error(request, reason)
    if result.hours_changed or result.minutes_changed or result.constituencies_changed:
        messages.warning(
            request,
            f"{_counted(result.hours_changed, 'hour', 'hours')}, "
            f"{_counted(result.minutes_changed, 'minute', 'minutes')} and the totals of "
            f"{_counted(result.constituencies_changed, 'constituency', 'constituencies')} "
            "differed from the ledger and were written.",
        )
    else:
        messages.success(request, "Counted again: all figures equal the ledger.")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


admin.site.register(HourlyStats, HourlyStatsAdmin)

# With what the statistics know of them.
admin.site.unregister([Election, Constituency])
admin.site.register(Election, ElectionWithStatsAdmin)
admin.site.register(Constituency, ConstituencyWithStatsAdmin)
