"""Prepared rows: the loader alone, held against plain COPY."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from django.conf import settings

from benchmarks import databases
from benchmarks.measure import Figure, at_least, seconds
from benchmarks.plain_copy import PlainTable
from benchmarks.progress import say
from benchmarks.rows import make_chunk, make_places
from benchmarks.sizes import Sizes
from transactions.loader import Chunk, Loader

CONSTITUENCIES = 700
PART_ROWS = 10_000


def run(sizes: Sizes, *, pristine: str) -> Iterator[Figure]:
    figure = Figure(
        "prepared", "prepared rows, committed", "COPY", "rows/s", at_least(0.5)
    )
    with databases.temporary("bench_prepared", template=pristine):
        rng = np.random.default_rng(1)
        places = make_places("prepared", CONSTITUENCIES)
        plain, loader = PlainTable(), Loader()
        for number in range(sizes.pairs + 1):
            chunks = [
                make_chunk(rng, places, rows=settings.CHUNK_ROWS, part_rows=PART_ROWS)
                for _ in range(sizes.prepared_chunks)
            ]
            taken = seconds(partial(_load_all, loader, chunks))
            limit = plain.copy([chunk.batch_ids for chunk in chunks])
            rows = sum(len(part) for chunk in chunks for part in chunk.parts)
            say(f"prepared {number}: {rows / taken:,.0f} of {rows / limit:,.0f} rows/s")
            if number:
                figure.add(rows / taken, rows / limit)
    yield figure


def _load_all(loader: Loader, chunks: list[Chunk]) -> None:
    for chunk in chunks:
        loader.load(chunk)
