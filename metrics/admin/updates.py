"""The update queue in the admin: what waits, what failed and why, and the way out."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from elections.admin import cells
from elections.admin.base import ReadOnlyAdmin
from elections.clock import database_now
from elections.models import Constituency, Election
from metrics import update_queries
from metrics.models import MetricsUpdate, UpdateStatus
from metrics.services import MetricsUpdateService, Request

KINDS = {
    "constituency": "Refresh of",
    "election": "Refresh of all in",
    "totals": "Totals of",
    "series": "Recent minutes of",
    "history": "Past minutes of",
    "evaluate": "Evaluation of",
}
BADGES = {
    UpdateStatus.PENDING: "busy",
    UpdateStatus.PROCESSING: "busy",
    UpdateStatus.DONE: "good",
    UpdateStatus.FAILED: "bad",
    UpdateStatus.DEAD: "bad",
}


class MetricsUpdateAdmin(ReadOnlyAdmin[MetricsUpdate]):
    list_display = [
        "id",
        "what",
        "state",
        "trigger",
        "attempts",
        "reason",
        "asked",
        "due",
        "requests",
    ]
    list_display_links = ["id"]
    list_filter = ["status", "trigger"]
    search_fields = ["scope"]
    search_help_text = "A scope, such as constituency:17"
    ordering = ["-id"]
    actions = ["run_now", "retry"]
    fields = [
        "what",
        "scope",
        ("state", "trigger", "priority"),
        ("attempts", "requests"),
        ("asked", "due", "taken", "finished"),
        "hours_changed",
        "traceback",
    ]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[MetricsUpdate]":
        return update_queries.updates_with_subjects()

    def has_steer_permission(self, request: HttpRequest) -> bool:
        """Tell whether this user may have updates made."""
        return request.user.has_perm("metrics.change_metricsupdate")

    @admin.action(description="Run now", permissions=["steer"])
    def run_now(
        self, request: HttpRequest, queryset: "QuerySet[MetricsUpdate]"
    ) -> None:
        hours: defaultdict[str, set[datetime]] = defaultdict(set)
        for update in queryset:
            hours[update.scope].update(update.hours)
        tell(request, ask_for_all(Request(s, sorted(h)) for s, h in hours.items()))

    @admin.action(description="Retry what failed", permissions=["steer"])
    def retry(self, request: HttpRequest, queryset: "QuerySet[MetricsUpdate]") -> None:
        ids = queryset.order_by("id").values_list("id", flat=True)
        if count := MetricsUpdateService().retry(list(ids), now=database_now()):
            messages.success(request, f"{count:,} updates are due again.")
        else:
            messages.warning(request, "None of them is failed or dead.")

    @admin.display(description="update", ordering="scope")
    def what(self, obj: MetricsUpdate) -> SafeString:
        kind = obj.scope.partition(":")[0]
        subject: str | None = obj.subject  # type: ignore[attr-defined]
        if kind not in KINDS or subject is None:
            return cells.code(obj.scope)
        model: type[Model] = Constituency if kind == "constituency" else Election
        page = cells.change_url(model(pk=obj.subject_id))  # type: ignore[attr-defined]
        return format_html(
            "{} {}", KINDS[kind], cells.link(page, cells.short(subject, 40))
        )

    @admin.display(description="status", ordering="status")
    def state(self, obj: MetricsUpdate) -> SafeString:
        return cells.badge(BADGES[UpdateStatus(obj.status)], obj.status)

    @admin.display(description="asked for", ordering="requested_at")
    def asked(self, obj: MetricsUpdate) -> SafeString:
        return cells.moment(obj.requested_at, timespec="seconds")

    @admin.display(description="due", ordering="available_at")
    def due(self, obj: MetricsUpdate) -> SafeString:
        return cells.moment(obj.available_at, timespec="seconds")

    @admin.display(description="taken by a worker")
    def taken(self, obj: MetricsUpdate) -> SafeString:
        return cells.moment(obj.locked_at, timespec="seconds")

    @admin.display(description="finished")
    def finished(self, obj: MetricsUpdate) -> SafeString:
        return cells.moment(obj.finished_at, timespec="seconds")

    @admin.display(description="last failure")
    def reason(self, obj: MetricsUpdate) -> SafeString:
        return cells.short(obj.error.strip().rpartition("\n")[2], 60)

    @admin.display(description="hours that changed")
    def hours_changed(self, obj: MetricsUpdate) -> str:
        return ", ".join(f"{hour:%Y-%m-%d %H:%M}" for hour in obj.hours) or "–"

    @admin.display(description="last failure")
    def traceback(self, obj: MetricsUpdate) -> SafeString:
        return format_html("<pre>{}</pre>", obj.error) if obj.error else cells.NOTHING


def ask_for_all(requests: Iterable[Request]) -> int:
    """Ask for updates by hand; return how many scopes that were."""
    return len(MetricsUpdateService().request_by_hand(requests, now=database_now()))


def tell(request: HttpRequest, count: int) -> None:
    """Tell staff what they asked for, and where to see it through."""
    queue = cells.link(cells.list_url(MetricsUpdate), "the update queue")
    messages.success(
        request,
        format_html(
            "{} will be made in a moment: see {}.",
            f"{count:,} {'update' if count == 1 else 'updates'}",
            queue,
        ),
    )


admin.site.register(MetricsUpdate, MetricsUpdateAdmin)
