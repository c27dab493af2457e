"""What the registry can be filtered by."""

from django_filters import (  # type: ignore[import-untyped]
    rest_framework as filters,
)

from elections.models import Constituency, ConstituencyStatus, Election, Region


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
