"""Reports on polling stations in the admin: files handed in, and what they say."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.files.uploadedfile import UploadedFile
from django.db.models import F, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from anomalies.admin import charts
from anomalies.admin.alerts import BADGES
from anomalies.models import Severity, StationReport
from anomalies.services import (
    ElectionGone,
    ForensicsReport,
    StoredReport,
    UnreadableStations,
    store_report,
)
from anomalies.services.forensics import NAMED
from anomalies.services.station_files import LARGEST_BYTES
from elections.admin import cells
from elections.admin.base import ReadOnlyAdmin
from elections.admin.filters import ElectionFilter
from elections.admin.registry import election_link
from elections.admin.uploads import FileForm, UploadPage
from elections.models import Election

RULE_NAMES = {
    "P01": "Integer percentages",
    "P02": "Turnout and share",
    "P03": "Shape",
    "P04": "Excess votes",
    "P05": "Last digit",
    "P06": "Second digit",
    "P07": "Zeros and fives",
    "P08": "Remote and paper",
    "P09": "Identical values",
    "H12": "Protocol",
}


class StationsForm(FileForm):
    """A file of polling stations and the election that they voted in."""

    election = forms.ModelChoiceField(Election.objects.order_by("name", "id"))
    file = forms.FileField(
        max_length=255,
        allow_empty_file=True,
        help_text="CSV in UTF-8, plain or packed with gzip, with the columns region, tik "
        "(commission), voters (on the register), given (ballots given out), received "
        "(found in the boxes) and leader (votes for whoever won). Columns party_NAME, oik "
        "(constituency) and remote (0 or 1) let P08 and P09 be tried. A whole country "
        "takes some ten seconds; the file is not kept.",
    )

    @classmethod
    def largest_bytes(cls) -> int:
        return LARGEST_BYTES


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule as its row says it."""

    code: str
    name: str
    badge: SafeString
    sentence: str


@dataclass(frozen=True, slots=True)
class Table:
    """Places that a rule names."""

    title: str
    head: tuple[str, ...]
    rows: list[list[object]]
    # So many columns are words; numbers follow.
    words: int = 1
    # What the table does not tell.
    note: str = ""


class StationReportAdmin(UploadPage[StationReport], ReadOnlyAdmin[StationReport]):
    upload_form = StationsForm
    upload_title = "Upload results of polling stations"
    change_form_template = "admin/anomalies/stationreport/change_form.html"
    list_display = ["file", "place", "station_count", "noticed", "by", "created"]
    list_filter = [ElectionFilter]
    search_fields = ["file_name"]
    search_help_text = "A part of the file's name"
    ordering = ["-id"]
    fields = [
        "place",
        "file",
        ("station_count", "voters", "given"),
        ("received", "leader"),
        ("by", "created"),
        "content",
    ]

    class Media:
        css = {"all": ["anomalies/reports.css"]}

    def get_queryset(self, request: HttpRequest) -> "QuerySet[StationReport]":
        rows = super().get_queryset(request).defer("report")
        return rows.select_related("election", "uploaded_by").annotate(
            totals=F("report__totals"), findings=F("report__findings")
        )

    # Handing in ------------------------------------------------------------------

    def receive(self, request: HttpRequest, form: StationsForm) -> HttpResponse | None:
        """Apply the rules while the browser waits, and show what they say."""
        if (stored := _store(request, form)) is None:
            return None
        if stored.is_new:
            self.log_addition(request, stored.report, "Uploaded.")
            messages.success(request, "The rules were applied; this is their report.")
        else:
            messages.info(request, "This file is known already; this is its report.")
        return redirect(cells.change_url(stored.report))

    # The report ------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = {} if row is None else told(ForensicsReport.from_json(row.report))
        return super().change_view(
            request, object_id, form_url, {**context, **(extra_context or {})}
        )

    @admin.display(description="file", ordering="file_name")
    def file(self, obj: StationReport) -> SafeString:
        return cells.short(obj.file_name)

    @admin.display(description="election", ordering="election__name")
    def place(self, obj: StationReport) -> SafeString:
        return election_link(obj.election)

    @admin.display(description="stations", ordering="stations")
    def station_count(self, obj: StationReport) -> SafeString:
        return cells.number(obj.stations)

    @admin.display(description="stands out")
    def noticed(self, obj: Any) -> SafeString:
        marks = [
            (cells.badge(BADGES[Severity(each["severity"])], each["code"]),)
            for each in obj.findings
            if each["severity"] != Severity.INFO
        ]
        return format_html_join(" ", "{}", marks) or cells.NOTHING

    @admin.display(description="by")
    def by(self, obj: StationReport) -> SafeString:
        user = obj.uploaded_by
        return cells.short(user.get_username()) if user else cells.NOTHING

    @admin.display(description="at", ordering="created_at")
    def created(self, obj: StationReport) -> SafeString:
        return cells.moment(obj.created_at)

    @admin.display(description="SHA-256")
    def content(self, obj: StationReport) -> SafeString:
        return cells.digest(obj.sha256)

    @admin.display(description="on the register")
    def voters(self, obj: Any) -> SafeString:
        return cells.number(obj.totals["voters"])

    @admin.display(description="ballots given out")
    def given(self, obj: Any) -> SafeString:
        return cells.number(obj.totals["given"])

    @admin.display(description="found in the boxes")
    def received(self, obj: Any) -> SafeString:
        return cells.number(obj.totals["received"])

    @admin.display(description="votes for the leader")
    def leader(self, obj: Any) -> SafeString:
        return cells.number(obj.totals["leader"])


def _store(request: HttpRequest, form: StationsForm) -> StoredReport | None:
    """Apply the rules to the file; where that fails, the form says why."""
    file: UploadedFile[bytes] = form.cleaned_data["file"]
    try:
        return store_report(
            election=form.cleaned_data["election"],
            source=file,
            name=file.name or "",
            by=request.user,
            now=timezone.now(),
        )
    except UnreadableStations as error:
        form.add_error("file", str(error))
    except ElectionGone as error:
        form.add_error("election", str(error))
    return None


def told(report: ForensicsReport) -> dict[str, Any]:
    """Return what the page of a report shows."""
    drawn = report.charts
    pictures = {
        "turnout": charts.histogram(drawn["turnout"], x_title="turnout, %"),
        "share": charts.histogram(drawn["share"], x_title="leader’s share, %"),
        "heat": charts.heat_map(drawn["fingerprint"], side=drawn["cells"]),
        "curve": _curve(report),
    }
    return {
        "rules": [_finding(each.code, each) for each in report.findings],
        "tables": [table for table in _tables(report) if table.rows],
        "pictures": pictures,
    }


def _finding(code: str, finding: Any) -> Finding:
    badge = cells.badge(BADGES[Severity(finding.severity)], finding.severity)
    return Finding(code, RULE_NAMES.get(code, code), badge, finding.sentence)


def _curve(report: ForensicsReport) -> charts.Curve | None:
    numbers = {each.code: each.numbers for each in report.findings}["P04"]
    if numbers is None or not report.charts["P04"]:
        return None
    return charts.curve(
        **report.charts["P04"],
        core=numbers["core_turnout"],
        is_clean=numbers["has_clean_core"],
    )


def _tables(report: ForensicsReport) -> Iterable[Table]:
    numbers = {each.code: each.numbers or {} for each in report.findings}
    yield Table(
        "P01: regions with too many integer percentages",
        ("region", "stations", "with an integer", "expected", "z", "q"),
        [
            [
                each["region"],
                cells.number(each["n"]),
                cells.number(each["observed"]),
                _decimal(each["expected"], 0),
                _decimal(each["z"], 1),
                _power(each["q"]),
            ]
            for each in report.places["P01"]
        ],
    )
    yield Table(
        "P02: regions where share rises strongly with turnout",
        ("region", "stations", "r", "points of share per point of turnout"),
        [
            [
                each["region"],
                cells.number(each["n"]),
                _decimal(each["r"], 2),
                _decimal(each["slope"], 2),
            ]
            for each in report.places["P02"]
        ],
    )
    yield from _tables_of_parties(numbers["P08"], numbers["P09"])
    yield _protocols(report)


def _tables_of_parties(
    remote: dict[str, Any], identical: dict[str, Any]
) -> Iterable[Table]:
    yield Table(
        "P08: constituencies that somebody else had won without remote votes",
        ("constituency", "winner", "winner on paper", "remote less paper, points", "z"),
        [
            [
                each["name"],
                each["winner"],
                each["paper_winner"],
                _decimal(100 * each["gap"], 1),
                _decimal(each["z"], 1),
            ]
            for each in remote.get("constituencies", [])
            if each["is_flipped"]
        ],
        words=3,
    )
    cases = identical.get("first", [])
    yield Table(
        "P09: commissions where a party has one or two votes nearly everywhere",
        ("commission", "party", "stations with one", "with two", "with none"),
        [
            [
                each["commission"],
                each["party"],
                *(cells.number(each[name]) for name in ("ones", "twos", "zeros")),
            ]
            for each in cases
        ],
        words=2,
        note=_at_most(cases),
    )


def _protocols(report: ForensicsReport) -> Table:
    rows = report.places["H12"]
    names = ("line", "voters", "given", "received", "leader")
    return Table(
        "H12: protocols that cannot be",
        (
            "commission",
            "line",
            "register",
            "given out",
            "in the boxes",
            "for the leader",
        ),
        [
            [
                each["commission"],
                *(cells.number(each[name]) for name in names),
            ]
            for each in rows
        ],
        note=_at_most(rows),
    )


def _at_most(rows: list[Any]) -> str:
    return f"At most {NAMED} are named here." if len(rows) >= NAMED else ""


def _decimal(value: float, digits: int) -> SafeString:
    return format_html('<span class="em-number">{}</span>', f"{value:,.{digits}f}")


def _power(value: float) -> SafeString:
    return format_html('<span class="em-number">{}</span>', f"{value:.1e}")
