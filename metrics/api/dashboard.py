"""Everything at a glance over HTTP: the active elections, and what stands out in them."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from rest_framework import serializers

from elections.api.serializers import VERSION
from elections.models import Election
from elections.queries import TOTALS
from elections.tags import DASHBOARD
from metrics import dashboard_queries, events
from metrics.api import examples
from metrics.api.base import (
    Asked,
    EnvelopeSerializer,
    FiguresView,
    Provenance,
    ProvenanceSerializer,
    Told,
    described,
    in_all,
)
from metrics.api.filters import Parameters
from metrics.api.serializers import CountsSerializer
from metrics.dashboard_queries import ActiveElection, Overview
from metrics.open_alerts import open_alerts

OF_THE_ELECTION = [
    *("slug", "name", "timezone", "starts_at", "ends_at", "is_simulated", "as_of"),
    *TOTALS,
    *(
        "version",
        "participation_rate",
        "register_entries",
        "register_constituency_count",
    ),
    "constituency_count",
]


class ActiveElectionSerializer(CountsSerializer, ProvenanceSerializer):
    """An active election: its totals, which count ballots, and its feed."""

    slug = serializers.CharField()
    name = serializers.CharField()
    timezone = serializers.CharField()
    starts_at = serializers.DateTimeField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)
    participation_rate = serializers.FloatField(
        allow_null=True,
        help_text="Votes of the constituencies whose register is known, per 100 entries.",
    )
    register_entries = serializers.IntegerField(allow_null=True)
    register_constituency_count = serializers.IntegerField()
    constituency_count = serializers.IntegerField()
    version = serializers.IntegerField(help_text=VERSION)
    active_constituency_count = serializers.IntegerField(
        help_text="With a transaction at any time."
    )
    silent_constituency_count = serializers.IntegerField(
        help_text="Whose voting is open and whose feed is silent now."
    )


class DashboardSummarySerializer(EnvelopeSerializer):
    """The active elections at a glance."""

    elections = ActiveElectionSerializer(
        many=True,
        help_text="Active ones, the newest first, "
        f"{dashboard_queries.ELECTIONS_SHOWN} at most.",
    )


class MoverSerializer(serializers.Serializer[Any]):
    election = serializers.CharField()
    contract_id = serializers.CharField()
    name = serializers.CharField()
    hour = serializers.DateTimeField(help_text="Start of its last completed hour.")
    bulletins_issued = serializers.IntegerField()
    votes_cast = serializers.IntegerField()
    participation_rate = serializers.FloatField(
        allow_null=True, help_text="Of this hour alone."
    )


class SilentFeedSerializer(serializers.Serializer[Any]):
    election = serializers.CharField()
    contract_id = serializers.CharField()
    status = serializers.CharField()
    silent_since = serializers.DateTimeField(
        help_text="When it was heard of last, or when its voting opened."
    )


class DashboardAlertSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    rule = serializers.CharField(help_text="Its code, such as H01.")
    title = serializers.CharField(help_text="What the rule is called.")
    severity = serializers.ChoiceField(choices=["critical", "warning", "info"])
    status = serializers.ChoiceField(choices=["active", "investigating"])
    election = serializers.CharField()
    constituency = serializers.CharField(
        allow_null=True, help_text="Null: the election as a whole."
    )
    started_hour = serializers.DateTimeField()
    ended_hour = serializers.DateTimeField()
    q = serializers.FloatField(allow_null=True)
    excess = serializers.FloatField(allow_null=True)
    version = serializers.IntegerField()


class DashboardDetailedSerializer(DashboardSummarySerializer):
    """The active elections, with what stands out in them."""

    top_movers = MoverSerializer(
        many=True,
        help_text="Constituencies with most votes in their last completed hour, the "
        f"{dashboard_queries.MOVERS_SHOWN} busiest of each election.",
    )
    silent_feeds = SilentFeedSerializer(
        many=True,
        help_text="The longest silent first, "
        f"{dashboard_queries.SILENT_SHOWN} at most.",
    )
    alerts = DashboardAlertSerializer(
        many=True,
        help_text="Open ones, the gravest first, "
        f"{dashboard_queries.ALERTS_SHOWN} at most. Evidence is for observers: `alerts/`.",
    )


@described(example=examples.SUMMARY)
class DashboardSummaryView(FiguresView):
    """The active elections at a glance."""

    queryset = Election.objects.order_by("slug")
    serializer_class = DashboardSummarySerializer
    filterset_class = Parameters
    # Which elections are active and which feeds are silent changes with the time alone.
    answer_seconds = 5.0

    @staticmethod
    def answer_tags(request: HttpRequest, **_: str) -> list[str]:
        return [DASHBOARD]

    def get_queryset(self) -> "QuerySet[Election]":
        # First of all that is asked. The stream of all elections' totals.
        self.live_id = events.live_id(None)
        return super().get_queryset()

    def figures(self, asked: Asked) -> Told:
        return _summary(dashboard_queries.overview(now=timezone.now()))


@described(example=examples.DETAILED)
class DashboardDetailedView(DashboardSummaryView):
    """The active elections, with top movers, silent feeds and alerts."""

    serializer_class = DashboardDetailedSerializer

    def figures(self, asked: Asked) -> Told:
        now = timezone.now()
        found = dashboard_queries.overview(now=now)
        summary, source = _summary(found)
        movers = dashboard_queries.top_movers(
            [each.election for each in found.elections], now=now
        )
        alerts = open_alerts(
            [each.election.pk for each in found.elections],
            limit=dashboard_queries.ALERTS_SHOWN,
        )
        more = {
            "top_movers": movers,
            "silent_feeds": found.silent_feeds,
            "alerts": alerts,
        }
        return {**summary, **more}, source


def _summary(found: Overview) -> tuple[dict[str, Any], Provenance]:
    sources = [_provenance(each) for each in found.elections]
    return {"elections": [_told(each) for each in found.elections]}, in_all(sources)


def _told(active: ActiveElection) -> dict[str, Any]:
    """Return what is told of an election: as annotated, and the state of its feed."""
    annotated = {name: getattr(active.election, name) for name in OF_THE_ELECTION}
    return annotated | {
        "coverage": active.coverage,
        "active_constituency_count": active.active_constituency_count,
        "silent_constituency_count": active.silent_constituency_count,
    }


def _provenance(active: ActiveElection) -> Provenance:
    as_of = active.election.as_of  # type: ignore[attr-defined]
    return Provenance(as_of, active.coverage, active.election.is_simulated)
