"""Reads of the update queue, and what an update has to tell."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import (
    BigIntegerField,
    Case,
    F,
    Func,
    Min,
    OuterRef,
    QuerySet,
    Subquery,
    Sum,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Cast

from elections.models import Constituency, Election
from elections.queries import TOTALS, elections
from metrics.models import HourlyStats, MetricsUpdate, UpdateStatus
from metrics.sql import statements

BIG_INTEGER: BigIntegerField[int, int] = BigIntegerField()
TO_DO = [UpdateStatus.PENDING, UpdateStatus.FAILED]


@dataclass(frozen=True, slots=True)
class LiveTotals:
    """Absolute totals, as an event tells them; `version` grows with every change."""

    election_id: int
    # The slug.
    election: str
    content: dict[str, Any]
    # Of the election itself, not of one of its constituencies.
    is_of_election: bool = False


def live_totals(constituency_ids: Iterable[int]) -> list[LiveTotals]:
    """Return the totals of constituencies, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            statements["live_totals"], {"constituency_ids": list(constituency_ids)}
        )
        names = [column.name for column in cursor.description][2:]
        return [
            LiveTotals(election_id, slug, dict(zip(names, figures, strict=True)))
            for election_id, slug, *figures in cursor.fetchall()
        ]


def live_election_totals(election_id: int) -> LiveTotals | None:
    """Return the totals of an election, None where it is gone."""
    names = [*TOTALS, "register_entries", "participation_rate", "as_of", "is_simulated"]
    row = (
        elections()
        .filter(pk=election_id)
        .annotate(version=Sum("constituencies__version"))
        .values("slug", "version", *names)
        .first()
    )
    if row is None:
        return None
    content = {"election": row.pop("slug"), **row}
    return LiveTotals(election_id, content["election"], content, is_of_election=True)


def hours_of_election(election_id: int) -> list[datetime]:
    """Return the starts of all hours in which an election has statistics."""
    hours = HourlyStats.objects.filter(election_id=election_id).order_by("hour")
    return list(hours.values_list("hour", flat=True).distinct())


def active_election_ids(now: datetime) -> list[int]:
    """Return the elections that are going on at `now`."""
    return [
        election.pk
        for election in Election.objects.order_by("id")
        if election.status_at(now) == "active"
    ]


def updates() -> "QuerySet[MetricsUpdate]":
    """Return all updates, the newest first."""
    return MetricsUpdate.objects.order_by("-id")


def updates_with_subjects() -> "QuerySet[MetricsUpdate]":
    """Return all updates with `subject_id` and `subject`, the name of what they update.

    Null where a scope names neither a constituency nor an election.
    """
    key = Func(F("scope"), Value(":"), Value(2), function="split_part")
    subject_id = Case(
        When(scope__regex=r"^[a-z]+:[0-9]{1,18}(:|$)", then=Cast(key, BIG_INTEGER)),
        output_field=BIG_INTEGER,
    )
    return updates().annotate(
        subject_id=subject_id,
        subject=Case(
            When(scope__startswith="constituency:", then=_name_in(Constituency)),
            default=_name_in(Election),
            output_field=TextField(),
        ),
    )


def _name_in(model: type[Constituency | Election]) -> Subquery:
    named = model._default_manager.filter(pk=OuterRef("subject_id"))
    return Subquery(named.values("name")[:1])


def next_due_at() -> datetime | None:
    """Return when the next update becomes due, None where none waits."""
    waiting = MetricsUpdate.objects.filter(status__in=TO_DO)
    next_at: datetime | None = waiting.aggregate(at=Min("available_at"))["at"]
    return next_at


@transaction.atomic
def queue_age(now: datetime) -> timedelta:
    """Return how long the oldest update that is due has been waiting.

    One that a worker has had in hand for longer than its lease is due, too, unless that
    worker is still at it: it has its row locked.
    """
    due = MetricsUpdate.objects.filter(status__in=TO_DO, available_at__lte=now)
    left_behind = MetricsUpdate.objects.filter(
        status=UpdateStatus.PROCESSING,
        locked_at__lt=now - timedelta(seconds=settings.UPDATE_LEASE_SECONDS),
    ).select_for_update(skip_locked=True, no_key=True)
    times = [
        due.aggregate(at=Min("available_at"))["at"],
        *left_behind.values_list("available_at", flat=True),
    ]
    return max((now - at for at in times if at), default=timedelta())
