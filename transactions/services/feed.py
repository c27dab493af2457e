"""Feed a simulated election to the ledger, at its own pace or at a given rate."""

import io
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice

from django.conf import settings
from django.utils import timezone

from elections.locks import Lock, lock_session, unlock_session
from elections.models import Election, Region
from elections.services import ConstituencyDraft, RegistryService
from elections.signals import registry_changed
from transactions.formats import Block, Kind, read
from transactions.loader import Loader, OpenBatch, Part
from transactions.models import BatchKind, BatchStatus, ImportBatch
from transactions.positions import hour_base
from transactions.services.assembly import Assembly
from transactions.services.intake import next_batch_ids
from transactions.services.places import Places
from transactions.services.summary import ImportSummary
from transactions.simulator import Event, World, stream

# A committed transaction shows within a second; this is the feed's part of it.
TICK_SECONDS = 0.5


def register_simulation(world: World) -> Election:
    """Create the simulated election, its regions and its constituencies."""
    plan = world.plan
    election, _ = Election.objects.get_or_create(
        slug=plan.slug, defaults={"name": plan.name, "is_simulated": True}
    )
    if not election.is_simulated:
        raise ValueError(f"{plan.slug} is a real election: it takes no simulated rows.")
    regions = {contract.district.region for contract in world.contracts}
    Region.objects.bulk_create(
        (
            Region(code=str(region.code), name=region.name, timezone=region.timezone)
            for region in sorted(regions, key=lambda region: region.code)
        ),
        ignore_conflicts=True,
    )
    registry_changed.send(sender=Region, places=())
    drafts = [
        ConstituencyDraft(
            contract_id=contract.contract_id,
            region_code=str(contract.district.region.code),
            region_name=contract.district.region.name,
            name=contract.name,
        )
        for contract in world.contracts
    ]
    RegistryService().register(drafts, election=election)
    return election


def feed_simulation(
    world: World,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    rate: float | None = None,
    is_stopped: Callable[[], bool] = lambda: False,
    on_progress: Callable[[int], None] = lambda rows: None,
) -> ImportSummary:
    """Load the election's lines from `since` up to `until` and return what that did.

    With `rate` so many rows a second, else each line when its time has come: what is
    past at once, the rest live. Lines that were fed before change nothing.
    """
    feed = _Feed(register_simulation(world))
    events = stream(world, since=since)
    for piece in _paced(events, until=until, rate=rate, is_stopped=is_stopped):
        feed.load(piece)
        on_progress(len(piece))
    return feed.finish()


class _Feed:
    """One long delivery, in pieces."""

    def __init__(self, election: Election) -> None:
        self._places = Places(election)
        record = ImportBatch(
            id=next_batch_ids(1)[0],
            kind=BatchKind.SIMULATION,
            name=f"Simulated feed of {election.slug}",
            started_at=timezone.now(),
        )
        self._batch = OpenBatch(record)
        lock_session(Lock.RUNNING_BATCH, record.pk)
        self._assembly = Assembly(
            Loader(),
            chunk_rows=settings.CHUNK_ROWS,
            chunk_files=settings.CHUNK_FILES,
            clock=timezone.now,
        )

    def load(self, events: Sequence[Event]) -> None:
        block = _block(events)
        contracts = block.statements.contract_id
        self._places.prepare_contracts(set(contracts))
        found = {c: self._places.get(c) for c in set(contracts)}
        places = {c: place for c, place in found.items() if place is not None}
        ids = [places[contract_id].constituency_id for contract_id in contracts]
        by_id = {place.constituency_id: place for place in places.values()}
        self._assembly.add(Part(self._batch, block, ids, is_last=False), by_id)
        self._assembly.flush()

    def finish(self) -> ImportSummary:
        ImportBatch.objects.filter(pk=self._batch.record.pk).update(
            status=BatchStatus.LOADED,
            finished_at=timezone.now(),
            error_code="",
            error="",
        )
        unlock_session(Lock.RUNNING_BATCH, self._batch.record.pk)
        summary = self._assembly.summary
        RegistryService().widen_windows(summary.elections)
        return summary


def _block(events: Sequence[Event]) -> Block:
    """Read the lines of many contracts, each with the position that its event states."""
    by_contract: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_contract[event.contract_id].append(event)
    whole = Block()
    offset = 0
    for contract_id, lines in by_contract.items():
        text = io.BytesIO(b"\n".join(event.line for event in lines))
        for block in read(Kind.PORTAL_DUMP, text):
            rows = block.statements
            stated = [lines[number - 1] for number in rows.line]
            rows.contract_id = [contract_id] * len(rows)
            rows.position = [hour_base(e.hour_ms) + e.ordinal for e in stated]
            # A line is known by its number, so the contracts' numbers must not meet.
            rows.line = [offset + number for number in rows.line]
            whole.statements.extend(rows)
            whole.rejections.extend(
                replace(rejection, line=offset + rejection.line)
                for rejection in block.rejections
            )
            whole.terms.extend(block.terms)
        offset += len(lines)
    return whole


def _paced(
    events: Iterator[Event],
    *,
    until: datetime | None,
    rate: float | None,
    is_stopped: Callable[[], bool],
) -> Iterator[list[Event]]:
    """Yield events in pieces, when they are due or so many a second, until stopped."""
    end_ms = until.timestamp() * 1000 if until else float("inf")
    wanted = (event for event in events if event.timestamp_ms < end_ms)
    pieces = _at_rate(wanted, rate) if rate else _at_their_time(wanted)
    for piece in pieces:
        if is_stopped():
            return
        if piece:
            yield piece


def _at_rate(events: Iterator[Event], rate: float) -> Iterator[list[Event]]:
    started, fed = time.monotonic(), 0
    while piece := list(islice(events, max(1, round(rate * TICK_SECONDS)))):
        yield piece
        fed += len(piece)
        time.sleep(max(0.0, started + fed / rate - time.monotonic()))


def _at_their_time(events: Iterator[Event]) -> Iterator[list[Event]]:
    """Yield what is due, tick by tick; an empty piece while nothing is."""
    piece: list[Event] = []
    for event in events:
        while event.timestamp_ms > time.time() * 1000:
            yield piece
            piece = []
            time.sleep(TICK_SECONDS)
        piece.append(event)
        if len(piece) >= settings.CHUNK_ROWS:
            yield piece
            piece = []
    yield piece
