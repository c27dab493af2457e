"""Alerts in the admin: what was found, how sure that is, and who deals with it."""

import json
from datetime import tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from anomalies import queries
from anomalies.admin.compared import compared, table
from anomalies.models import OPEN, Alert, AlertStatus, Severity
from anomalies.rules.catalogue import RULES
from anomalies.services import (
    AlertChanged,
    AlertService,
    ImpossibleTransition,
    ReasonMissing,
)
from anomalies.wording import sentence, title
from elections.admin import cells
from elections.admin.base import BigTableAdmin
from elections.clock import database_now
from elections.roles import Role, has_role

BADGES = {
    Severity.CRITICAL: "bad",
    Severity.WARNING: "busy",
    Severity.INFO: "quiet",
}
STATUS_BADGES = {
    AlertStatus.ACTIVE: "bad",
    AlertStatus.INVESTIGATING: "busy",
    AlertStatus.RESOLVED: "good",
    AlertStatus.DISMISSED: "quiet",
    AlertStatus.CLEARED: "quiet",
}


class AlertForm(forms.ModelForm):  # type: ignore[type-arg]
    """What staff decide about an alert, on the version that they have seen."""

    seen_version = forms.IntegerField(widget=forms.HiddenInput)
    note = forms.CharField(
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Nobody can change it afterwards.",
    )

    class Meta:
        model = Alert
        fields = ["status", "reason", "assigned_to"]
        widgets = {"reason": forms.Textarea(attrs={"rows": 2})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["seen_version"].initial = self.instance.version

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        is_dismissed = cleaned.get("status") == AlertStatus.DISMISSED
        if is_dismissed and not cleaned.get("reason", "").strip():
            self.add_error("reason", "Say in a sentence why it is dismissed.")
        return cleaned


class OpenFilter(admin.SimpleListFilter):
    title = "to do"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "open"), ("no", "decided or cleared")]

    def queryset(
        self, request: HttpRequest, queryset: "QuerySet[Alert]"
    ) -> "QuerySet[Alert]":
        if self.value() == "yes":
            return queryset.filter(status__in=OPEN)
        if self.value() == "no":
            return queryset.exclude(status__in=OPEN)
        return queryset


class RuleFilter(admin.SimpleListFilter):
    title = "rule"
    parameter_name = "rule"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, f"{code} {rule.title}") for code, rule in RULES.items()]

    def queryset(
        self, request: HttpRequest, queryset: "QuerySet[Alert]"
    ) -> "QuerySet[Alert]":
        return queryset.filter(rule=self.value()) if self.value() else queryset


class AlertAdmin(BigTableAdmin[Alert]):
    form = AlertForm
    list_display = [
        "what",
        "grave",
        "state",
        "place",
        "from_hour",
        "ballots",
        "chance",
        "assigned_to",
    ]
    list_display_links = ["what"]
    list_filter = [OpenFilter, "severity", RuleFilter, "status", "election"]
    search_fields = ["constituency__name", "constituency__contract_id"]
    search_help_text = "Name or contract id of a constituency"
    ordering = ["-started_hour", "-id"]
    actions = ["take", "resolve"]
    readonly_fields = [
        "in_words",
        "grave",
        "place",
        "from_hour",
        "to_hour",
        "ballots",
        "numbers",
        "compared_with",
        "written",
        "versions",
        "all_evidence",
    ]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    *("in_words", "grave", "place", ("from_hour", "to_hour")),
                    *("ballots", "numbers", "compared_with"),
                ]
            },
        ),
        (
            "What we do about it",
            {
                "fields": [
                    *("status", "reason", "assigned_to", "note", "seen_version"),
                    "written",
                ]
            },
        ),
        ("History", {"fields": ["versions"]}),
        ("Evidence", {"fields": ["all_evidence"], "classes": ["collapse"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Alert]":
        return queries.alerts().select_related(
            "constituency__region", "constituency__election"
        )

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """Offer who can work in the admin; nobody makes users from here."""
        if db_field.name == "assigned_to":
            staff = get_user_model().objects.filter(is_active=True, is_staff=True)
            return db_field.formfield(queryset=staff.order_by("username"))
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: Model | None = None
    ) -> bool:
        """Analysts deal with alerts, as over the API."""
        return has_role(request.user, Role.ANALYST)

    def save_model(self, request: Any, obj: Alert, form: Any, change: bool) -> None:
        """Let the service decide; what it refuses is said, and nothing is saved."""
        given = form.cleaned_data
        changes = {
            name: given[name]
            for name in ("status", "reason", "assigned_to")
            if name in form.changed_data
        }
        service, now = AlertService(), database_now()
        try:
            if changes:
                if "status" in changes:
                    changes["status"] = AlertStatus(changes["status"])
                service.change(
                    obj.pk,
                    version=given["seen_version"],
                    by=request.user,
                    now=now,
                    **changes,
                )
            if given["note"].strip():
                service.add_note(
                    obj.pk, author=request.user, text=given["note"], now=now
                )
        except (AlertChanged, ImpossibleTransition, ReasonMissing) as error:
            request.refused = str(error)

    def response_change(self, request: Any, obj: Alert) -> HttpResponse:
        refused = getattr(request, "refused", None)
        if refused is None:
            return super().response_change(request, obj)
        messages.error(request, f"Nothing was changed: {refused}")
        return HttpResponseRedirect(request.path)

    def log_change(self, request: Any, obj: Any, message: Any) -> Any:
        """Write no log of Django's where nothing was changed."""
        if getattr(request, "refused", None) is None:
            return super().log_change(request, obj, message)
        return None

    @admin.action(description="Assign to me and investigate", permissions=["change"])
    def take(self, request: Any, queryset: "QuerySet[Alert]") -> None:
        self._change_all(
            request,
            queryset,
            status=AlertStatus.INVESTIGATING,
            assigned_to=request.user,
        )

    @admin.action(description="Resolve", permissions=["change"])
    def resolve(self, request: Any, queryset: "QuerySet[Alert]") -> None:
        self._change_all(request, queryset, status=AlertStatus.RESOLVED)

    def _change_all(
        self, request: Any, queryset: "QuerySet[Alert]", **changes: Any
    ) -> None:
        done, now = 0, database_now()
        for alert in queryset.order_by("pk"):
            try:
                AlertService().change(
                    alert.pk, version=alert.version, by=request.user, now=now, **changes
                )
            except (AlertChanged, ImpossibleTransition) as error:
                messages.warning(request, f"{alert}: {error}")
            else:
                done += 1
        if done:
            messages.success(request, f"{done:,} alerts changed.")

    @admin.display(description="alert", ordering="rule")
    def what(self, obj: Alert) -> SafeString:
        return cells.short(f"{obj.rule} {title(obj.rule)}", 40)

    @admin.display(description="severity", ordering="severity")
    def grave(self, obj: Alert) -> SafeString:
        return cells.badge(BADGES[Severity(obj.severity)], obj.severity)

    @admin.display(description="status", ordering="status")
    def state(self, obj: Alert) -> SafeString:
        return cells.badge(STATUS_BADGES[AlertStatus(obj.status)], obj.status)

    @admin.display(description="where", ordering="constituency__name")
    def place(self, obj: Alert) -> SafeString:
        if obj.constituency is None:
            return format_html("all of {}", cells.short(obj.election.name, 40))
        page = cells.change_url(obj.constituency)
        return cells.link(page, cells.short(obj.constituency.name, 40))

    @admin.display(description="from hour", ordering="started_hour")
    def from_hour(self, obj: Alert) -> SafeString:
        return cells.moment(obj.started_hour, _zone(obj))

    @admin.display(description="to hour", ordering="ended_hour")
    def to_hour(self, obj: Alert) -> SafeString:
        return cells.moment(obj.ended_hour, _zone(obj))

    @admin.display(description="ballots more", ordering="excess")
    def ballots(self, obj: Alert) -> SafeString:
        return cells.number(None if obj.excess is None else round(obj.excess))

    @admin.display(description="share of chance (q)", ordering="q")
    def chance(self, obj: Alert) -> SafeString:
        if obj.q is None:
            return cells.NOTHING
        return format_html('<span class="em-number">{}</span>', f"{obj.q:.2g}")

    @admin.display(description="in words")
    def in_words(self, obj: Alert) -> str:
        register = obj.constituency.registered_voters if obj.constituency else None
        return sentence(obj, voters=register)

    @admin.display(description="numbers")
    def numbers(self, obj: Alert) -> SafeString:
        shown = [("statistic", obj.statistic), ("p", obj.p), ("q", obj.q)]
        return format_html_join(
            " · ",
            "{} {}",
            ((name, f"{value:.4g}") for name, value in shown if value is not None),
        )

    @admin.display(description="compared")
    def compared_with(self, obj: Alert) -> SafeString:
        figures = compared(obj, _zone(obj))
        return table(*figures) if figures else cells.NOTHING

    @admin.display(description="notes")
    def written(self, obj: Alert) -> SafeString:
        notes = format_html_join(
            "",
            "<p><strong>{}</strong> {}<br>{}</p>",
            (
                (note.author, cells.moment(note.created_at), note.text)
                for note in queries.notes(obj.pk)
            ),
        )
        return notes or cells.NOTHING

    @admin.display(description="versions")
    def versions(self, obj: Alert) -> SafeString:
        events: Any = queries.history(obj.pk)
        return table(
            ["version", "at", "by", "status", "severity", "ballots more"],
            [
                [
                    event.version,
                    cells.moment(event.pgh_created_at, timespec="seconds"),
                    _author(event),
                    event.status,
                    event.severity,
                    cells.number(None if event.excess is None else round(event.excess)),
                ]
                for event in events
            ],
        )

    @admin.display(description="as stored")
    def all_evidence(self, obj: Alert) -> SafeString:
        text = json.dumps(obj.evidence, indent=1, ensure_ascii=False, sort_keys=True)
        return format_html("<pre>{}</pre>", text)


def _author(event: Any) -> str:
    context = event.pgh_context
    return context.metadata.get("username", "–") if context else "the rules"


def _zone(alert: Alert) -> tzinfo:
    """Return the zone in which people read the hours of an alert."""
    place = alert.constituency
    return place.zone if place else ZoneInfo(alert.election.timezone)
