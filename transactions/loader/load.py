"""Load a chunk: lock, write, announce, account for it, commit."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import polars as pl
from django.db import Error, IntegrityError, connection, transaction

from elections.database import is_away
from elections.locks import lock_constituencies
from elections.models import Constituency
from transactions.deltas import LedgerChange, minutes_written_since
from transactions.loader import contributions, ledger, records
from transactions.loader.chunk import Chunk
from transactions.loader.patience import patiently
from transactions.loader.plan import Plan, make_plan
from transactions.loader.records import PartCounts
from transactions.models import ImportBatch
from transactions.operations import Operation
from transactions.signals import ledger_changed, ledger_committed

# They tell when a contract opens and closes, and by which rules.
TELLING_OPERATIONS = [
    Operation.CREATE_CONTRACT,
    Operation.START_VOTING,
    Operation.FINISH_VOTING,
    Operation.START_ISSUING,
    Operation.STOP_ISSUING,
]


class ConstituencyGone(RuntimeError):
    """A constituency was deleted between its look-up and its rows."""


@dataclass(slots=True)
class ChunkResult:
    """What one committed chunk did."""

    counts: list[PartCounts]
    bulletins_issued: int = 0
    votes_cast: int = 0
    # Where in the frame the lines stand that contradict what is known.
    conflicting_rows: list[int] = field(default_factory=list)


class Loader:
    """Loads chunks into the ledger, each exactly once whatever happens to the connection.

    With `is_trial` the caller has a transaction open and will roll it back. `guard` is
    called in the transaction of each chunk; what it raises undoes the chunk.
    """

    def __init__(
        self, *, is_trial: bool = False, guard: Callable[[], object] = lambda: None
    ) -> None:
        self.is_trial = is_trial
        self._guard = guard
        # Whether ids and voters are likely to be known: then it is cheaper to ask
        # first than to have the database object.
        self._ask_about_all = False
        # What the last try did, if its COMMIT got no answer.
        self._unanswered: ChunkResult | None = None

    def load(self, chunk: Chunk) -> ChunkResult:
        """Commit the chunk and return what it did.

        Raises:
            OperationalError: the database stayed away, or the chunk kept failing; nothing
                of the chunk is stored.
        """
        frame = chunk.frame()
        self._unanswered = None
        load = partial(self._load_once, chunk, frame)
        result = load() if self.is_trial else patiently(load)
        chunk.remember(frame, result.conflicting_rows)
        for part in chunk.parts:
            part.batch.chunks += 1
            part.batch.rejections += len(part.block.rejections)
        return result

    def _load_once(self, chunk: Chunk, frame: pl.DataFrame) -> ChunkResult:
        result: ChunkResult | None = None
        try:
            with transaction.atomic(durable=not self.is_trial):
                result = self._write(chunk, frame)
        except Error as error:
            if result is None or self.is_trial or not is_away(error):
                raise
            # The connection can break between the server's commit and its answer.
            self._unanswered = result
            connection.close()
            if not _is_committed(chunk):
                raise
            # What follows a commit was not done: its answer never came.
            _tell_committed(chunk)
        return result

    def _write(self, chunk: Chunk, frame: pl.DataFrame) -> ChunkResult:
        locked = lock_constituencies(chunk.places)
        if missing := set(chunk.places).difference(locked):
            # The ledger has no foreign key that would notice.
            gone = ", ".join(
                chunk.places[place].contract_id for place in sorted(missing)
            )
            raise ConstituencyGone(f"Deleted while it was being loaded: {gone}.")
        transaction.on_commit(partial(_tell_committed, chunk))
        # Or before the server came to commit: it has by now, or never will, since the
        # locks are free.
        if self._unanswered is not None and _is_committed(chunk):
            return self._unanswered
        self._guard()
        plan = self._append(frame)
        changes = _settle_known(chunk, plan)
        deltas = contributions.hour_deltas(changes, _zones(chunk.places))
        counts = _account(chunk, frame, plan)
        if deltas:
            since = minutes_written_since(chunk.now)
            minutes = contributions.minute_deltas(changes, since=since)
            change = LedgerChange(deltas, now=chunk.now, minutes=minutes)
            # Last: what its receivers write is locked for the shortest time.
            ledger_changed.send(sender=Loader, change=change)
        return ChunkResult(
            counts=counts,
            bulletins_issued=sum(delta.bulletins_issued for delta in deltas),
            votes_cast=sum(delta.votes_cast for delta in deltas),
            conflicting_rows=_conflicting_rows(frame, plan),
        )

    def _append(self, frame: pl.DataFrame) -> Plan:
        """Append what is new to the ledger and return the plan that was carried out."""
        plan = make_plan(frame, ask_about_all=self._ask_about_all)
        try:
            with transaction.atomic():
                ledger.copy_rows(plan.new)
        except IntegrityError:
            self._ask_about_all = True
            plan = make_plan(frame, ask_about_all=True)
            ledger.copy_rows(plan.new)
        else:
            self._ask_about_all &= plan.has_surprises
        return plan


def _zones(places: Iterable[int]) -> dict[int, str]:
    """Return the zone of each constituency as it is now.

    Asked under the lock: staff may have changed it since the import began, and their
    recount waits for the lock.
    """
    known = Constituency.objects.filter(id__in=places)
    zones = known.values_list("id", "region__timezone", "election__timezone")
    return {pk: of_region or of_election for pk, of_region, of_election in zones}


def _settle_known(chunk: Chunk, plan: Plan) -> pl.DataFrame:
    """Write what changes in known transactions; return all changes of the chunk."""
    ledger.write_states(plan.restated)
    ledger.record_flips(plan.settlements, chunk.now)
    elections = ledger.elect_first_votes(sorted(plan.contested))
    records.save_terms(chunk)
    if told := _places_told_about(chunk, plan):
        ledger.refresh_terms(told)
    return pl.concat(
        [
            contributions.of_rows(plan.new),
            contributions.of_flips(plan.flipped),
            contributions.of_elections(elections),
        ]
    )


def _conflicting_rows(frame: pl.DataFrame, plan: Plan) -> list[int]:
    lines = [
        (line.part, line.line)
        for settlement in plan.settlements
        for line in settlement.conflicting
    ]
    if not lines:
        return []
    numbered = frame.select("part", "line").with_row_index()
    found = pl.DataFrame(
        lines, schema=frame.select("part", "line").schema, orient="row"
    )
    return numbered.join(found, on=["part", "line"], how="semi")["index"].to_list()


def _places_told_about(chunk: Chunk, plan: Plan) -> list[int]:
    told = plan.new.filter(pl.col("operation").is_in(TELLING_OPERATIONS))
    flipped = {
        settlement.holder.constituency_id
        for settlement in plan.flipped
        if settlement.holder.operation in TELLING_OPERATIONS
    }
    # The same createContract can come with its terms only the second time.
    stated = {
        part.place_of(terms.tx_id) for part in chunk.parts for terms in part.block.terms
    }
    return sorted(flipped.union(stated, told["constituency_id"].to_list()))


def _account(chunk: Chunk, frame: pl.DataFrame, plan: Plan) -> list[PartCounts]:
    """Store what became of every line and file; return the counts of each part."""
    counts = _count_lines(chunk, frame, plan)
    records.save_feed_hours(chunk, counts)
    records.save_batches(chunk, counts)
    records.save_rejections(chunk)
    records.save_conflicts(plan.settlements)
    return counts


def _count_lines(chunk: Chunk, frame: pl.DataFrame, plan: Plan) -> list[PartCounts]:
    plain = chunk.per_part(plan.plain)
    outside = chunk.outside_interval(frame)
    counts = [
        PartCounts(
            rows_read=part.block.rows_read,
            rejected=len(part.block.rejections),
            accepted=plain[index],
            outside_interval=outside[index],
        )
        for index, part in enumerate(chunk.parts)
    ]
    for settlement in plan.settlements:
        for line in settlement.accepted:
            counts[line.part].accepted += 1
        for line in settlement.duplicate:
            counts[line.part].duplicate += 1
        for line in settlement.conflicting:
            counts[line.part].conflicting += 1
    return counts


def _tell_committed(chunk: Chunk) -> None:
    places = [(place.election, place.contract_id) for place in chunk.places.values()]
    ledger_committed.send_robust(sender=Loader, places=places)


def _is_committed(chunk: Chunk) -> bool:
    """Tell whether the chunk reached the database, by the chunk number of its files."""
    batch = chunk.parts[0].batch
    stored = ImportBatch.objects.filter(pk=batch.record.pk).values_list("chunks")
    return stored.first() == (batch.chunks + 1,)
