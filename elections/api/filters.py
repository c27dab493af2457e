"""What the registry can be filtered by, and what others filter by, too."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.dateparse import parse_datetime
from django_filters import (  # type: ignore[import-untyped]
    rest_framework as filters,
)

from elections.models import Constituency, ConstituencyStatus, Election, Region

LARGEST_OFFSET = timedelta(hours=15, minutes=59)


class MomentField(forms.Field):
    """An instant: ISO 8601, with its offset, since a bare time means many."""

    def to_python(self, value: Any) -> datetime | None:
        """Return an aware datetime, None for an empty value.

        Raises:
            ValidationError: no date and time, or no offset.
        """
        if value in self.empty_values:
            return None
        # A "+" that was not written as %2B arrives as a space.
        text = value.replace(" ", "+") if "T" in value else value
        try:
            moment = parse_datetime(text)
        except ValueError:
            moment = None
        # PostgreSQL knows no such offsets, and no zone has one.
        offset = moment.utcoffset() if moment else None
        if moment is None or abs(offset or timedelta()) > LARGEST_OFFSET:
            message = "Use ISO 8601, such as 2026-09-18T08:00:00+03:00."
            raise ValidationError(message, code="invalid")
        if moment.tzinfo is None:
            message = "Give the offset, such as 2026-09-18T08:00:00+03:00 or …Z."
            raise ValidationError(message, code="offset_missing")
        return moment


class MomentFilter(filters.IsoDateTimeFilter):  # type: ignore[misc]
    field_class = MomentField


class PeriodForm(forms.Form):
    """Refuses a period that ends before it starts."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        start, end = cleaned.get("start"), cleaned.get("end")
        if start and end and start >= end:
            message = "The period is empty: its end lies after its start."
            self.add_error("end", ValidationError(message, code="period_empty"))
        return cleaned


def constituency_filter(**options: Any) -> filters.ModelChoiceFilter:
    """Return a filter by the contract id; an unknown one is an error."""
    return filters.ModelChoiceFilter(
        queryset=Constituency.objects.select_related("election"),
        to_field_name="contract_id",
        label="Contract id of a constituency.",
        error_messages={"invalid_choice": "No constituency has this contract id."},
        **options,
    )


def election_filter(field_name: str = "election") -> filters.ModelChoiceFilter:
    """Return a filter by the election's slug; an unknown one is an error."""
    return filters.ModelChoiceFilter(
        field_name=field_name,
        queryset=Election.objects.all(),
        to_field_name="slug",
        label="Slug of an election.",
        error_messages={"invalid_choice": "No election has this slug."},
    )


def region_filter(field_name: str = "region") -> filters.ModelChoiceFilter:
    """Return a filter by the region's code; an unknown one is an error."""
    return filters.ModelChoiceFilter(
        field_name=field_name,
        queryset=Region.objects.all(),
        to_field_name="code",
        label="Code of a region.",
        error_messages={"invalid_choice": "No region has this code."},
    )


class ConstituencyFilterSet(filters.FilterSet):  # type: ignore[misc]
    election = election_filter()
    region = region_filter()
    status = filters.ChoiceFilter(choices=ConstituencyStatus.choices)

    class Meta:
        model = Constituency
        fields = ["election", "region", "status"]
