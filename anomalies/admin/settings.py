"""How rules work in single elections."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString

from anomalies.admin.compared import table
from anomalies.evaluation.effects import HOURS, PER, Q_LEVELS, WORDS, measured
from anomalies.models import RuleSetting
from anomalies.rules.catalogue import RULES
from anomalies.services.queue import ask_by_hand
from elections.clock import database_now
from elections.models import Election

ONE_HOUR = timedelta(hours=1)
# Of a vote whose times nobody tells.
USUAL_HOURS = 60


def overview() -> SafeString:
    """Return what thresholds do in general, before a rule is chosen."""
    return format_html(
        "A smaller q raises fewer false alarms, and also finds less; logical rules have no "
        "q. False alarms of {} {}, measured on {}: {} {}",
        f"{PER:,}",
        WORDS[HOURS],
        measured().measured,
        table(
            ["q", *(f"{level:g}" for level in Q_LEVELS)],
            [[rule, *rates] for rule, rates in measured().by_level().items()],
        ),
        measured().bound(None, USUAL_HOURS),
    )


def effect_of(setting: RuleSetting) -> str:
    """Return what its threshold does, in sentences; nothing of a rule without one."""
    rule = RULES.get(setting.rule)
    if rule is None or not rule.is_statistical:
        return ""
    sentence = measured().sentence(setting.rule, setting.q)
    if setting.rule not in measured().rules:
        return sentence
    bound = measured().bound(setting.q, _hours_of(setting.election))
    return f"{sentence} {bound}"


def _hours_of(election: Election) -> int:
    """Return the hours in which its vote goes on, begun ones whole."""
    if election.starts_at is None or election.ends_at is None:
        return USUAL_HOURS
    return -((election.starts_at - election.ends_at) // ONE_HOUR)


class RuleSettingForm(forms.ModelForm):  # type: ignore[type-arg]
    rule = forms.ChoiceField(
        choices=[(code, f"{code} {rule.title}") for code, rule in RULES.items()]
    )

    class Meta:
        model = RuleSetting
        fields = ["election", "rule", "is_on", "q"]
        # Lazy: the command that measures has to start without what it has measured.
        help_texts = {"q": lazy(overview, SafeString)()}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        rule = RULES.get(cleaned.get("rule", ""))
        if rule and not rule.is_statistical and cleaned.get("q") is not None:
            self.add_error("q", "A logical rule is true or false: it has no q.")
        return cleaned


class RuleSettingAdmin(admin.ModelAdmin[RuleSetting]):
    form = RuleSettingForm
    list_display = ["rule", "election", "is_on", "q"]
    list_filter = ["rule", "is_on"]
    search_fields = ["election__slug", "rule"]
    autocomplete_fields = ["election"]
    ordering = ["election", "rule"]

    def save_model(
        self, request: Any, obj: RuleSetting, form: Any, change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        ask_by_hand(obj.election_id, now=database_now())
        if obj.is_on and (effect := effect_of(obj)):
            messages.info(request, effect)

    def delete_model(self, request: Any, obj: RuleSetting) -> None:
        super().delete_model(request, obj)
        ask_by_hand(obj.election_id, now=database_now())

    def delete_queryset(
        self, request: HttpRequest, queryset: "QuerySet[RuleSetting]"
    ) -> None:
        elections = set(queryset.values_list("election_id", flat=True))
        super().delete_queryset(request, queryset)
        for election_id in sorted(elections):
            ask_by_hand(election_id, now=database_now())

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # Another election or rule is another setting.
        return ["election", "rule", "effect"] if obj else []

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = ["election", "rule", "is_on", "q"]
        return [*fields, "effect"] if obj else fields

    @admin.display(description="What this q does", empty_value="–")
    def effect(self, obj: RuleSetting) -> str | None:
        """Return the effect of the threshold as it is stored."""
        return effect_of(obj) or None
