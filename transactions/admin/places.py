"""What the feed adds to elections and constituencies: coverage, and ways to their rows."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from elections.admin import ConstituencyAdmin, ElectionAdmin, cells
from elections.models import Constituency, Election
from transactions import queries
from transactions.admin.disagreements import ledger_url
from transactions.models import (
    ConflictingRow,
    FeedHour,
    ImportBatch,
    RejectedRow,
    Transaction,
    VanishedRow,
)
from transactions.queries import ConstituencyCoverage, Coverage

HOURS_SHOWN = 100
SHOW_MISSING = "missing"
# 0.5 s; all 5,103 constituencies take 9 s.
QUICK_CONSTITUENCIES = 300
CONSTITUENCIES_SHOWN = 20


class ElectionChangeList(ChangeList):
    """Elections with their coverage, read for a page at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        found = queries.coverage_by_election([row.pk for row in rows])
        for row in rows:
            row.coverage = found.get(row.pk)
        self.result_list = rows


class ConstituencyChangeList(ChangeList):
    """Constituencies with their coverage, read for a page at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        found = queries.coverage_by_constituency([row.pk for row in rows])
        for row in rows:
            row.coverage = found.get(row.pk)
        self.result_list = rows


class ElectionWithFeedAdmin(ElectionAdmin):
    list_display = [
        *(name for name in ElectionAdmin.list_display if name != "status"),
        "coverage",
        "status",
    ]
    readonly_fields = [
        *ElectionAdmin.readonly_fields,
        "coverage",
        "missing_hours",
        "missing_hours_link",
    ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ElectionChangeList

    def get_fieldsets(self, request: Any, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None:
            return fieldsets
        is_asked = SHOW_MISSING in request.GET
        is_quick = obj.constituency_count <= QUICK_CONSTITUENCIES
        missing = "missing_hours" if is_asked or is_quick else "missing_hours_link"
        (title, options), *others = fieldsets
        fields = [*options["fields"], "coverage", missing]
        return [(title, {"fields": fields}), *others]

    @admin.display(description="hour files received")
    def coverage(self, obj: Any) -> SafeString:
        return coverage_cell(coverage_of(obj))

    @admin.display(description="missing hours")
    def missing_hours(self, obj: Election) -> SafeString:
        if not has_gaps(obj):
            return cells.NOTHING
        members = obj.constituencies.order_by("contract_id")
        gaps = queries.coverage_by_constituency(members.values_list("pk", flat=True))
        return format_html(
            "{}{}",
            _hours_with_gaps(gaps.values(), ZoneInfo(obj.export_timezone)),
            _members_with_gaps(gaps),
        )

    @admin.display(description="missing hours")
    def missing_hours_link(self, obj: Election) -> SafeString:
        if not has_gaps(obj):
            return cells.NOTHING
        address = f"{cells.change_url(obj)}?{SHOW_MISSING}=1"
        return cells.link(address, "Show which (takes some seconds)")

    def related_pages(self, obj: Election) -> list[tuple[str, str]]:
        return [
            *super().related_pages(obj),
            *(
                (label, cells.list_url(model, election=obj.slug))
                for label, model in LISTS
            ),
            ("Rejected rows", cells.list_url(RejectedRow, election=obj.slug)),
        ]


class ConstituencyWithFeedAdmin(ConstituencyAdmin):
    list_display = [
        *(name for name in ConstituencyAdmin.list_display if name != "pages"),
        "coverage",
        "pages",
    ]
    readonly_fields = [*ConstituencyAdmin.readonly_fields, "coverage", "missing_hours"]
    figures = [*ConstituencyAdmin.figures, "coverage", "missing_hours"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ConstituencyChangeList

    @admin.display(description="hour files received")
    def coverage(self, obj: Any) -> SafeString:
        if not hasattr(obj, "coverage"):
            obj.coverage = queries.coverage_of_constituency(obj.pk)
        return coverage_cell(obj.coverage)

    @admin.display(description="missing hours")
    def missing_hours(self, obj: Constituency) -> SafeString:
        found = queries.coverage_of_constituency(obj.pk)
        if found is None or not found.missing:
            return cells.NOTHING
        return _hours(((hour, "") for hour in found.missing), obj.zone)

    def related_pages(self, obj: Constituency) -> list[tuple[str, str]]:
        own = {"constituency": obj.contract_id}
        return [
            *super().related_pages(obj),
            *((label, cells.list_url(model, **own)) for label, model in LISTS),
            ("Ledger", ledger_url(**own)),
        ]

    def obstacles(self, obj: Constituency) -> list[str]:
        # Asked of the ledger itself, which no foreign key protects.
        known = super().obstacles(obj)
        if not known and Transaction.objects.filter(constituency=obj.pk).exists():
            return ["Transactions in the ledger, which is kept"]
        return known


LISTS: list[tuple[str, Any]] = [
    ("Batches", ImportBatch),
    ("Hour files", FeedHour),
    ("Conflicts", ConflictingRow),
    ("Vanished", VanishedRow),
]


def coverage_of(election: Any) -> Coverage | None:
    """Return the coverage of an election, read once for a page."""
    if not hasattr(election, "coverage"):
        found = queries.coverage_by_election([election.pk])
        election.coverage = found.get(election.pk)
    coverage: Coverage | None = election.coverage
    return coverage


def has_gaps(election: Election) -> bool:
    """Tell whether hour files of an election are missing."""
    coverage = coverage_of(election)
    return coverage is not None and coverage.received < coverage.expected


def coverage_cell(coverage: Coverage | ConstituencyCoverage | None) -> SafeString:
    """Return how many hour files came, of how many expected."""
    if coverage is None:
        return SafeString('<span class="em-nothing" title="no hour files">–</span>')
    text = cells.number(coverage.received)
    share = format_html("{} of {}", text, cells.number(coverage.expected))
    if coverage.received >= coverage.expected:
        return cells.badge("good", share)
    return cells.badge("bad", share)


def _hours_with_gaps(gaps: Iterable[ConstituencyCoverage], zone: tzinfo) -> SafeString:
    counts = Counter(hour for coverage in gaps for hour in coverage.missing)
    return _hours(
        (
            (hour, f"in {count:,} constituencies" if count > 1 else "in 1 constituency")
            for hour, count in sorted(counts.items())
        ),
        zone,
    )


def _members_with_gaps(gaps: dict[int, ConstituencyCoverage]) -> SafeString:
    worst = sorted(gaps.items(), key=lambda item: (-len(item[1].missing), item[0]))
    shown = {pk: len(c.missing) for pk, c in worst[:CONSTITUENCIES_SHOWN] if c.missing}
    places = Constituency.objects.in_bulk(shown)
    lines = format_html_join(
        "",
        "<li>{}: {} missing</li>",
        (
            (cells.link(cells.change_url(places[pk]), cells.short(str(places[pk]))), n)
            for pk, n in shown.items()
        ),
    )
    more = sum(1 for _, coverage in worst if coverage.missing) - len(shown)
    rest = f"… and {more:,} more constituencies" if more else ""
    return format_html("<p>Most in:</p><ul>{}</ul>{}", lines, rest)


def _hours(hours: Iterable[tuple[datetime, str]], zone: tzinfo) -> SafeString:
    listed = list(hours)
    lines = format_html_join(
        "",
        "<li>{} {}</li>",
        ((cells.moment(hour, zone), words) for hour, words in listed[:HOURS_SHOWN]),
    )
    more = len(listed) - HOURS_SHOWN
    rest = f"… and {more:,} more hours" if more > 0 else ""
    return format_html('<ul class="em-hours">{}</ul>{}', lines, rest)
