"""The update queue: what it costs a loader, how fast it is worked off, how soon."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from django.conf import settings
from django.db import connection, connections, transaction

from benchmarks import databases
from benchmarks.measure import Figure, at_least, at_most, seconds
from benchmarks.progress import say
from benchmarks.rows import make_chunk, make_places
from benchmarks.sizes import Sizes
from elections.clock import database_now
from elections.locks import Lock
from elections.models import Constituency
from metrics.models import MetricsUpdate, UpdateStatus, UpdateTrigger
from metrics.services import MetricsUpdateService, Request
from transactions.loader import Chunk, Loader, Place

CONSTITUENCIES = 5_000
# A chunk of many hour files touches many constituencies: the dear case.
HOUR_FILES: Any = {"part_rows": 70, "hours": 1}
# 1,000 constituencies are refreshed in less than this.
REFRESH_SECONDS = 5.0
# At rest half of the commits are refreshed sooner than this.
AT_REST_MS, WHILE_LOADING_MS = 500.0, 1_000.0
SAMPLES = 40
NOBODY_WAITS_LONGER_SECONDS = 30.0
# As `make run` starts it.
WORKER = ("--queues", "updates", "--concurrency", "3", "--without-gossip")


def run(sizes: Sizes, *, pristine: str) -> Iterator[Figure]:
    with databases.temporary("bench_updates", template=pristine):
        rng = np.random.default_rng(6)
        places = make_places("updates", CONSTITUENCIES)
        yield _cost(sizes, rng, places)
        yield _refresh_of_all(sizes)
        with worker():
            yield _latency("at rest", AT_REST_MS, rng, places)
            with loading(rng, places):
                yield _latency("while loading", WHILE_LOADING_MS, rng, places)


def _cost(sizes: Sizes, rng: np.random.Generator, places: Sequence[Place]) -> Figure:
    figure = Figure(
        "updates", "load with update queue", "without", "rows/s", at_least(0.95)
    )
    loader = Loader()
    chunk = partial(make_chunk, rng, places, rows=settings.CHUNK_ROWS, **HOUR_FILES)
    for number in range(sizes.pairs + 1):
        with_queue, without = [chunk(), chunk()], [chunk(), chunk()]
        rate = _rate(loader, with_queue)
        with _no_queue():
            limit = _rate(loader, without)
        say(f"update queue {number}: {rate:,.0f} of {limit:,.0f} rows/s")
        if number:
            figure.add(rate, limit)
    return figure


def _refresh_of_all(sizes: Sizes) -> Figure:
    figure = Figure(
        "updates", "refresh of 1,000 constituencies", "5 s", "s", at_most(1)
    )
    for number in range(sizes.pairs + 1):
        MetricsUpdate.objects.all().delete()
        _ask_for_all()
        with _long_updates_elsewhere():
            taken = seconds(_work_off)
        say(f"refresh of {CONSTITUENCIES:,} {number}: {taken:.1f} s")
        if number:
            figure.add(taken * 1_000 / CONSTITUENCIES, REFRESH_SECONDS)
    return figure


def _latency(
    when: str, budget_ms: float, rng: np.random.Generator, places: Sequence[Place]
) -> Figure:
    """Measure how soon a constituency is refreshed; the spread is in the line."""
    name = f"load of a row → refreshed, {when}"
    figure = Figure("updates", name, f"{budget_ms:.0f} ms", "ms", at_most(1))
    taken = []
    for number in range(SAMPLES + 1):
        place = places[int(rng.integers(len(places)))]
        ms = _seconds_to_refresh(rng, place) * 1_000
        # The first one may wait until the worker has started.
        if number:
            taken.append(ms)
            figure.add(ms, budget_ms)
        time.sleep(0.2)
    p50, p99 = np.percentile(taken, [50, 99])
    say(f"{name}: p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    return figure


def _seconds_to_refresh(rng: np.random.Generator, place: Place) -> float:
    """Return the seconds from before the load of one row to its finished refresh.

    From before, since a refresh may be over before the loader's thread has its turn.
    """
    chunk = make_chunk(rng, [place], rows=1, part_rows=1)
    started = time.monotonic()
    Loader().load(chunk)
    waiting = MetricsUpdate.objects.filter(
        scope=f"constituency:{place.constituency_id}"
    ).exclude(status=UpdateStatus.DONE)
    while waiting.exists():
        if time.monotonic() - started > NOBODY_WAITS_LONGER_SECONDS:
            raise RuntimeError("The worker does not refresh what was committed.")
        time.sleep(0.005)
    return time.monotonic() - started


def _rate(loader: Loader, chunks: Sequence[Chunk]) -> float:
    taken = seconds(lambda: [loader.load(chunk) for chunk in chunks])
    return len(chunks) * settings.CHUNK_ROWS / taken


@contextmanager
def _no_queue() -> Iterator[None]:
    """Let loaders ask for no updates: the limit is what that costs."""
    real = MetricsUpdateService.enqueue_changes
    MetricsUpdateService.enqueue_changes = (  # type: ignore[method-assign]
        lambda self, deltas, *, now: None
    )
    try:
        yield
    finally:
        MetricsUpdateService.enqueue_changes = real  # type: ignore[method-assign]


def _ask_for_all() -> None:
    ids = Constituency.objects.order_by("id").values_list("id", flat=True)
    with transaction.atomic():
        MetricsUpdateService().enqueue(
            [Request(f"constituency:{pk}") for pk in ids],
            trigger=UpdateTrigger.SCHEDULED,
            now=database_now(),
        )


def _work_off() -> None:
    service = MetricsUpdateService()
    undone = MetricsUpdate.objects.filter(scope__startswith="constituency:").exclude(
        status=UpdateStatus.DONE
    )
    while undone.exists():
        if failed := service.process(limit=CONSTITUENCIES, clock=database_now).failed:
            raise RuntimeError(f"Not refreshed: {failed[:3]}")


@contextmanager
def _long_updates_elsewhere() -> Iterator[None]:
    """Have an evaluation put off, as if another process of the worker were at one."""
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, 0)", [int(Lock.LONG_UPDATE)])
            yield
    finally:
        other.close()


@contextmanager
def worker() -> Iterator[None]:
    """Run a real worker on the database of this benchmark."""
    environment = environment_of_database()
    words = (sys.executable, "-m", "celery", "--app", "election_monitor", "--quiet")
    process = subprocess.Popen((*words, "worker", *WORKER), env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def environment_of_database() -> dict[str, str]:
    """Return what makes another process use the database of this benchmark."""
    parameters = connection.get_connection_params()
    address = "postgresql://{user}@/{dbname}?host={host}".format(**parameters)
    return os.environ | {"DATABASE_URL": address, "SECRET_KEY": settings.SECRET_KEY}


@contextmanager
def loading(rng: np.random.Generator, places: Sequence[Place]) -> Iterator[None]:
    """Load as fast as this machine can, in a thread with a connection of its own."""
    stopping = threading.Event()
    own = np.random.default_rng(7)
    thread = threading.Thread(target=_load_until, args=(stopping.is_set, own, places))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def _load_until(
    is_stopped: Callable[[], bool], rng: np.random.Generator, places: Sequence[Place]
) -> None:
    loader, rows, started = Loader(), 0, time.monotonic()
    try:
        while not is_stopped():
            loader.load(make_chunk(rng, places, rows=2_000, **HOUR_FILES))
            rows += 2_000
    finally:
        connections.close_all()
    say(f"meanwhile {rows / (time.monotonic() - started):,.0f} rows/s were loaded")
