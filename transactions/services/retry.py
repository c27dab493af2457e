"""Rejected lines, corrected by staff: once more into the ledger."""

import io
from datetime import datetime
from hashlib import sha256

from django.conf import settings
from django.utils import timezone

from elections.clock import Clock
from transactions.formats import Block, Kind, Statements, UnreadableFile, read
from transactions.loader import Loader, OpenBatch, Part, Place
from transactions.models import BatchKind, ImportBatch, RejectedRow
from transactions.positions import hour_base, interval_base
from transactions.services.assembly import Assembly
from transactions.services.intake import next_batch_ids
from transactions.services.places import Places
from transactions.services.summary import ImportSummary

# How a single line of a batch is read.
ROW_KINDS = {
    BatchKind.PORTAL_HOUR: Kind.PORTAL_HOUR,
    BatchKind.PORTAL_DUMP: Kind.PORTAL_DUMP,
    BatchKind.SIMULATION: Kind.PORTAL_DUMP,
    BatchKind.PLAIN_CSV: Kind.PLAIN_CSV,
    BatchKind.PLAIN_JSON_LINES: Kind.PLAIN_JSON_LINES,
    # Rows of a binary file are kept as JSON.
    BatchKind.PLAIN_PARQUET: Kind.PLAIN_JSON_LINES,
    BatchKind.API: Kind.API_ROWS,
}


class CannotRetry(ValueError):
    """The line cannot be loaded as it is; the message says why."""


def retry_rejected(
    row: RejectedRow, corrected: str, *, clock: Clock = timezone.now
) -> ImportSummary:
    """Load the corrected text of a rejected line, and mark the row as resolved.

    The statement takes the place that the line had in its file.

    Raises:
        CannotRetry: only a part of the line is known, its constituency is not
            registered, or it still cannot be read. The row stays as it is.
    """
    if row.is_cut and corrected == row.raw:
        raise CannotRetry(
            "Only a part of this line is kept. Paste the whole line from the file, "
            "or load the file again."
        )
    statements = _read(row, corrected)
    place = _place(row.batch, statements)
    statements.position = [_position(row.batch, statements)]
    record = _record(row, corrected, place, clock())
    summary = _load(record, Block(statements), place, clock)
    RejectedRow.objects.filter(pk=row.pk).update(resolved_by=record.pk)
    return summary


def _read(row: RejectedRow, corrected: str) -> Statements:
    kind = ROW_KINDS[BatchKind(row.batch.kind)]
    if kind is Kind.PLAIN_CSV and "\n" not in corrected.strip():
        # A line of a table says nothing without the header that is kept above it.
        corrected = f"{row.raw.partition(chr(10))[0]}\n{corrected}"
    try:
        blocks = list(read(kind, io.BytesIO(corrected.encode())))
    except UnreadableFile as error:
        raise CannotRetry(str(error)) from error
    for block in blocks:
        for rejection in block.rejections:
            raise CannotRetry(rejection.message)
    if [len(block.statements) for block in blocks] != [1]:
        raise CannotRetry("Give one line, no more and no less.")
    return blocks[0].statements


def _place(batch: ImportBatch, statements: Statements) -> Place:
    contract_id = batch.contract_id or "".join(statements.contract_id)
    if not contract_id:
        raise CannotRetry("Nothing says which contract this line belongs to.")
    places = Places(election=None)
    places.prepare_contracts([contract_id])
    place = places.get(contract_id)
    if place is None:
        raise CannotRetry(
            f"No constituency has the contract {contract_id}: register it."
        )
    return place


def _position(batch: ImportBatch, statements: Statements) -> int:
    """Return the place that is stated, else the one of a first statement.

    A rejected line took no ordinal.
    """
    hour = hour_base(statements.timestamp_ms[0])
    base = interval_base(batch.interval) if batch.interval else hour
    stated = statements.position[0] if statements.position else None
    return base + (1 if stated is None else stated)


def _record(
    row: RejectedRow, corrected: str, place: Place, now: datetime
) -> ImportBatch:
    return ImportBatch(
        id=next_batch_ids(1)[0],
        kind=BatchKind.RETRY,
        name=f"{row.batch.name}, line {row.line}",
        contract_id=place.contract_id,
        constituency_id=place.constituency_id,
        sha256=sha256(corrected.encode()).digest(),
        size_bytes=len(corrected.encode()),
        started_at=now,
    )


def _load(
    record: ImportBatch, block: Block, place: Place, clock: Clock
) -> ImportSummary:
    assembly = Assembly(
        Loader(),
        chunk_rows=settings.CHUNK_ROWS,
        chunk_files=settings.CHUNK_FILES,
        clock=clock,
    )
    part = Part(OpenBatch(record), block, place.constituency_id, is_last=True)
    assembly.add(part, {place.constituency_id: place})
    assembly.flush()
    return assembly.summary
