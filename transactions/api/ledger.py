"""The ledger over HTTP: the transactions of one constituency, in the order of time."""

from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from django_filters import (  # type: ignore[import-untyped]
    rest_framework as filters,
)
from rest_framework import serializers
from rest_framework.filters import SearchFilter
from rest_framework.settings import api_settings

from elections.api.filters import MomentFilter, PeriodForm, constituency_filter
from elections.api.schema import answer, shown_as
from elections.models import Constituency
from elections.queries import as_of_by_election
from transactions.api import examples
from transactions.models import Transaction
from transactions.operations import Operation, Outcome
from transactions.queries import coverage

DEFAULTS: Any = api_settings.DEFAULT_FILTER_BACKENDS
LEDGER_BACKENDS = [backend for backend in DEFAULTS if backend is not SearchFilter]


class LedgerFilterSet(filters.FilterSet):  # type: ignore[misc]
    constituency = constituency_filter(required=True)
    start = MomentFilter(
        field_name="timestamp", lookup_expr="gte", label="First moment, included."
    )
    end = MomentFilter(
        field_name="timestamp",
        lookup_expr="lt",
        label="End of the period, not included.",
    )
    operation = filters.TypedChoiceFilter(
        choices=[(operation.label, operation.label) for operation in Operation],
        coerce=lambda label: Operation[label.upper()],
        # Zero is an operation, too.
        empty_value=None,
    )

    class Meta:
        model = Transaction
        form = PeriodForm
        fields = ["constituency", "start", "end", "operation"]


@shown_as(answer(examples.LEDGER_ROW))
class LedgerRowSerializer(serializers.Serializer[Any]):
    """A transaction as it counts now."""

    constituency = serializers.CharField(source="constituency.contract_id")
    tx_id = serializers.CharField()
    timestamp = serializers.DateTimeField(help_text="Set by the sender.")
    operation = serializers.SerializerMethodField()
    outcome = serializers.SerializerMethodField()
    quantity = serializers.IntegerField(
        help_text="Ballots of an issue; voters added, or removed, by a list."
    )
    sender = serializers.SerializerMethodField(
        help_text="Digest of the sender's key in hexadecimal digits: the same for the "
        "same key."
    )
    uik = serializers.CharField(source="polling_station", help_text="Polling station.")
    batch = serializers.IntegerField(
        source="batch_id", help_text="That brought it first, see imports/{id}/."
    )
    rolled_back = serializers.BooleanField()
    counted = serializers.BooleanField(
        help_text="Adds to bulletins issued or votes cast: of several accepted votes of "
        "a key only the first."
    )

    def get_operation(self, row: Transaction) -> str:
        """Return what it asked for."""
        return Operation(row.operation).label

    def get_outcome(self, row: Transaction) -> str:
        """Return how the contract answered."""
        return Outcome(row.outcome).label

    def get_sender(self, row: Transaction) -> str | None:
        """Return the digest."""
        return None if row.sender is None else bytes(row.sender).hex()


def ledger() -> "QuerySet[Transaction]":
    """Return all transactions in the order of time, with their constituency."""
    rows = Transaction.objects.select_related("constituency")
    return rows.order_by("timestamp", "tx_id")


def provenance(constituency: Constituency) -> dict[str, Any]:
    """Return of what moment the ledger is, and how much of the feed had come."""
    chosen = Constituency.objects.filter(pk=constituency.pk)
    as_of = as_of_by_election(chosen).get(constituency.election_id)
    known = coverage(constituency_ids=[constituency.pk])
    return {
        "as_of": as_of and serializers.DateTimeField().to_representation(as_of),
        "coverage": known and asdict(known),
        "is_simulated": constituency.election.is_simulated,
    }
