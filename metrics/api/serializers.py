"""Shapes of the figures' answers."""

from typing import Any

from rest_framework import serializers

from elections.models import Constituency, Election
from metrics.models import HourlyStats
from metrics.queries import velocity


class VelocityField(serializers.FloatField):
    """A count per hour, over the part of its hour that had elapsed at `as_of`.

    `as_of` by election id stands in the serializer's context.
    """

    def __init__(self, *, count: str, **kwargs: Any) -> None:
        self.count = count
        super().__init__(source="*", read_only=True, allow_null=True, **kwargs)

    def to_representation(self, row: HourlyStats) -> float | None:  # type: ignore[override]
        return velocity(
            count=getattr(row, self.count),
            hour=row.hour,
            as_of=self.context["as_of"].get(row.election_id),
        )


class HourlyStatsSerializer(serializers.ModelSerializer[HourlyStats]):
    constituency = serializers.SlugRelatedField[Constituency](
        slug_field="contract_id", read_only=True
    )
    election = serializers.SlugRelatedField[Election](slug_field="slug", read_only=True)
    is_simulated = serializers.BooleanField(
        source="election.is_simulated", read_only=True
    )
    bulletin_velocity = VelocityField(
        count="bulletins_issued",
        help_text="Bulletins per hour, over the part of the hour elapsed at the "
        "election's newest ledger time; null where nothing has.",
    )
    vote_velocity = VelocityField(
        count="votes_cast",
        help_text="Votes per hour, over the part of the hour elapsed at the election's "
        "newest ledger time; null where nothing has.",
    )

    class Meta:
        model = HourlyStats
        fields = [
            "constituency",
            "election",
            "is_simulated",
            "hour",
            "timestamp",
            "bulletins_issued",
            "votes_cast",
            "revotes",
            "transaction_count",
            "failed_count",
            "bulletin_velocity",
            "vote_velocity",
            "participation_rate",
            "anomaly_count",
        ]
        read_only_fields = fields
