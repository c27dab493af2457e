"""Whether anything was lost, counted twice or left undone."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Max, Sum
from django.utils import timezone

from anomalies.models import OPEN, Alert, AlertEvent, Evaluation
from anomalies.services import AnomalyService
from elections.locks import Lock, lock_until_commit
from elections.models import Constituency, Election
from metrics.models import (
    Discrepancy,
    ElectionMinute,
    HourlyStats,
    MetricsUpdate,
    MinuteStats,
    UpdateStatus,
)
from metrics.services import verify
from tests.chaos.loader import MOST_BLANKS
from tests.chaos.world import World
from tests.oracle import Figures
from tests.tables import COUNTS
from tests.transactions.lines import content
from tests.transactions.test_exactness import expected_state, stored_state
from transactions.deltas import minutes_exact_since
from transactions.models import (
    BatchKind,
    BatchStatus,
    ImportBatch,
    RejectedRow,
    RollbackEvent,
    Transaction,
)

FigureTable = Mapping[Any, Figures]


@dataclass(frozen=True)
class Wrong:
    """A figure that is not what it should be."""

    what: str
    expected: object
    stored: object

    @property
    def is_doubled(self) -> bool:
        """Tell whether it is too much; anything else that is wrong is lost."""
        try:
            return float(str(self.stored)) > float(str(self.expected))
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"{self.what}: {self.stored} is stored, {self.expected} is right"


def differences(world: World, election: Election) -> Iterator[Wrong]:
    """Yield every figure that is not what the oracle counts from the files."""
    contract_ids = list(world.zones)
    expected: dict[str, Any] = expected_state(world.counted, contract_ids)
    stored: dict[str, Any] = stored_state(election)
    yield from _compare("ledger", expected.pop("ledger"), stored.pop("ledger"))
    for name in ("hours", "totals"):
        yield from _compare_figures(name, expected.pop(name), stored.pop(name))
    yield from _compare("register", expected.pop("register"), stored.pop("register"))
    if expected != stored:
        yield Wrong("conflicts", expected, stored)
    yield from _compare_minutes(world, election)
    yield from unexplained()


def unexplained() -> Iterator[Wrong]:
    """Yield what contradicts itself in the database, at any time of the run."""
    for found in verify():
        what = f"verify: {found.contract_id} {found.hour or 'total'} {found.what}"
        yield Wrong(what, found.counted, found.stored)
    for alarm in Discrepancy.objects.order_by("id"):
        yield Wrong(f"alarm: {alarm} {alarm.found_at}", alarm.counted, alarm.stored)


def wrong_batches(world: World) -> Iterator[Wrong]:
    """Yield batches that do not tell what became of their lines."""
    accounted = F("accepted") + F("duplicate") + F("conflicting") + F("rejected")
    for batch in ImportBatch.objects.exclude(rows_read=accounted).order_by("id"):
        yield Wrong(f"rows of batch {batch}", "accounted for", "unaccounted for")
    sizes = _rows_by_digest(world)
    whole = [BatchStatus.LOADED, BatchStatus.UNCHANGED]
    hours = [BatchKind.PORTAL_HOUR, BatchKind.PORTAL_DUMP]
    for batch in ImportBatch.objects.filter(status__in=whole, kind__in=hours):
        rows = sizes[bytes(batch.sha256 or b"")]
        if batch.rows_read != rows:
            yield Wrong(f"rows read of batch {batch}", rows, batch.rows_read)
    batches = ImportBatch.objects.without_uploads()
    gone = ImportBatch.objects.filter(kind=BatchKind.UPLOAD, error_code="file_gone")
    for batch in gone.order_by("id"):
        yield Wrong(f"upload {batch}", "stored until it is loaded", "gone")
    listed = RejectedRow.objects.count()
    rejected = batches.aggregate(n=Sum("rejected"))["n"] or 0
    if listed != rejected:
        yield Wrong("rejected rows listed", rejected, listed)
    # Each line that was accepted is a row of the ledger, or turned one.
    accepted = batches.aggregate(n=Sum("accepted"))["n"] or 0
    made = Transaction.objects.count() + RollbackEvent.objects.count()
    if accepted != made:
        yield Wrong("lines accepted", made, accepted)


def wrong_alerts(election: Election) -> Iterator[Wrong]:
    """Yield what an evaluation of the ledger as it is now would say otherwise.

    By the clock of the last one: what waits an hour has to wait for both.
    """
    with transaction.atomic():
        lock_until_commit(Lock.ALERTS, election.pk)
        last = Evaluation.objects.filter(election=election).first()
        if last is None:
            yield Wrong("evaluation", "made", "missing")
            return
        stored = _judgement(election)
        AnomalyService().evaluate(election.pk, now=last.evaluated_at)
        right = _judgement(election)
        transaction.set_rollback(True)
    yield from _compare("judgement", right, stored)
    kept = dict(AlertEvent.objects.values_list("pgh_obj").annotate(n=Count("pgh_id")))
    versions = dict(Alert.objects.values_list("id", "version"))
    yield from _compare("versions of alert", versions, kept)


def _judgement(election: Election) -> dict[Any, object]:
    """Return open alerts, scores and numbers by what they are about."""
    alerts = Alert.objects.filter(election=election, status__in=OPEN)
    places = Constituency.objects.filter(election=election)
    found: dict[Any, object] = {
        (alert.rule, alert.constituency_id, alert.started_hour): alert.severity
        for alert in alerts
    }
    for pk, *figures in places.values_list("id", "anomaly_score", "anomaly_count"):
        found[pk] = figures
    return found


def undone(settled_at: datetime) -> list[str]:
    """Return what still has to be done, or never will be, in words."""
    left = MetricsUpdate.objects.exclude(status=UpdateStatus.DONE).order_by("id")
    found = [
        f"update {update.scope} is {update.status}, attempt {update.attempts}, "
        f"due {update.available_at}, requested {update.requested_at}, "
        f"locked {update.locked_at}: {update.error[-300:]}"
        for update in left
    ]
    is_open = [BatchStatus.QUEUED, BatchStatus.RUNNING, BatchStatus.WAITING]
    batches = ImportBatch.objects.filter(status__in=is_open).order_by("id")
    found += [f"batch {batch} is {batch.status}" for batch in batches]
    return found + [f"{one} was not refreshed" for one in _stale(settled_at)]


def is_hopeless() -> bool:
    """Tell whether only what nobody will do any more is left in the queue."""
    left = MetricsUpdate.objects.exclude(status=UpdateStatus.DONE)
    counts = dict(left.values_list("status").annotate(n=Count("id")))
    return set(counts) == {UpdateStatus.DEAD}


def _stale(settled_at: datetime) -> Iterator[Constituency]:
    """Yield constituencies whose refresh is older than their last change.

    Changes made on a clock that was ahead count as made when the run came to rest.
    """
    changes = HourlyStats.objects.values_list("constituency").annotate(Max("timestamp"))
    last = dict(changes)
    for one in Constituency.objects.order_by("id"):
        changed_at = min(last[one.pk], settled_at) if one.pk in last else None
        refreshed_at = one.metrics_updated_at
        if changed_at and (refreshed_at is None or refreshed_at < changed_at):
            yield one


def _compare_minutes(world: World, election: Election) -> Iterator[Wrong]:
    counted = world.counted.minutes
    series: dict[datetime, Counter[str]] = {}
    for (_, minute), figures in counted.items():
        series.setdefault(minute, Counter()).update(asdict(figures))
    since = minutes_exact_since(timezone.now())
    yield from _compare_figures(
        "minutes",
        {key: figures for key, figures in counted.items() if key[1] >= since},
        {
            (row.constituency.contract_id, row.minute): _figures(row)
            for row in MinuteStats.objects.select_related("constituency")
            if row.minute >= since
        },
    )
    yield from _compare_figures(
        "series",
        {minute: Figures(**sums) for minute, sums in series.items()},
        {
            row.minute: _figures(row)
            for row in ElectionMinute.objects.filter(election=election)
        },
    )


def _compare_figures(
    what: str, expected: FigureTable, stored: FigureTable
) -> Iterator[Wrong]:
    for key in sorted({*expected, *stored}, key=str):
        right, found = (
            asdict(table.get(key, Figures())) for table in (expected, stored)
        )
        for name in COUNTS:
            if right[name] != found[name]:
                yield Wrong(f"{what} {_words(key)} {name}", right[name], found[name])


def _compare(
    what: str, expected: Mapping[Any, object], stored: Mapping[Any, object]
) -> Iterator[Wrong]:
    for key in sorted({*expected, *stored}, key=str):
        if key not in expected:
            yield Wrong(f"{what} {_words(key)}, rows", 0, 1)
        elif key not in stored:
            yield Wrong(f"{what} {_words(key)}, rows", 1, 0)
        elif expected[key] != stored[key]:
            yield Wrong(f"{what} {_words(key)}", expected[key], stored[key])


def _rows_by_digest(world: World) -> dict[bytes, int]:
    """Return how many rows each file has, and each with other bytes and the same rows."""
    return {
        sha256(content(file) + b"\n" * blanks).digest(): len(file.lines)
        for file in world.files
        for blanks in range(MOST_BLANKS + 1)
    }


def _figures(row: MinuteStats | ElectionMinute) -> Figures:
    return Figures(**{name: getattr(row, name) for name in COUNTS})


def _words(key: object) -> str:
    parts: Iterable[object] = key if isinstance(key, tuple) else (key,)
    return " ".join(str(part) for part in parts)


def queue_as_text() -> str:
    """Return all updates and open batches, for whoever looks for the cause."""
    batches = ImportBatch.objects.exclude(
        status__in=[BatchStatus.LOADED, BatchStatus.UNCHANGED]
    )
    updates = MetricsUpdate.objects.order_by("id")
    rows = itertools.chain(updates.values(), batches.order_by("id").values())
    return "\n".join(str(row) for row in rows)
