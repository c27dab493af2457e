"""Reads of how the feed is doing: who is silent, what came late or misplaced."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from django.db.models import Count, DateTimeField, F, Func, Max, Q, QuerySet, Sum, Value

from transactions.models import BatchStatus, FeedHour, ImportBatch
from transactions.sql import statements

ONE_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class FeedState:
    """Whether a constituency whose voting is open is heard of."""

    constituency_id: int
    contract_id: str
    election_id: int
    # The slug.
    election: str
    status: str
    # When it was heard of last, or when its voting opened, where that was later.
    silent_since: datetime
    is_silent: bool
    # Something came; in the first while of the voting neither of the two needs to hold.
    is_heard: bool


@dataclass(frozen=True, slots=True)
class FeedFaults:
    """Hour files of an election that were not as they should be."""

    late_files: int = 0
    # Files with rows of other hours, and the number of those rows.
    outside_files: int = 0
    outside_rows: int = 0


def silent_after() -> timedelta:
    """Return after how long a feed is silent, and a file late."""
    return timedelta(minutes=settings.SILENT_AFTER_MINUTES)


def feed_states(
    *,
    election_ids: Iterable[int] | None = None,
    constituency_ids: Iterable[int] | None = None,
    now: datetime,
) -> list[FeedState]:
    """Return the feeds that have to be heard of at `now`, in one query, by id.

    Those of constituencies whose voting is open and that nobody has completed. Where
    neither contract nor election says when voting opens and closes, nothing is known.
    """
    values: dict[str, Any] = {
        "election_ids": None if election_ids is None else list(election_ids),
        "constituency_ids": None
        if constituency_ids is None
        else list(constituency_ids),
        "now": now,
        "silent_after": silent_after(),
    }
    with connection.cursor() as cursor:
        cursor.execute(statements["feed_state"], values)
        return [FeedState(*row) for row in cursor.fetchall()]


def silent_constituencies(
    election_ids: Iterable[int] | None, *, now: datetime
) -> list[FeedState]:
    """Return the silent feeds of elections (None: of all), in one query."""
    states = feed_states(election_ids=election_ids, now=now)
    return [state for state in states if state.is_silent]


def fed_until(constituency_ids: Iterable[int]) -> dict[int, datetime]:
    """Return the end of the newest hour file of each constituency, in one query.

    Constituencies without hour files are left out.
    """
    newest = (
        FeedHour.objects.filter(constituency__in=list(constituency_ids))
        .order_by("constituency")
        .values_list("constituency", "constituency__election__export_timezone")
        .annotate(label=Max("interval"))
    )
    return {pk: _hour_of(label, zone) + ONE_HOUR for pk, zone, label in newest}


def late_files(election_ids: Iterable[int]) -> "QuerySet[ImportBatch]":
    """Return the hour files that came long after their hour, with `hour_ended_at`.

    An election that is loaded months later is late throughout.
    """
    late = _hour_files(election_ids).filter(
        started_at__gt=F("hour_ended_at") + silent_after()
    )
    return late.order_by("-id")


def feed_faults(election_ids: Iterable[int]) -> dict[int, FeedFaults]:
    """Return what was wrong with the hour files of each election, in one query.

    Elections without a fault are left out.
    """
    is_late = Q(started_at__gt=F("hour_ended_at") + silent_after())
    is_outside = Q(outside_interval__gt=0)
    rows = (
        _hour_files(election_ids)
        .order_by("constituency__election")
        .values_list("constituency__election")
        .annotate(
            late=Count("pk", filter=is_late),
            outside=Count("pk", filter=is_outside),
            rows=Sum("outside_interval"),
        )
    )
    found = {pk: FeedFaults(*counts) for pk, *counts in rows}
    return {pk: faults for pk, faults in found.items() if faults != FeedFaults()}


def _hour_files(election_ids: Iterable[int]) -> "QuerySet[ImportBatch]":
    """Return the hour files loaded, with the end of the hour of their name."""
    # The label is written as if it were UTC; its election says whose clock it is.
    reading = Func(
        Value("UTC"), F("interval"), function="timezone", output_field=DateTimeField()
    )
    hour = Func(
        F("constituency__election__export_timezone"),
        reading,
        function="timezone",
        output_field=DateTimeField(),
    )
    loaded = ImportBatch.objects.filter(
        constituency__election__in=list(election_ids),
        interval__isnull=False,
        status=BatchStatus.LOADED,
    )
    return loaded.annotate(hour_ended_at=hour + ONE_HOUR)


def _hour_of(label: datetime, zone: str) -> datetime:
    local = label.astimezone(UTC).replace(tzinfo=ZoneInfo(zone))
    return local.astimezone(UTC)
