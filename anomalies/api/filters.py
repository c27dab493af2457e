"""What alerts can be filtered by."""

from django.db.models import QuerySet
from django_filters import (  # type: ignore[import-untyped]
    rest_framework as filters,
)

from anomalies.models import OPEN, Alert, AlertStatus, Severity
from elections.api.filters import (
    MomentFilter,
    PeriodForm,
    constituency_filter,
    election_filter,
)


class AlertFilterSet(filters.FilterSet):  # type: ignore[misc]
    election = election_filter()
    constituency = constituency_filter()
    rule = filters.CharFilter(label="Code of a rule, such as S01.")
    severity = filters.ChoiceFilter(choices=Severity.choices)
    status = filters.ChoiceFilter(choices=AlertStatus.choices)
    open = filters.BooleanFilter(
        method="of_open", label="Whether somebody still has to deal with it."
    )
    start = MomentFilter(
        field_name="ended_hour", lookup_expr="gte", label="Ended at this hour or later."
    )
    end = MomentFilter(
        field_name="started_hour", lookup_expr="lt", label="Started before this time."
    )

    class Meta:
        model = Alert
        form = PeriodForm
        fields = [
            *("election", "constituency", "rule", "severity", "status"),
            *("open", "start", "end"),
        ]

    def of_open(
        self, queryset: "QuerySet[Alert]", name: str, value: bool
    ) -> "QuerySet[Alert]":
        """Return the alerts that are open, or that are not."""
        if value:
            return queryset.filter(status__in=OPEN)
        return queryset.exclude(status__in=OPEN)
