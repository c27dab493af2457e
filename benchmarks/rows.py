"""Rows without files: statements in memory, in the columns the loader takes."""

from collections.abc import Sequence

import numpy as np
from django.utils import timezone

from benchmarks.text import BASE58, ID_LENGTH, texts
from elections.models import Constituency, Election
from transactions.formats import Block, Statements
from transactions.loader import Chunk, OpenBatch, Part, Place
from transactions.models import BatchKind, ImportBatch
from transactions.operations import Operation, Outcome
from transactions.services.intake import next_batch_ids

FIRST_MS = 1_789_700_400_000  # a full hour
VOTING_HOURS, HOUR_MS = 60, 3_600_000
ISSUE, VOTE = int(Operation.BULLETIN_ISSUED), int(Operation.VOTE_CAST)
# Who issues everywhere, as a digest.
REGISTRAR = b"the registrar: 1"


def make_places(name: str, constituencies: int) -> list[Place]:
    """Register an election of this many constituencies."""
    election = Election.objects.create(
        slug=name, name=name, timezone="Europe/Moscow", is_simulated=True
    )
    Constituency.objects.bulk_create(
        Constituency(contract_id=f"{name}-{n:05}", name=f"{n}", election=election)
        for n in range(constituencies)
    )
    return places_of(name)


def places_of(name: str) -> list[Place]:
    """Return the constituencies of an election, as the loader needs them."""
    known = Constituency.objects.filter(election__slug=name).order_by("id")
    return [Place(c.pk, name, c.contract_id, "Europe/Moscow") for c in known]


def make_chunk(
    rng: np.random.Generator,
    places: Sequence[Place],
    *,
    rows: int,
    part_rows: int,
    hours: int = VOTING_HOURS,
) -> Chunk:
    """Return whole files of `part_rows` rows, each of some `hours` of a constituency."""
    chosen = rng.integers(0, len(places), -(-rows // part_rows))
    batch_ids = next_batch_ids(len(chosen))
    parts = [
        _make_part(rng, places[index], batch_id, part_rows, hours)
        for index, batch_id in zip(chosen, batch_ids, strict=True)
    ]
    by_id = {places[index].constituency_id: places[index] for index in chosen}
    return Chunk(parts, by_id, timezone.now())


def _make_part(
    rng: np.random.Generator, place: Place, batch_id: int, rows: int, hours: int
) -> Part:
    record = ImportBatch(
        id=batch_id,
        kind=BatchKind.PORTAL_DUMP,
        name=f"{place.contract_id}_dump.csv",
        contract_id=place.contract_id,
        constituency_id=place.constituency_id,
        sha256=rng.bytes(32),
        started_at=timezone.now(),
    )
    block = Block(statements(rng, rows, hours))
    return Part(OpenBatch(record), block, place.constituency_id, is_last=True)


def statements(rng: np.random.Generator, count: int, hours: int) -> Statements:
    """Return as many issues and votes, half and half, over so many hours in a row."""
    first_hour = int(rng.integers(VOTING_HOURS - hours + 1))
    first_ms = FIRST_MS + first_hour * HOUR_MS
    is_vote = rng.random(count) < 0.5
    raw = rng.bytes(48 * count)
    digests: list[bytes | None] = [
        raw[start : start + 16] for start in range(0, len(raw), 16)
    ]
    return Statements(
        line=list(range(1, count + 1)),
        contract_id=[],
        tx_id=[text.decode() for text in texts(rng, BASE58, ID_LENGTH, count)],
        timestamp_ms=(first_ms + rng.integers(0, hours * HOUR_MS, count)).tolist(),
        operation=np.where(is_vote, VOTE, ISSUE).tolist(),
        outcome=[int(Outcome.ACCEPTED)] * count,
        quantity=[1] * count,
        sender=[
            digest if vote else REGISTRAR
            for vote, digest in zip(is_vote, digests[:count], strict=True)
        ],
        recipients=[
            None if vote else digest
            for vote, digest in zip(is_vote, digests[count : 2 * count], strict=True)
        ],
        polling_station=["90-1734"] * count,
        payload=digests[2 * count :],
        rolled_back=[False] * count,
    )
