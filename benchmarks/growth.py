"""A large ledger held against a small one: two databases, measured in turn."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from django.conf import settings

from benchmarks import databases, ledgers
from benchmarks.measure import Figure, at_least, at_most, seconds
from benchmarks.progress import say
from benchmarks.rows import make_chunk
from benchmarks.sizes import Sizes
from elections import queries as registry
from metrics import queries as statistics
from transactions.loader import Loader

SMALL, LARGE = "bench_small", "bench_large"
# Chunks per measurement, and reads per measurement of which the median counts.
CHUNKS = 3
READS = 40
# A larger ledger has more hours of each constituency: both answer with as many.
HOURS = 24
READ_BUDGET = at_most(1.1)


def run(sizes: Sizes, *, pristine: str) -> Iterator[Figure]:
    rng = np.random.default_rng(4)
    databases.create(SMALL, template=pristine)
    try:
        with databases.inside(SMALL):
            ledgers.fill(rng, sizes.growth_start_rows)
            databases.vacuum()
        databases.create(LARGE, template=SMALL)
        for rows, share in sizes.growth_steps:
            with databases.inside(LARGE):
                ledgers.fill(rng, rows)
                databases.vacuum()
            yield from _compare(sizes, rng, rows, share)
    finally:
        databases.drop(LARGE)
        databases.drop(SMALL)


def _compare(
    sizes: Sizes, rng: np.random.Generator, rows: int, share: float
) -> Iterator[Figure]:
    limit = f"at {sizes.growth_start_rows:,} rows"
    named = f"at {rows:,} rows"

    def figure(what: str) -> Figure:
        return Figure("growth", f"{what} {named}", limit, "ms", READ_BUDGET)

    # Reads first: loading leaves dead rows behind in both.
    hours, members = (
        figure(f"{HOURS} hours of a constituency"),
        figure("constituencies"),
    )
    elections = figure("elections")
    reads = [
        (hours, _read_hours),
        (members, _read_constituencies),
        (elections, _read_elections),
    ]
    for number in range(sizes.pairs + 1):
        for read_figure, read in reads:
            pair = _both(partial(_median_ms, read))
            if number:
                read_figure.add(*pair)
    load = Figure("growth", f"load {named}", limit, "rows/s", at_least(share))
    for number in range(sizes.pairs + 1):
        pair = _both(partial(_load_rate, rng))
        say(f"growth {number}: {pair[0]:,.0f} rows/s, {limit} {pair[1]:,.0f}")
        if number:
            load.add(*pair)
    yield from (load, hours, members, elections)


def _both(measure: Callable[[], float]) -> tuple[float, float]:
    """Measure in the large and in the small database."""
    with databases.inside(LARGE):
        large = measure()
    with databases.inside(SMALL):
        return large, measure()


def _load_rate(rng: np.random.Generator) -> float:
    places, loader = ledgers.members(), Loader()
    chunks = [
        make_chunk(rng, places, rows=settings.CHUNK_ROWS, part_rows=ledgers.PART_ROWS)
        for _ in range(CHUNKS)
    ]
    taken = seconds(lambda: [loader.load(chunk) for chunk in chunks])
    return CHUNKS * settings.CHUNK_ROWS / taken


def _median_ms(read: Callable[[int], object]) -> float:
    """Read what other callers read, too: of a different constituency each time."""
    places = ledgers.members()
    read(places[0].constituency_id)
    taken = [
        seconds(partial(read, places[n % len(places)].constituency_id))
        for n in range(READS)
    ]
    return 1_000 * float(np.median(taken))


def _read_hours(constituency_id: int) -> object:
    hours = statistics.hourly_stats().filter(constituency=constituency_id)
    return list(hours[:HOURS])


def _read_constituencies(_: int) -> object:
    chosen = registry.constituencies().filter(election__slug=ledgers.ELECTION)
    return list(chosen)


def _read_elections(_: int) -> object:
    return list(registry.elections())
