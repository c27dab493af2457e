"""The flow of elections over HTTP: their timeline, and the last minutes and hour."""

from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from metrics import realtime_queries
from metrics.api import examples
from metrics.api.base import (
    Asked,
    EnvelopeSerializer,
    Told,
    described,
)
from metrics.api.elections import IdentitySerializer, OfElection, identity
from metrics.api.filters import TimelineParameters
from metrics.api.serializers import (
    CountsSerializer,
    MaybeCountsSerializer,
)

POINTS_AT_MOST = 50_000


class PointSerializer(CountsSerializer):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    complete = serializers.BooleanField(
        source="is_complete", help_text="The ledger has passed its end."
    )


class TimelineSerializer(IdentitySerializer, EnvelopeSerializer):
    """The flow of an election, in buckets in their order."""

    bucket = serializers.ChoiceField(choices=realtime_queries.BUCKETS)
    results = PointSerializer(
        many=True, help_text="A bucket in which nothing was counted has none."
    )


class WindowSerializer(MaybeCountsSerializer):
    """A window that ends now; counts are null where they are unknown."""

    window = serializers.ChoiceField(
        source="name", choices=list(realtime_queries.WINDOWS)
    )
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    bulletin_velocity = serializers.FloatField(allow_null=True)
    vote_velocity = serializers.FloatField(allow_null=True)


class WindowsSerializer(IdentitySerializer, EnvelopeSerializer):
    """The last minutes and the last hour of an election."""

    now = serializers.DateTimeField(help_text="The clock on the wall.")
    windows = WindowSerializer(
        many=True, help_text="The shortest first; none before anything was loaded."
    )


@described(example=examples.TIMELINE)
class ElectionTimelineView(OfElection):
    """The flow of issued and cast, in whole buckets that begin in the period.

    Minutes follow the ledger within seconds; hours and days equal it.
    """

    serializer_class = TimelineSerializer
    filterset_class = TimelineParameters

    def figures(self, asked: Asked) -> Told:
        election = self.get_object()
        asked["bucket"] = asked["bucket"] or "5m"
        series = realtime_queries.election_series(election, **asked)
        if len(series.points) > POINTS_AT_MOST:
            message = (
                f"These are more than {POINTS_AT_MOST:,} buckets. Ask for larger ones."
            )
            detail = ErrorDetail(message, code="too_many_buckets")
            raise ValidationError({"bucket": [detail]})
        figures = {"bucket": series.bucket, "results": series.points}
        return identity(election) | figures, self.provenance(election, series.as_of)


@described(example=examples.WINDOWS)
class ElectionWindowsView(OfElection):
    """The last five minutes, fifteen minutes and hour, on the ledger's clock.

    Counts are null where nobody knows them any more.
    """

    serializer_class = WindowsSerializer
    # It tells the time.
    answer_seconds = 1.0

    def figures(self, asked: Asked) -> Told:
        election = self.get_object()
        found = realtime_queries.windows(election, now=timezone.now())
        figures = {"now": found.now, "windows": found.windows}
        return identity(election) | figures, self.provenance(election, found.as_of)
