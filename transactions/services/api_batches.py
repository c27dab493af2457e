"""Rows posted to the API: one request is one batch, loaded like a file of plain columns."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.utils import timezone

from elections.clock import Clock
from elections.services import RegistryService
from transactions.formats import (
    Block,
    Reason,
    Rejection,
    Statements,
    as_kept,
    read_rows,
)
from transactions.formats.reasons import excerpt
from transactions.loader import ConstituencyGone, Loader, OpenBatch, Part, Place
from transactions.loader.patience import patiently
from transactions.models import BatchKind, ImportBatch
from transactions.positions import hour_base
from transactions.services.assembly import Assembly
from transactions.services.intake import next_batch_ids
from transactions.services.places import Places
from transactions.services.summary import ImportSummary

logger = structlog.get_logger(__name__)

# A constituency can be deleted between its look-up and its rows; not twice in a row.
ATTEMPTS = 3
CONTRACTS_LOGGED = 10


@dataclass(frozen=True, slots=True)
class PostedRows:
    """What became of the rows of one request."""

    batch_id: int
    summary: ImportSummary
    # In the order of the rows; `line` 1 is the first row.
    rejections: list[Rejection]


def load_rows(
    rows: Sequence[object],
    *,
    source: str,
    clock: Clock = timezone.now,
) -> PostedRows:
    """Load rows as they were posted by `source`, all that can be read at once.

    Rows that cannot be loaded are kept and listed; the same rows again are duplicates.

    Raises:
        OperationalError: the database stayed away. Nothing is stored; post again.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return _load(rows, source, clock)
        except ConstituencyGone as error:
            logger.warning("Rows are placed again", reason=str(error))
    return _load(rows, source, clock)


def _load(rows: Sequence[object], source: str, clock: Clock) -> PostedRows:
    block = read_rows(rows)
    _put_behind_hours(block.statements)
    contracts = set(block.statements.contract_id)
    places, batch_id = patiently(lambda: (_places(contracts), next_batch_ids(1)[0]))
    refused = _refuse_unknown(block, places, rows)
    record = ImportBatch(
        id=batch_id,
        kind=BatchKind.API,
        name=source,
        constituency_id=_only_place(places, is_whole=not refused),
        started_at=clock(),
    )
    summary = _load_block(record, block, places, clock)
    if refused:
        logger.warning(
            "Rows of unknown constituencies were refused",
            batch=batch_id,
            rows=sum(refused.values()),
            contracts=sorted(refused)[:CONTRACTS_LOGGED],
        )
    return PostedRows(batch_id, summary, block.rejections)


def _load_block(
    record: ImportBatch,
    block: Block,
    places: dict[str, Place],
    clock: Clock,
) -> ImportSummary:
    assembly = Assembly(
        Loader(),
        chunk_rows=settings.CHUNK_ROWS,
        chunk_files=settings.CHUNK_FILES,
        clock=clock,
    )
    ids = [places[c].constituency_id for c in block.statements.contract_id]
    batch = OpenBatch(record, has_no_file=True)
    by_id = {place.constituency_id: place for place in places.values()}
    assembly.add(Part(batch, block, ids, is_last=True), by_id)
    assembly.flush()
    RegistryService().widen_windows(assembly.summary.elections)
    return assembly.summary


def _put_behind_hours(statements: Statements) -> None:
    """Turn the positions that rows state into those that the ledger compares."""
    statements.position = [
        stated if stated is None else hour_base(timestamp_ms) + stated
        for stated, timestamp_ms in zip(
            statements.position, statements.timestamp_ms, strict=True
        )
    ]


def _places(contract_ids: set[str]) -> dict[str, Place]:
    """Return the places of those contracts that are registered."""
    places = Places(election=None)
    places.prepare_contracts(contract_ids)
    found = {contract_id: places.get(contract_id) for contract_id in contract_ids}
    return {c: place for c, place in found.items() if place is not None}


def _only_place(places: dict[str, Place], *, is_whole: bool) -> int | None:
    """Return the constituency that all rows belong to, if it is one."""
    if not is_whole or len(places) != 1:
        return None
    return next(iter(places.values())).constituency_id


def _refuse_unknown(
    block: Block, places: dict[str, Place], rows: Sequence[object]
) -> Counter[str]:
    """Turn rows of unknown contracts into rejections that can be retried as they are.

    Returns how many rows that are, by contract.
    """
    statements = block.statements
    is_known = [contract_id in places for contract_id in statements.contract_id]
    refused: Counter[str] = Counter()
    made: Counter[tuple[str, str]] = Counter()
    for index, known in enumerate(is_known):
        if known:
            continue
        contract_id = statements.contract_id[index]
        refused[contract_id] += 1
        key = (contract_id, statements.tx_id[index])
        made[key] += 1
        row = rows[statements.line[index] - 1]
        block.rejections.append(
            _rejection(statements.line[index], contract_id, row, made[key])
        )
    statements.keep(is_known)
    block.rejections.sort(key=lambda rejection: rejection.line)
    return refused


def _rejection(line: int, contract_id: str, row: object, ordinal: int) -> Rejection:
    raw, is_cut = excerpt(_placed(row, ordinal))
    reason = Reason.UNKNOWN_CONSTITUENCY
    sentence = reason.sentence(contract_id=contract_id)
    return Rejection(line, reason.code, sentence, raw, is_cut)


def _placed(row: object, ordinal: int) -> bytes:
    """Return the row as kept, with the place it would have had in its batch.

    Rows are retried one by one: a second statement about a transaction has to know that
    it is the second.
    """
    if ordinal == 1 or not isinstance(row, dict) or row.get("position") is not None:
        return as_kept(row)
    return as_kept({**row, "position": ordinal})
