"""What is kept about the files of a chunk: counters, refused lines, versions of hours."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.db.models import F

from transactions.loader.bulk import copy_records
from transactions.loader.chunk import Chunk, Part
from transactions.loader.settle import Settlement, Statement
from transactions.models import (
    BatchStatus,
    ConflictingRow,
    ConflictKind,
    ContractTerms,
    FeedHour,
    ImportBatch,
    RejectedRow,
    Transaction,
    VanishedRow,
)
from transactions.operations import Operation, Outcome
from transactions.row_hashes import HASH_BYTES, HASH_OF_TX_ID

SOME_UNKNOWN = (
    "Some rows belong to contracts that no constituency has, see the rejected rows. "
    "Register them, then load the waiting files; the content is kept."
)
COUNTERS = ["rows_read", "accepted", "duplicate", "conflicting", "rejected"]
# The first lines of a batch are kept whole, so that staff can correct and retry them;
# of a file that is broken throughout, the rest only shows what they look like.
WHOLE_REJECTED_ROWS = 1_000
CUT_REJECTED_ROW = 200


@dataclass(slots=True)
class PartCounts:
    """What became of the lines of one part."""

    rows_read: int
    rejected: int
    accepted: int = 0
    duplicate: int = 0
    conflicting: int = 0
    outside_interval: int = 0
    vanished: int = 0


def save_batches(chunk: Chunk, counts: Sequence[PartCounts]) -> None:
    """Write each file's counters and chunk number, a new row where it is the first."""
    new = []
    for part, part_counts in zip(chunk.parts, counts, strict=True):
        if part.is_first:
            new.append(_first_record(part, part_counts, chunk.now))
        else:
            _add_to_record(part, part_counts, chunk.now)
    copy_records(new)


def _values(part: Part, counts: PartCounts) -> dict[str, int]:
    names = [*COUNTERS, "outside_interval", "vanished"]
    return {name: getattr(counts, name) for name in names}


def _ending(part: Part, now: datetime) -> dict[str, Any]:
    if not part.is_last:
        return {"status": BatchStatus.RUNNING}
    if part.batch.lacks_constituencies:
        # Not "loaded": the same content has to be read again later.
        return {
            "status": BatchStatus.WAITING,
            "finished_at": now,
            "error_code": "unknown_constituency",
            "error": SOME_UNKNOWN,
            "source_path": part.batch.kept_at,
        }
    # It may have been taken for interrupted while its connection was away.
    fine = {"error_code": "", "error": ""}
    return {"status": BatchStatus.LOADED, "finished_at": now, **fine}


def _first_record(part: Part, counts: PartCounts, now: datetime) -> ImportBatch:
    record = part.batch.record
    values = {"chunks": 1, **_values(part, counts), **_ending(part, now)}
    for name, value in values.items():
        setattr(record, name, value)
    return record


def _add_to_record(part: Part, counts: PartCounts, now: datetime) -> None:
    added = {name: F(name) + n for name, n in _values(part, counts).items()}
    ImportBatch.objects.filter(pk=part.batch.record.pk).update(
        chunks=F("chunks") + 1, **added, **_ending(part, now)
    )


def save_rejections(chunk: Chunk) -> None:
    """Keep every line that could not be read, with its reason."""
    copy_records(
        [
            _rejected_row(part, index)
            for part in chunk.parts
            for index in range(len(part.block.rejections))
        ]
    )


def _rejected_row(part: Part, index: int) -> RejectedRow:
    rejection = part.block.rejections[index]
    kept_before = part.batch.rejections
    is_first = kept_before + index < WHOLE_REJECTED_ROWS
    is_whole = is_first or part.batch.has_no_file
    raw = rejection.raw if is_whole else rejection.raw[:CUT_REJECTED_ROW]
    return RejectedRow(
        batch_id=part.batch.record.pk,
        line=rejection.line,
        code=rejection.code,
        message=rejection.message,
        raw=raw,
        is_cut=rejection.is_cut or len(raw) < len(rejection.raw),
    )


def save_conflicts(settlements: Iterable[Settlement]) -> None:
    """Keep both versions of what files disagree about."""
    ConflictingRow.objects.bulk_create(
        ConflictingRow(
            batch_id=line.batch_id,
            line=line.line,
            kind=kind,
            constituency_id=line.constituency_id,
            tx_id=line.tx_id,
            stored_batch_id=settlement.holder.batch_id,
            stored=_described(settlement.holder),
            incoming=_described(line),
        )
        for settlement in settlements
        for kind, lines in (
            (ConflictKind.CONTENT, settlement.conflicting),
            (ConflictKind.STATE, settlement.dissenting),
        )
        for line in lines
    )


def _described(row: Statement) -> dict[str, Any]:
    """Return a statement in the words that staff compare."""
    moment = datetime.fromtimestamp(row.timestamp_ms / 1000, tz=UTC)
    return {
        "timestamp": moment.isoformat(timespec="milliseconds"),
        "operation": Operation(row.operation).label,
        "outcome": Outcome(row.outcome).label,
        "quantity": row.quantity,
        "sender": row.sender and row.sender.hex(),
        "payload": row.payload and row.payload.hex(),
        "polling_station": row.polling_station,
        "rolled_back": row.rolled_back,
    }


def save_terms(chunk: Chunk) -> None:
    """Keep what contracts lay down; a transaction states its terms once."""
    ContractTerms.objects.bulk_create(
        (
            ContractTerms(
                constituency_id=part.place_of(terms.tx_id),
                tx_id=terms.tx_id,
                revoting_allowed=terms.revoting_allowed,
                registrar_key=terms.registrar,
                issue_opens_at=terms.issue_opens_at,
                issue_closes_at=terms.issue_closes_at,
                voting_closes_at=terms.voting_closes_at,
            )
            for part in chunk.parts
            for terms in part.block.terms
        ),
        ignore_conflicts=True,
    )


def save_feed_hours(chunk: Chunk, counts: Sequence[PartCounts]) -> None:
    """Add a version of each finished hour, and list what the version before had more."""
    finished = list(_finished_hours(chunk, counts))
    latest = _latest_versions(part for part, _ in finished)
    new, replaced = [], []
    for part, part_counts in finished:
        hour = _next_version(part, latest)
        if hour is None:
            continue
        key = (hour.constituency_id, hour.interval)
        if key in latest:
            replaced.append((hour, latest[key], part_counts))
        latest[key] = hour
        new.append(hour)
    copy_records(new)
    for hour, earlier, part_counts in replaced:
        part_counts.vanished = _save_vanished(hour, earlier)


Hour = tuple[int, datetime]


def _finished_hours(
    chunk: Chunk, counts: Sequence[PartCounts]
) -> Iterator[tuple[Part, PartCounts]]:
    for part, part_counts in zip(chunk.parts, counts, strict=True):
        if part.is_last and part.batch.record.interval is not None:
            yield part, part_counts


def _latest_versions(parts: Iterable[Part]) -> dict[Hour, FeedHour]:
    records = [part.batch.record for part in parts]
    # More than was asked for where hours and constituencies cross; still few.
    known = FeedHour.objects.filter(
        constituency_id__in={record.constituency_id for record in records},
        interval__in={record.interval for record in records},
    )
    return {
        (hour.constituency_id, hour.interval): hour
        for hour in known.order_by("version").defer("row_hashes")
    }


def _next_version(part: Part, latest: dict[Hour, FeedHour]) -> FeedHour | None:
    """Return the version this part completes, None where it is the one known."""
    record = part.batch.record
    assert record.interval is not None  # noqa: S101 - finished hours have one
    assert record.constituency_id is not None  # noqa: S101
    before = latest.get((record.constituency_id, record.interval))
    if before is not None and bytes(before.sha256) == record.sha256:
        return None
    return FeedHour(
        constituency_id=record.constituency_id,
        interval=record.interval,
        version=before.version + 1 if before else 1,
        batch_id=record.pk,
        sha256=record.sha256,
        row_hashes=bytes(part.batch.row_hashes),
    )


def _save_vanished(hour: FeedHour, earlier: FeedHour) -> int:
    """List the transactions that only the earlier version has; return their number."""
    if not earlier.pk:
        # Written by this very chunk, by a COPY that tells no keys.
        earlier = FeedHour.objects.get(
            constituency_id=earlier.constituency_id,
            interval=earlier.interval,
            version=earlier.version,
        )
    gone = missing_hashes(bytes(earlier.row_hashes), bytes(hour.row_hashes))
    if not gone:
        return 0
    rows = Transaction.objects.filter(constituency_id=hour.constituency_id)
    tx_ids = rows.alias(digest=HASH_OF_TX_ID).filter(digest__in=gone)
    return len(
        VanishedRow.objects.bulk_create(
            VanishedRow(
                batch_id=hour.batch_id,
                constituency_id=hour.constituency_id,
                tx_id=tx_id,
                earlier=earlier,
            )
            for tx_id in tx_ids.order_by("tx_id").values_list("tx_id", flat=True)
        )
    )


def missing_hashes(of: bytes, absent_from: bytes) -> list[bytes]:
    """Return the row hashes in the first string that the second has not."""
    dtype = np.dtype(f"V{HASH_BYTES}")
    mine = set(np.frombuffer(of, dtype=dtype).tolist())
    return sorted(mine - set(np.frombuffer(absent_from, dtype=dtype).tolist()))
