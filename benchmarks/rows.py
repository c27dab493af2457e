"""Rows to load: statements without files, and files with rows of real size."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from elections.models import Constituency, Election
from transactions.formats import Block, Statements
from transactions.loader import Place
from transactions.operations import Operation, Outcome

ALPHABET = np.frombuffer(
    b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", dtype="S1"
)
ID_LENGTH = 44
FIRST_MS = 1_789_700_000_000
DAYS_MS = 60 * 3_600_000
ISSUE, VOTE = int(Operation.BULLETIN_ISSUED), int(Operation.VOTE_CAST)


@dataclass(frozen=True, slots=True)
class Universe:
    """Constituencies to load into."""

    places: list[Place]


def make_universe(name: str, constituencies: int) -> Universe:
    """Register an election of this many constituencies."""
    election = Election.objects.create(slug=name, name=name, is_simulated=True)
    Constituency.objects.bulk_create(
        Constituency(contract_id=f"{name}-{n:05}", name=f"{n}", election=election)
        for n in range(constituencies)
    )
    known = Constituency.objects.filter(election=election).order_by("id")
    return Universe(
        [
            Place(c.pk, election.pk, c.contract_id, "Europe/Moscow", "Europe/Moscow")
            for c in known
        ]
    )


def ids(rng: np.random.Generator, count: int) -> list[str]:
    """Return transaction ids as the ledger has them."""
    letters = ALPHABET[rng.integers(0, len(ALPHABET), (count, ID_LENGTH))]
    return [row.tobytes().decode() for row in letters]


def statements(
    rng: np.random.Generator, count: int, *, span_ms: int = DAYS_MS
) -> Statements:
    """Return as many issues and votes, half and half, within 60 hours or a part of it."""
    start = FIRST_MS + int(rng.integers(0, DAYS_MS - span_ms + 1))
    is_vote = rng.random(count) < 0.5
    raw = rng.bytes(48 * count)
    digests = [raw[start : start + 16] for start in range(0, len(raw), 16)]
    return Statements(
        line=list(range(1, count + 1)),
        contract_id=[],
        tx_id=ids(rng, count),
        timestamp_ms=(start + rng.integers(0, span_ms, count)).tolist(),
        operation=np.where(is_vote, VOTE, ISSUE).tolist(),
        outcome=[int(Outcome.ACCEPTED)] * count,
        quantity=[1] * count,
        sender=digests[:count],
        recipients=[
            None if vote else digest
            for vote, digest in zip(is_vote, digests[count : 2 * count], strict=True)
        ],
        polling_station=["90-1734"] * count,
        payload=digests[2 * count :],
        rolled_back=[False] * count,
    )
