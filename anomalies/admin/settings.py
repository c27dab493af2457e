"""How rules work in single elections."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from anomalies.models import RuleSetting
from anomalies.rules.catalogue import RULES
from anomalies.rules.episodes import WARNING_Q
from anomalies.services.queue import ask_by_hand

EFFECT = (
    "Of the hours of a vote without anomalies, a share of at most q has a false alarm of the "
    f"rules together: at {WARNING_Q}, 3 of 60 at most; at .01 fewer than 1; at .2, 12. A "
    "smaller q also finds less. Logical rules have no q."
)


class RuleSettingForm(forms.ModelForm):  # type: ignore[type-arg]
    rule = forms.ChoiceField(
        choices=[(code, f"{code} {rule.title}") for code, rule in RULES.items()]
    )

    class Meta:
        model = RuleSetting
        fields = ["election", "rule", "is_on", "q"]
        help_texts = {"q": EFFECT}

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
        ask_by_hand(obj.election_id, now=timezone.now())

    def delete_model(self, request: Any, obj: RuleSetting) -> None:
        super().delete_model(request, obj)
        ask_by_hand(obj.election_id, now=timezone.now())

    def delete_queryset(
        self, request: HttpRequest, queryset: "QuerySet[RuleSetting]"
    ) -> None:
        elections = set(queryset.values_list("election_id", flat=True))
        super().delete_queryset(request, queryset)
        for election_id in sorted(elections):
            ask_by_hand(election_id, now=timezone.now())

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # Another election or rule is another setting.
        return ["election", "rule"] if obj else []
