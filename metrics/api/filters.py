"""What figures can be filtered by, and the parameters of views that filter nothing."""

from collections.abc import Collection
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django_filters import (  # type: ignore[import-untyped]
    rest_framework as filters,
)

from elections.api.filters import (
    MomentFilter,
    PeriodForm,
    constituency_filter,
    election_filter,
    region_filter,
)
from elections.models import Constituency, ConstituencyStatus
from metrics.models import HourlyStats
from metrics.queries import TABLE_COLUMNS, Unit
from metrics.realtime_queries import BUCKETS

PERIODS_OFFERED = [Unit.HOUR, Unit.DAY, Unit.WEEK, Unit.MONTH]
COMPARED_AT_MOST = 100
# As long as an address may be for the web server.
LONGEST_LIST = 4_000


class HourlyStatsFilterSet(filters.FilterSet):  # type: ignore[misc]
    constituency = constituency_filter()
    election = election_filter()
    region = region_filter("constituency__region")
    start = MomentFilter(
        field_name="hour", lookup_expr="gte", label="First hour, included."
    )
    end = MomentFilter(
        field_name="hour", lookup_expr="lt", label="End of the period, not included."
    )

    class Meta:
        model = HourlyStats
        form = PeriodForm
        fields = ["constituency", "election", "region", "start", "end"]


class MemberFilterSet(filters.FilterSet):  # type: ignore[misc]
    """Constituencies of one election."""

    region = region_filter()
    status = filters.ChoiceFilter(choices=ConstituencyStatus.choices)

    class Meta:
        model = Constituency
        fields = ["region", "status"]


class Parameters(filters.FilterSet):  # type: ignore[misc]
    """Parameters that choose no rows: a view reads them from the cleaned form."""

    def filter_queryset(self, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        """Return the rows as they are."""
        return queryset


class PeriodParameters(Parameters):
    start = MomentFilter(label="Start of the first hour, included.")
    end = MomentFilter(label="End of the period, not included.")

    class Meta:
        form = PeriodForm


class PeriodsParameters(PeriodParameters):
    period = filters.ChoiceFilter(
        choices=[(unit.value, unit.value) for unit in PERIODS_OFFERED],
        label="What hours are put together by; `day` where it is left out.",
    )


class TimelineParameters(PeriodParameters):
    bucket = filters.ChoiceFilter(
        choices=[(name, name) for name in BUCKETS],
        label="Length of a bucket; `5m` where it is left out.",
    )


def words_of(text: str) -> list[str]:
    """Return the words of a text that are divided by commas."""
    return [word.strip() for word in text.split(",")] if text else []


class WordsField(forms.CharField):
    """Different words, divided by commas."""

    def __init__(
        self,
        *,
        at_most: int | None = None,
        known: Collection[str] = (),
        **kwargs: Any,
    ) -> None:
        self.at_most, self.known = at_most, known
        super().__init__(**kwargs)

    def clean(self, value: Any) -> list[str]:
        """Return the words in their order.

        Raises:
            ValidationError: one comes twice or is unknown, or they are many.
        """
        text = super().clean(value)
        words = words_of(text)
        if len(set(words)) < len(words):
            raise ValidationError("State each of them once.", code="repeated")
        if self.at_most and len(words) > self.at_most:
            message = f"Name at most {self.at_most}."
            raise ValidationError(message, code="too_many")
        unknown = [word for word in words if self.known and word not in self.known]
        if unknown:
            # The library formats the message: a per cent sign of a caller must not be in it.
            raise ValidationError(
                "Unknown: %(unknown)s. Choose from %(known)s.",
                code="invalid_choice",
                params={"unknown": ", ".join(unknown), "known": ", ".join(self.known)},
            )
        return words


class WordsFilter(filters.CharFilter):  # type: ignore[misc]
    field_class = WordsField


class CompareParameters(PeriodParameters):
    ids = WordsFilter(
        required=True,
        max_length=LONGEST_LIST,
        at_most=COMPARED_AT_MOST,
        label=f"Contract ids, divided by commas, {COMPARED_AT_MOST} at most.",
    )


class TableParameters(Parameters):
    columns = WordsFilter(
        known=list(TABLE_COLUMNS),
        label="Columns wanted, divided by commas: any of "
        f"{', '.join(TABLE_COLUMNS)}. All but district and abandonment_rate where "
        "it is left out.",
    )
