"""Ledgers of a given size, filled through the loader."""

import numpy as np
from django.conf import settings

from benchmarks.progress import say
from benchmarks.rows import make_chunk, make_places, places_of
from transactions.loader import Loader, Place
from transactions.models import Transaction

CONSTITUENCIES = 700
PART_ROWS = 2_000
ELECTION = "ledger"
SAY_ROWS = 1_000_000


def members() -> list[Place]:
    """Return the constituencies of the ledger's election, made where there are none."""
    return places_of(ELECTION) or make_places(ELECTION, CONSTITUENCIES)


def fill(rng: np.random.Generator, rows: int) -> None:
    """Load until the ledger holds `rows` rows."""
    places, loader = members(), Loader()
    held = Transaction.objects.count()
    while held < rows:
        count = min(settings.CHUNK_ROWS, rows - held)
        chunk = make_chunk(rng, places, rows=count, part_rows=min(PART_ROWS, count))
        loader.load(chunk)
        before, held = held, held + sum(len(part) for part in chunk.parts)
        if before // SAY_ROWS < held // SAY_ROWS:
            say(f"filling: {held:,} of {rows:,} rows")
