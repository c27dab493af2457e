"""What the last evaluation of each election could look at, and what not, in the admin."""

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from anomalies.models import Evaluation
from anomalies.wording import title, why_unverifiable
from elections.admin import cells
from elections.admin.base import ReadOnlyAdmin


class EvaluationAdmin(ReadOnlyAdmin[Evaluation]):
    list_display = ["election", "evaluated", "closed_until", "tests", "is_whole"]
    list_select_related = ["election"]
    search_fields = ["election__slug", "election__name"]
    ordering = ["-evaluated_at"]
    fields = ["election", "evaluated", "closed_until", "tests", "not_applied"]

    @admin.display(description="evaluated", ordering="evaluated_at")
    def evaluated(self, obj: Evaluation) -> SafeString:
        return cells.moment(obj.evaluated_at, timespec="seconds")

    @admin.display(description="hours up to", ordering="until")
    def closed_until(self, obj: Evaluation) -> SafeString:
        return cells.moment(obj.until)

    @admin.display(description="rules")
    def is_whole(self, obj: Evaluation) -> SafeString:
        if not obj.unverifiable:
            return cells.badge("good", "all applied")
        rules = ", ".join(sorted(obj.unverifiable))
        failed = any("rule_failed" in reasons for reasons in obj.unverifiable.values())
        return cells.badge("bad" if failed else "quiet", f"not everywhere: {rules}")

    @admin.display(description="what could not be judged")
    def not_applied(self, obj: Evaluation) -> SafeString:
        lines = (
            (rule, title(rule), why_unverifiable(reason, constituencies))
            for rule, reasons in sorted(obj.unverifiable.items())
            for reason, constituencies in sorted(reasons.items())
        )
        return format_html_join("", "<p><b>{} {}</b>: {}</p>", lines) or cells.NOTHING
