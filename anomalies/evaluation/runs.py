"""Many trials at once, one process per core."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context

from anomalies.evaluation.report import Report
from anomalies.evaluation.trials import PRESETS, Trial, try_election, try_variant
from anomalies.evaluation.variants import VARIANTS

CONSTITUENCIES = 500
# Elections of each size whose hours are looked into, 15 to 25 s each on one core.
INSIDE = 6
Job = Callable[[], Trial]


def jobs(*, elections: int, seed: int, constituencies: int) -> Sequence[Job]:
    """Return what there is to try: elections of both presets, and all variants."""
    seeds = range(seed, seed + elections)
    return [
        partial(
            try_election,
            preset,
            seed=each,
            constituencies=constituencies,
            is_inside=each < seed + INSIDE,
        )
        for each in seeds
        for preset in PRESETS
    ] + [partial(try_variant, name, seed=each) for each in seeds for name in VARIANTS]


def run(wanted: Sequence[Job], *, on_done: Callable[[], object]) -> Report:
    """Run the jobs and return what they have shown, in the order of the jobs."""
    workers = min(os.cpu_count() or 1, len(wanted))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(job) for job in wanted]
        for _ in as_completed(futures):
            on_done()
        return Report([future.result() for future in futures])
