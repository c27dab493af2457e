"""Reads of what the rules need, and of what they found."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import (
    Case,
    Exists,
    F,
    IntegerField,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Value,
    When,
    Window,
)
from django.db.models.functions import Coalesce, Lag

from anomalies.models import (
    OPEN,
    Alert,
    AlertEvent,
    AlertNote,
    AlertStatus,
    Evaluation,
    RuleSetting,
    Severity,
)
from anomalies.rules.catalogue import RULES
from anomalies.sql import statements
from anomalies.wording import title
from elections.models import Constituency, Election
from metrics.models import HourlyStats
from metrics.open_alerts import OpenAlert
from transactions.models import FeedHour, ImportBatch

# Hours around an alert that are told with it.
HOURS_BEFORE, HOURS_AFTER = timedelta(hours=24), timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class FlowRow:
    """One constituency as the rules of flow see it."""

    id: int
    region_id: int | None
    district: str
    zone: str
    opens_at: datetime | None
    closes_at: datetime | None
    registered_voters: int | None
    bulletins_issued: int
    # Hours that a file has told; all are known where none are expected.
    has_files: bool
    told_hours: list[datetime]
    hours: list[datetime]
    issued: list[int]
    cast_votes: list[int]
    # Of all calls of the hour, and those of them that the contract refused.
    calls: list[int]
    rejected: list[int]


def flow_rows(election_id: int) -> list[FlowRow]:
    """Return the constituencies of an election with their hours, in one query."""
    values: dict[str, Any] = {"election_id": election_id}
    with connection.cursor() as cursor:
        cursor.execute(statements["flow_panel"], values)
        return [FlowRow(*row) for row in cursor.fetchall()]


def stale_moments(
    election_id: int, *, until: datetime, least: int
) -> list[tuple[int, datetime, int]]:
    """Return constituency, hour and version of hours that are over and not yet counted.

    Those with at least so many ballots, and all whose figures changed since.
    """
    values: dict[str, Any] = {
        "election_id": election_id,
        "until": until,
        "least": least,
    }
    with connection.cursor() as cursor:
        cursor.execute(statements["stale_moments"], values)
        return list(cursor.fetchall())


def hour_moments(election_id: int) -> list[tuple[Any, ...]]:
    """Return constituency, hour, and the figures of its issues and of its votes."""
    values: dict[str, Any] = {"election_id": election_id}
    with connection.cursor() as cursor:
        cursor.execute(statements["read_moments"], values)
        return list(cursor.fetchall())


def newest_ledger_time(election_id: int, *, now: datetime) -> datetime | None:
    """Return the newest ledger time of an election that has come by now.

    A time stamp is the sender's word: a constituency that has one in the future says
    nothing of how far the ledger is, unless there is no other.
    """
    constituencies = Constituency.objects.filter(election_id=election_id)
    newest: datetime | None
    newest, credible = constituencies.aggregate(
        newest=Max("last_transaction_at"),
        credible=Max("last_transaction_at", filter=Q(last_transaction_at__lte=now)),
    ).values()
    return credible or (newest and now)


def rule_settings(election_id: int) -> dict[str, RuleSetting]:
    """Return what is not as usual in an election, by code of the rule."""
    settings = RuleSetting.objects.filter(election_id=election_id)
    return {setting.rule: setting for setting in settings}


def evaluated_until(election_id: int) -> datetime | None:
    """Return the end of the last hour that was evaluated."""
    evaluations = Evaluation.objects.filter(election_id=election_id)
    return evaluations.values_list("until", flat=True).first()


def last_evaluation(election: Election) -> Evaluation:
    """Return the last evaluation of an election; one without times where there was none."""
    found = Evaluation.objects.filter(election=election).first()
    return found or Evaluation(election=election)


def ended_after(moment: datetime) -> list[int]:
    """Return the elections that ended after a moment, or will."""
    ended = Election.objects.filter(ends_at__gt=moment).order_by("id")
    return list(ended.values_list("id", flat=True))


def silent_without_end(since: datetime, *, now: datetime) -> set[int]:
    """Return the elections that name no end and of which nothing came since a moment.

    Neither rows nor files, which may be empty. A ledger time beyond `now` is no news: it
    is the sender's word.
    """
    heard = Constituency.objects.filter(
        Q(last_transaction_at__range=(since, now)) | Q(metrics_updated_at__gte=since),
        election=OuterRef("pk"),
    )
    read = ImportBatch.objects.filter(
        constituency__election=OuterRef("pk"), started_at__gte=since
    )
    silent = Election.objects.filter(~Exists(heard), ~Exists(read), ends_at=None)
    return set(silent.values_list("id", flat=True))


def is_evaluated_after(election_id: int, moment: datetime, *, now: datetime) -> bool:
    """Tell whether an election was evaluated with data of a later moment.

    A time beyond `now` was written by a clock that ran ahead: it says nothing.
    """
    evaluations = Evaluation.objects.filter(
        election_id=election_id, evaluated_at__gt=moment, evaluated_at__lte=now
    )
    return evaluations.exists()


def alerts() -> "QuerySet[Alert]":
    """Return all alerts with what they are about, the newest first."""
    return Alert.objects.select_related(
        "election", "constituency", "assigned_to"
    ).order_by("-started_hour", "-id")


def open_alerts(election_ids: Collection[int], limit: int) -> list[OpenAlert]:
    """Return the open alerts of elections, the gravest first, then the latest."""
    gravity = Case(
        When(severity=Severity.CRITICAL, then=0),
        When(severity=Severity.WARNING, then=1),
        default=2,
        output_field=IntegerField(),
    )
    found = (
        Alert.objects.open()
        .filter(election__in=election_ids)
        .select_related("election", "constituency")
        .order_by(gravity, "-started_hour", "-id")
    )
    return [_as_open(alert) for alert in found[:limit]]


def _as_open(alert: Alert) -> OpenAlert:
    return OpenAlert(
        id=alert.pk,
        rule=alert.rule,
        title=title(alert.rule),
        severity=alert.severity,
        status=alert.status,
        election=alert.election.slug,
        constituency=alert.constituency.contract_id if alert.constituency else None,
        started_hour=alert.started_hour,
        ended_hour=alert.ended_hour,
        q=alert.q,
        excess=alert.excess,
        version=alert.version,
    )


def open_violations(election_id: int) -> list[tuple[str, int]]:
    """Return rule and constituency of open critical alerts of the logical rules."""
    logical = [code for code, rule in RULES.items() if not rule.is_statistical]
    found = Alert.objects.open().filter(
        election=election_id,
        severity=Severity.CRITICAL,
        rule__in=logical,
        constituency__isnull=False,
    )
    return list(found.values_list("rule", "constituency_id"))


def latest_changes(election_id: int, *, limit: int) -> "QuerySet[Alert]":
    """Return the alerts of an election that changed last, without their evidence."""
    changes = alerts().filter(election=election_id).defer("evidence")
    return changes.order_by("-changed_at", "-id")[:limit]


def notes(alert_id: int) -> "QuerySet[AlertNote]":
    """Return the notes on an alert, the oldest first."""
    return (
        AlertNote.objects.filter(alert=alert_id).select_related("author").order_by("id")
    )


def status_before_cleared(alert_id: int) -> str:
    """Return how far somebody was with an alert before the rules cleared it."""
    events = AlertEvent.objects.filter(pgh_obj=alert_id, status__in=OPEN)
    last = events.order_by("-pgh_id").values_list("status", flat=True).first()
    return last or AlertStatus.ACTIVE


@dataclass(frozen=True, slots=True)
class Decision:
    """What was known of an alert when it was resolved or dismissed."""

    severity: str
    excess: float | None
    statistic: float | None


def decisions(alert_ids: Collection[int]) -> dict[int, Decision]:
    """Return with which figures alerts came to the status they have, by id."""
    before = Window(Lag("status"), partition_by="pgh_obj", order_by="pgh_id")
    changes = (
        AlertEvent.objects.filter(pgh_obj__in=alert_ids)
        .annotate(before=Coalesce(before, Value("")))
        .filter(~Q(before=F("status")))
        .order_by("pgh_id")
        .values_list("pgh_obj", "severity", "excess", "statistic")
    )
    # The last change of each counts.
    return {pk: Decision(*figures) for pk, *figures in changes}


def history(alert_id: int) -> "QuerySet[AlertEvent]":
    """Return every version of an alert, the oldest first."""
    events: QuerySet[AlertEvent] = (
        AlertEvent.objects.filter(pgh_obj=alert_id)
        .select_related("pgh_context", "assigned_to")
        .order_by("pgh_id")
    )
    return events


def hours_of(alert: Alert) -> "QuerySet[Any, Any]":
    """Return the hours around an alert: of its constituency and of its district's others.

    Of a whole election the hours themselves, of all its constituencies.
    """
    hours = HourlyStats.objects.filter(election=alert.election_id)
    start, end = alert.started_hour, alert.ended_hour
    if alert.constituency_id is not None:
        twins = alert.evidence.get("twins", [])
        hours = hours.filter(constituency__in=[alert.constituency_id, *twins])
        start, end = start - HOURS_BEFORE, end + HOURS_AFTER
    return (
        hours.filter(hour__gte=start, hour__lte=end)
        .order_by("constituency", "hour")
        .values("hour", "bulletins_issued", "votes_cast")
        .annotate(contract_id=F("constituency__contract_id"))
    )


def files_of(alert: Alert) -> list[dict[str, Any]]:
    """Return the hour files of the hours of an alert; none for a whole election."""
    if alert.constituency_id is None:
        return []
    zone = ZoneInfo(alert.election.export_timezone)
    # The label of a file is written as if it were UTC.
    first, last = (
        moment.astimezone(zone).replace(tzinfo=moment.tzinfo)
        for moment in (alert.started_hour, alert.ended_hour)
    )
    files = (
        FeedHour.objects.filter(
            constituency=alert.constituency_id, interval__gte=first, interval__lte=last
        )
        .select_related("batch")
        .order_by("interval", "version")
    )
    return [
        {
            "name": file.batch.name,
            "interval": file.interval,
            "version": file.version,
            "sha256": bytes(file.sha256).hex(),
        }
        for file in files
    ]
