"""Shapes of hourly statistics, and what several answers are made of."""

from typing import Any

from rest_framework import serializers

from elections.api.serializers import ConstituencySerializer
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


class CountsSerializer(serializers.Serializer[Any]):
    bulletins_issued = serializers.IntegerField()
    votes_cast = serializers.IntegerField()
    revotes = serializers.IntegerField()
    transaction_count = serializers.IntegerField()
    failed_count = serializers.IntegerField()


class MaybeCountsSerializer(serializers.Serializer[Any]):
    """Counts that are null where they are unknown: a gap, not a zero."""

    bulletins_issued = serializers.IntegerField(allow_null=True)
    votes_cast = serializers.IntegerField(allow_null=True)
    revotes = serializers.IntegerField(allow_null=True)
    transaction_count = serializers.IntegerField(allow_null=True)
    failed_count = serializers.IntegerField(allow_null=True)


class ActivitySerializer(serializers.Serializer[Any]):
    bulletins_issued = serializers.IntegerField()
    votes_cast = serializers.IntegerField()
    transaction_count = serializers.IntegerField()
    completed_hours = serializers.IntegerField()
    average_bulletins_per_hour = serializers.FloatField(allow_null=True)
    average_votes_per_hour = serializers.FloatField(allow_null=True)


class HourOfDaySerializer(ActivitySerializer):
    hour_of_day = serializers.IntegerField(
        source="slot", min_value=0, max_value=23, help_text="On the clock of the place."
    )


class WeekdaySerializer(ActivitySerializer):
    weekday = serializers.IntegerField(
        source="slot", min_value=1, max_value=7, help_text="1 is Monday."
    )


class MetricsSerializer(CountsSerializer):
    """Figures of a constituency or an election in a period."""

    participation_rate = serializers.FloatField(
        allow_null=True, help_text="Votes cast per 100 registered voters."
    )
    anomaly_count = serializers.IntegerField()
    abandonment_rate = serializers.FloatField(
        allow_null=True,
        help_text="Percent of the bulletins that were not cast; negative where more "
        "votes were cast than bulletins issued.",
    )
    average_votes_per_hour = serializers.FloatField(allow_null=True)
    average_bulletins_per_hour = serializers.FloatField(allow_null=True)
    peak_hour = serializers.DateTimeField(
        allow_null=True, help_text="Start of the completed hour with most votes."
    )
    peak_hour_votes = serializers.IntegerField(allow_null=True)
    vote_velocity_trend = serializers.FloatField(
        allow_null=True, help_text="Per hour²; null below three completed hours."
    )
    bulletin_velocity_trend = serializers.FloatField(
        allow_null=True, help_text="Per hour²; null below three completed hours."
    )
    completed_hours = serializers.IntegerField(
        help_text="Hours that averages, peak and trends are taken over."
    )
    missing_hours = serializers.IntegerField(
        help_text="Hours of which a file was expected and did not come."
    )
    hourly_activity = HourOfDaySerializer(
        many=True, help_text="All 24 hours of the day, on all days together."
    )


class PeriodSerializer(MaybeCountsSerializer):
    """A period; its counts are null where they are unknown: a gap, not a zero."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    participation_rate = serializers.FloatField(
        allow_null=True, help_text="Of this period alone."
    )
    cumulative_participation_rate = serializers.FloatField(
        allow_null=True, help_text="Up to the end of this period."
    )
    complete = serializers.BooleanField(
        help_text="It was over at `as_of`, no file of it is missing, and all its hours "
        "were asked for."
    )


class MemberSerializer(ConstituencySerializer):
    """A constituency of an election with its current figures."""

    abandonment_rate = serializers.FloatField(
        read_only=True,
        allow_null=True,
        help_text="Percent of the bulletins that were not cast.",
    )

    class Meta(ConstituencySerializer.Meta):
        fields = [*ConstituencySerializer.Meta.fields, "abandonment_rate"]
        read_only_fields = fields
