"""Reads of the ledger and its feed, named by what they return."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Count, Exists, Model, OuterRef, Q, QuerySet, Sum

from transactions.models import BatchKind, BatchStatus, FeedHour, ImportBatch
from transactions.sql import statements

Row = TypeVar("Row", bound=Model)

ONE_HOUR = timedelta(hours=1)
# What a batch counts.
COUNTERS = (
    *("rows_read", "accepted", "duplicate", "conflicting", "rejected"),
    *("vanished", "outside_interval"),
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Hour files received and expected, up to the newest ledger time of the election."""

    received: int
    expected: int

    @property
    def missing_count(self) -> int:
        return self.expected - self.received

    def __add__(self, other: "Coverage") -> "Coverage":
        return Coverage(
            received=self.received + other.received,
            expected=self.expected + other.expected,
        )


@dataclass(frozen=True, slots=True)
class ConstituencyCoverage:
    """Coverage of one constituency, with the starts of the hours that are missing."""

    received: int
    expected: int
    missing: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class _Window:
    """Constituencies of one election that expect the same labels, and their files."""

    election_id: int
    constituency_id: int | None
    zone: str
    first_label: datetime
    end_label: datetime
    constituencies: int
    received: int

    @property
    def hours(self) -> dict[datetime, datetime]:
        return _hours(self.first_label, self.end_label, self.zone)

    @property
    def coverage(self) -> Coverage:
        return Coverage(
            received=self.received, expected=len(self.hours) * self.constituencies
        )


def coverage(
    *,
    election_ids: Iterable[int] | None = None,
    region_ids: Iterable[int] | None = None,
    constituency_ids: Iterable[int] | None = None,
) -> Coverage | None:
    """Return the sum over the constituencies chosen, in one query.

    None where none of them has hour files and a known window: fed by dumps, plain files
    or API batches.
    """
    windows = _windows(
        election_ids=election_ids,
        region_ids=region_ids,
        constituency_ids=constituency_ids,
    )
    if not windows:
        return None
    return sum((window.coverage for window in windows), start=Coverage(0, 0))


def coverage_by_election(election_ids: Iterable[int]) -> dict[int, Coverage]:
    """Return the coverage of each election, by id, in one query.

    Elections without coverage (see `coverage`) are left out.
    """
    sums: defaultdict[int, Coverage] = defaultdict(lambda: Coverage(0, 0))
    for window in _windows(election_ids=election_ids):
        sums[window.election_id] += window.coverage
    return dict(sums)


def coverage_by_constituency(
    constituency_ids: Iterable[int],
) -> dict[int, ConstituencyCoverage]:
    """Return the coverage of each constituency, by id, in two queries.

    Constituencies without coverage (see `coverage`) are left out.
    """
    windows = _windows(constituency_ids=constituency_ids, each=True)
    by_id = {w.constituency_id: w for w in windows if w.constituency_id is not None}
    files = FeedHour.objects.filter(constituency__in=by_id, version=1)
    labels: defaultdict[int, set[datetime]] = defaultdict(set)
    for constituency_id, label in files.values_list("constituency_id", "interval"):
        labels[constituency_id].add(label)
    return {
        constituency_id: ConstituencyCoverage(
            received=window.received,
            expected=len(window.hours),
            missing=tuple(
                hour
                for label, hour in window.hours.items()
                if label not in labels[constituency_id]
            ),
        )
        for constituency_id, window in by_id.items()
    }


def coverage_of_constituency(constituency_id: int) -> ConstituencyCoverage | None:
    """Return the coverage of one constituency, None where it has none."""
    return coverage_by_constituency([constituency_id]).get(constituency_id)


def batches_to_look_at() -> "QuerySet[ImportBatch, tuple[int | None, str, int]]":
    """Return (election id, status, number) of batches that are not simply loaded.

    The election of a file whose constituency is unknown is None. An upload is left out
    where one of its files tells the same.
    """
    settled = [BatchStatus.LOADED, BatchStatus.UNCHANGED]
    # A file that failed or was interrupted is settled by what came of it later.
    later = ImportBatch.objects.filter(
        contract_id=OuterRef("contract_id"),
        name=OuterRef("name"),
        pk__gt=OuterRef("pk"),
    )
    uploads = Q(kind=BatchKind.UPLOAD)
    is_settled = (uploads & Exists(later.filter(uploads))) | (
        ~uploads & Exists(later.exclude(uploads))
    )
    given_up = Q(status__in=[BatchStatus.FAILED, BatchStatus.INTERRUPTED])
    telling = ImportBatch.objects.filter(
        parent=OuterRef("pk"), status=OuterRef("status")
    )
    return (
        ImportBatch.objects.exclude(status__in=settled)
        .exclude(given_up & is_settled)
        .exclude(uploads & Exists(telling))
        .order_by("constituency__election", "status")
        .values_list("constituency__election", "status")
        .annotate(number=Count("pk"))
    )


def newest_file() -> ImportBatch | None:
    """Return the batch that came last of those that are finished."""
    finished = ImportBatch.objects.without_uploads().exclude(finished_at=None)
    return finished.order_by("-pk").first()


def import_batches() -> "QuerySet[ImportBatch]":
    """Return all batches with what the API tells of them, the newest first."""
    return ImportBatch.objects.select_related(
        "constituency__election", "upload"
    ).order_by("-id")


def import_batch(batch_id: int) -> ImportBatch:
    """Return a batch with what the API tells of it, as it is now."""
    return with_progress(import_batches().get(pk=batch_id))


def with_progress(batch: ImportBatch) -> ImportBatch:
    """Tell of an upload what its files have come to so far."""
    if batch.kind == BatchKind.UPLOAD:
        numbers = numbers_by_status(batch.pk)
        open_ones = {BatchStatus.RUNNING, BatchStatus.INTERRUPTED}
        done = sum(n for status, n in numbers.items() if status not in open_ones)
        batch.files_done = done  # type: ignore[attr-defined]
        for name, value in upload_counts(batch.pk).items():
            setattr(batch, name, value)
    return batch


def rows_of_batch(rows: "QuerySet[Row]", batch_id: int) -> "QuerySet[Row]":
    """Return those of the rows that belong to a batch, or to a file of this upload."""
    batches = ImportBatch.objects.filter(Q(pk=batch_id) | Q(parent=batch_id))
    return rows.filter(batch__in=batches.values("pk")).order_by("id")


def numbers_by_status(upload_id: int) -> dict[str, int]:
    """Return how many files of an upload have which status."""
    members = ImportBatch.objects.filter(parent_id=upload_id).order_by("status")
    return dict(members.values_list("status").annotate(number=Count("pk")))


def upload_counts(upload_id: int) -> dict[str, int]:
    """Return the counters of an upload: the sums over its files, each row once.

    A file that was cut off is read again from its start: what its first attempt had
    accepted comes again as duplicates, and counts as accepted.
    """
    members = ImportBatch.objects.filter(parent_id=upload_id)
    again = members.filter(
        contract_id=OuterRef("contract_id"),
        sha256=OuterRef("sha256"),
        pk__gt=OuterRef("pk"),
    ).exclude(status=BatchStatus.INTERRUPTED)
    is_read_again = Q(status=BatchStatus.INTERRUPTED) & Exists(again)
    total = _sums(members.exclude(is_read_again))
    before = _sums(members.filter(is_read_again))["accepted"]
    came_again = min(before, total["duplicate"])
    total["accepted"] += came_again
    total["duplicate"] -= came_again
    return total


def _sums(batches: "QuerySet[ImportBatch]") -> dict[str, int]:
    return batches.aggregate(**{name: Sum(name, default=0) for name in COUNTERS})


def _windows(
    *,
    election_ids: Iterable[int] | None = None,
    region_ids: Iterable[int] | None = None,
    constituency_ids: Iterable[int] | None = None,
    each: bool = False,
) -> list[_Window]:
    chosen = {
        "election_ids": election_ids,
        "region_ids": region_ids,
        "constituency_ids": constituency_ids,
    }
    arrays = {name: _array(ids) for name, ids in chosen.items()}
    with connection.cursor() as cursor:
        cursor.execute(statements["coverage"], {**arrays, "each": each})
        return [_Window(*row) for row in cursor.fetchall()]


def _array(ids: Iterable[int] | None) -> list[int] | None:
    return None if ids is None else list(ids)


# An election has a few dozen windows: one for each zone and shift of its opening.
@lru_cache(maxsize=1024)
def _hours(
    first_label: datetime, end_label: datetime, zone: str
) -> dict[datetime, datetime]:
    """Return the labels from the first to the end, each with the hour that it names.

    Labels are written as if they were UTC, as `FeedHour.interval` is. One that the clock
    skips when it is put forward names no hour; one that it shows twice names the first.
    """
    count = max(0, (end_label - first_label) // ONE_HOUR)
    readings = [first_label + n * ONE_HOUR for n in range(count)]
    hours = {}
    for reading in readings:
        hour = reading.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        if hour.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == reading:
            hours[reading.replace(tzinfo=UTC)] = hour
    return hours
