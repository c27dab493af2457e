"""What batches can be filtered by."""

from django import forms
from django.db.models import Q, QuerySet
from django_filters import (  # type: ignore[import-untyped]
    rest_framework as filters,
)
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from elections.models import Election
from transactions.models import BatchKind, BatchStatus, ImportBatch

# What the database takes as an id.
LARGEST_ID = 2**63 - 1


@extend_schema_field(OpenApiTypes.INT64)
class IdFilter(filters.NumberFilter):  # type: ignore[misc]
    """A whole number."""

    field_class = forms.IntegerField


class ImportBatchFilterSet(filters.FilterSet):  # type: ignore[misc]
    status = filters.ChoiceFilter(choices=BatchStatus.choices)
    kind = filters.ChoiceFilter(choices=BatchKind.choices)
    constituency = filters.CharFilter(
        method="of_contract", label="Contract id, registered or not."
    )
    election = filters.ModelChoiceFilter(
        method="of_election",
        queryset=Election.objects.all(),
        to_field_name="slug",
        label="Slug of an election: files of its constituencies, uploads that name it.",
        error_messages={"invalid_choice": "No election has this slug."},
    )
    upload = IdFilter(
        field_name="parent_id",
        min_value=1,
        max_value=LARGEST_ID,
        label="Id of an upload: the files in it.",
    )

    class Meta:
        model = ImportBatch
        fields = ["status", "kind", "constituency", "election", "upload"]

    def of_contract(
        self, batches: "QuerySet[ImportBatch]", name: str, contract_id: str
    ) -> "QuerySet[ImportBatch]":
        """Return the batches of a contract."""
        return batches.filter(
            Q(contract_id=contract_id) | Q(constituency__contract_id=contract_id)
        )

    @extend_schema_field(OpenApiTypes.STR)
    def of_election(
        self, batches: "QuerySet[ImportBatch]", name: str, election: Election
    ) -> "QuerySet[ImportBatch]":
        """Return the batches that belong to one election."""
        return batches.filter(
            Q(constituency__election=election) | Q(upload__election=election.slug)
        )
