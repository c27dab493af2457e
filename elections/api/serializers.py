"""Shapes of the registry's answers."""

from rest_framework import serializers

from elections.api import examples
from elections.api.schema import answer, shown_as
from elections.models import Constituency, Election, ElectionStatus, Region

VERSION = "Of the totals, as live events tell it: what is not newer is known."


@shown_as(answer(examples.REGION))
class RegionSerializer(serializers.ModelSerializer[Region]):
    class Meta:
        model = Region
        fields = ["code", "name", "timezone"]


@shown_as(answer(examples.ELECTION))
class ElectionSerializer(serializers.ModelSerializer[Election]):
    """An election with its totals, which count ballots, not people."""

    status = serializers.ChoiceField(choices=ElectionStatus.choices, read_only=True)
    as_of = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="Newest ledger time counted."
    )
    bulletins_issued = serializers.IntegerField(read_only=True)
    votes_cast = serializers.IntegerField(read_only=True)
    revotes = serializers.IntegerField(read_only=True)
    transaction_count = serializers.IntegerField(read_only=True)
    failed_count = serializers.IntegerField(read_only=True)
    register_entries = serializers.IntegerField(
        read_only=True,
        allow_null=True,
        help_text="Sum of the registers that are known; null where none is.",
    )
    register_constituency_count = serializers.IntegerField(
        read_only=True, help_text="Constituencies whose register is known."
    )
    constituency_count = serializers.IntegerField(read_only=True)
    version = serializers.IntegerField(read_only=True, help_text=VERSION)

    class Meta:
        model = Election
        fields = [
            "slug",
            "name",
            "kind",
            "timezone",
            "starts_at",
            "ends_at",
            "status",
            "description",
            "is_simulated",
            "as_of",
            "bulletins_issued",
            "votes_cast",
            "revotes",
            "transaction_count",
            "failed_count",
            "register_entries",
            "register_constituency_count",
            "constituency_count",
            "version",
        ]


@shown_as(answer(examples.CONSTITUENCY))
class ConstituencySerializer(serializers.ModelSerializer[Constituency]):
    """A constituency with its totals, exact at every commit."""

    election = serializers.SlugRelatedField[Election](slug_field="slug", read_only=True)
    region = serializers.SlugRelatedField[Region](
        slug_field="code", read_only=True, allow_null=True
    )
    timezone = serializers.CharField(
        read_only=True, help_text="Zone in which its hours and days are cut."
    )
    is_simulated = serializers.BooleanField(
        source="election.is_simulated", read_only=True
    )
    registered_voters = serializers.IntegerField(read_only=True, allow_null=True)
    version = serializers.IntegerField(read_only=True, help_text=VERSION)
    participation_rate = serializers.FloatField(
        read_only=True,
        allow_null=True,
        help_text="Votes cast per 100 registered voters; may exceed 100.",
    )

    class Meta:
        model = Constituency
        fields = [
            "contract_id",
            "name",
            "election",
            "region",
            "district",
            "status",
            "timezone",
            "is_simulated",
            "registered_voters",
            "bulletins_issued",
            "votes_cast",
            "revotes",
            "transaction_count",
            "failed_count",
            "participation_rate",
            "anomaly_count",
            "anomaly_score",
            "last_transaction_at",
            "metrics_updated_at",
            "version",
        ]
