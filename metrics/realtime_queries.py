"""Reads of what is going on: the series of elections, and the last minutes and hour."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Max, Q, QuerySet, Sum

from elections.models import Constituency, Election
from metrics.models import ElectionMinute, MinuteStats
from metrics.sql import statements
from transactions.deltas import ONE_MINUTE, minutes_exact_since
from transactions.feed_queries import fed_until

ONE_HOUR = timedelta(hours=1)
ONE_DAY = timedelta(days=1)
COUNTS = [
    "bulletins_issued",
    "votes_cast",
    "revotes",
    "transaction_count",
    "failed_count",
]
# Of several minutes, from ElectionMinute.
MINUTE_BUCKETS = {
    "1m": ONE_MINUTE,
    "5m": 5 * ONE_MINUTE,
    "15m": 15 * ONE_MINUTE,
}
# Of whole hours, from HourlyStats.
HOUR_BUCKETS = {"1h": "hour", "1d": "day"}
BUCKETS = [*MINUTE_BUCKETS, *HOUR_BUCKETS]

WINDOWS = {"5m": 5 * ONE_MINUTE, "15m": 15 * ONE_MINUTE, "1h": ONE_HOUR}


class UnknownBucket(ValueError):
    """No series has buckets of this size."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"Unknown bucket {bucket}. Known: {', '.join(BUCKETS)}.")


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """What an election did in one bucket of time."""

    start: datetime
    end: datetime
    # The ledger has passed its end.
    is_complete: bool
    bulletins_issued: int
    votes_cast: int
    revotes: int
    transaction_count: int
    failed_count: int


@dataclass(frozen=True, slots=True)
class Series:
    """The flow of an election; a bucket in which nothing was counted has no point."""

    bucket: str
    as_of: datetime | None
    points: tuple[SeriesPoint, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """What happened in the last minutes; None is unknown, not nothing."""

    name: str
    # Half open, of whole minutes. The last one may be running: velocities are per hour
    # of what has elapsed.
    start: datetime
    end: datetime
    bulletins_issued: int | None = None
    votes_cast: int | None = None
    revotes: int | None = None
    transaction_count: int | None = None
    failed_count: int | None = None
    bulletin_velocity: float | None = None
    vote_velocity: float | None = None


@dataclass(frozen=True, slots=True)
class Windows:
    """The last five minutes, fifteen minutes and hour, the shortest first."""

    # The clock on the wall.
    now: datetime
    # The clock of the ledger: newest time of the whole election. The feed lags by hours,
    # so this is where the windows end. None: nothing was loaded, there are no windows.
    as_of: datetime | None
    # End of the newest hour file; None where the feed is no hour files, or many.
    fed_until: datetime | None
    windows: tuple[Window, ...]


def election_series(
    election: Election,
    *,
    bucket: str,
    start: datetime | None = None,
    end: datetime | None = None,
) -> Series:
    """Return the flow of issued and cast in buckets that begin in a half-open period.

    Buckets are always whole. Those of minutes are counted by the worker, soon after the
    ledger; hours and days, cut in the election's zone, equal the ledger. An hour of a
    constituency whose zone is shifted by half an hour belongs where it begins.

    Raises:
        UnknownBucket: it is none of `BUCKETS`.
    """
    as_of = _newest_ledger_time(election.pk)
    zone = ZoneInfo(election.timezone)
    points = []
    for begins, *counts in _buckets(election, bucket, start, end):
        ends = _end_of(begins, bucket, zone)
        is_complete = as_of is not None and ends <= as_of
        points.append(SeriesPoint(begins, ends, is_complete, *counts))
    return Series(bucket=bucket, as_of=as_of, points=tuple(points))


def windows(place: Constituency | Election, *, now: datetime) -> Windows:
    """Return what a constituency, or an election, did in the last minutes and hour.

    "Last" is reckoned from the newest ledger time of the election, or from `now` where
    that is earlier. Exact at every commit while the retention of MinuteStats reaches; of
    what is older an election has the minutes that the worker counted, a constituency
    nothing: unknown. So is a window for which the constituency's hour file did not come.
    """
    if isinstance(place, Election):
        return _windows_of_election(place, now)
    return _windows_of_constituency(place, now)


def _windows_of_election(election: Election, now: datetime) -> Windows:
    as_of = _newest_ledger_time(election.pk)
    empty = _empty_windows(now, as_of)
    rows: QuerySet[Any] = ElectionMinute.objects.filter(election=election)
    if all(window.start >= minutes_exact_since(now) for window in empty):
        rows = MinuteStats.objects.filter(constituency__election=election)
    return Windows(now, as_of, None, _counted(empty, rows, now, as_of))


def _windows_of_constituency(constituency: Constituency, now: datetime) -> Windows:
    as_of = _newest_ledger_time(constituency.election_id)
    fed = fed_until([constituency.pk]).get(constituency.pk)
    known_from = minutes_exact_since(now)
    last = constituency.last_transaction_at
    # Rows that came another way are shown whatever the files do.
    heard = max((moment for moment in (fed, last) if moment), default=None)
    empty = _empty_windows(now, as_of)
    known = [
        window
        for window in empty
        if window.start >= known_from and (fed is None or (heard or fed) > window.start)
    ]
    rows = MinuteStats.objects.filter(constituency=constituency)
    counted = {window.name: window for window in _counted(known, rows, now, as_of)}
    every = tuple(counted.get(window.name, window) for window in empty)
    return Windows(now, as_of, fed, every)


def _newest_ledger_time(election_id: int) -> datetime | None:
    members = Constituency.objects.filter(election_id=election_id)
    newest: datetime | None = members.aggregate(at=Max("last_transaction_at"))["at"]
    return newest


def _empty_windows(now: datetime, as_of: datetime | None) -> list[Window]:
    if as_of is None:
        return []
    running = min(now, as_of).astimezone(UTC).replace(second=0, microsecond=0)
    end = running + ONE_MINUTE
    return [Window(name, end - length, end) for name, length in WINDOWS.items()]


def _counted(
    empty: Iterable[Window],
    rows: "QuerySet[Any]",
    now: datetime,
    as_of: datetime | None,
) -> tuple[Window, ...]:
    """Return the windows with what `rows` of minutes count in them, in one query."""
    wanted = list(empty)
    if not wanted or as_of is None:
        return ()
    sums = rows.filter(
        minute__gte=min(window.start for window in wanted), minute__lt=wanted[0].end
    ).aggregate(
        **{
            f"{window.name}_{name}": Sum(
                name, filter=Q(minute__gte=window.start), default=0
            )
            for window in wanted
            for name in COUNTS
        }
    )
    moment = min(now, as_of)
    return tuple(_filled(window, sums, moment) for window in wanted)


def _filled(window: Window, sums: Mapping[str, int], moment: datetime) -> Window:
    counts = {name: sums[f"{window.name}_{name}"] for name in COUNTS}
    elapsed = (moment - window.start) / ONE_HOUR
    return Window(
        window.name,
        window.start,
        window.end,
        **counts,
        bulletin_velocity=counts["bulletins_issued"] / elapsed,
        vote_velocity=counts["votes_cast"] / elapsed,
    )


def _buckets(
    election: Election, bucket: str, start: datetime | None, end: datetime | None
) -> list[tuple[Any, ...]]:
    if bucket not in BUCKETS:
        raise UnknownBucket(bucket)
    values: dict[str, Any] = {"election_id": election.pk, "start": start, "end": end}
    if bucket in MINUTE_BUCKETS:
        name, values["size"] = "series_of_minutes", MINUTE_BUCKETS[bucket]
    else:
        name, values["unit"] = "series_of_hours", HOUR_BUCKETS[bucket]
        values["zone"] = election.timezone
    with connection.cursor() as cursor:
        cursor.execute(statements[name], values)
        return list(cursor.fetchall())


def _end_of(start: datetime, bucket: str, zone: ZoneInfo) -> datetime:
    if bucket != "1d":
        return start + MINUTE_BUCKETS.get(bucket, ONE_HOUR)
    # The day the clocks change has 23 or 25 hours.
    midnight = start.astimezone(zone).replace(tzinfo=None) + ONE_DAY
    return midnight.replace(tzinfo=zone).astimezone(UTC)
