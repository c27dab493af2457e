"""From a commit to all who listen: how late the slowest hundredth of the events is."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from socket import socket
from typing import Any
from unittest.mock import patch

import numpy as np
import orjson

from benchmarks import databases
from benchmarks.measure import Figure, at_most
from benchmarks.progress import say
from benchmarks.rows import make_places
from benchmarks.sizes import Sizes
from benchmarks.updates import environment_of_database, loading, worker
from dashboard.tickets import Ticket, issue
from metrics import events

CONSTITUENCIES = 5_000
# Commits of one window, of which one figure is made.
WINDOW_SECONDS = 5.0
BUDGET_SECONDS = 1.0
START_SECONDS = 60.0
# What was published last is still on its way.
TAIL_SECONDS = 3.0
# As `make run` starts it.
LIVE = (
    *("uvicorn", "election_monitor.asgi:application", "--no-access-log"),
    *("--lifespan", "off", "--timeout-graceful-shutdown", "5"),
)

# When an event was published, by constituency and version.
Published = dict[tuple[str, int], float]


def run(sizes: Sizes, *, pristine: str) -> Iterator[Figure]:
    with databases.temporary("bench_live", template=pristine):
        rng = np.random.default_rng(8)
        places = make_places("live", CONSTITUENCIES)
        name = f"commit → {sizes.listeners:,} listeners, p99 while loading"
        figure = Figure("live", name, f"{BUDGET_SECONDS:.0f} s", "s", at_most(1))
        with _live_process() as port, worker(), _published() as published:
            listening = _listen(port, sizes)
            with loading(rng, places):
                time.sleep(sizes.pairs * WINDOW_SECONDS)
            told = orjson.loads(listening.communicate()[0])
        for late in _windows(published, told, sizes):
            p50, p99 = np.percentile(late, [50, 99])
            say(
                f"{name}: {late.size:,} of events and listeners, p50 {p50:.3f} s, p99 {p99:.3f} s"
            )
            figure.add(float(p99), BUDGET_SECONDS)
        yield figure


@contextmanager
def _published() -> Iterator[Published]:
    """Take down when this process publishes what, which is right after the commit."""
    times: Published = {}
    publish = events.publish

    def publish_and_note(told: Sequence[events.Event]) -> None:
        now = time.monotonic()
        for each in told:
            if "constituency" in each.content:
                times[each.content["constituency"], each.content["version"]] = now
        publish(told)

    with patch.object(events, "publish", publish_and_note):
        yield times


def _listen(port: int, sizes: Sizes) -> "subprocess.Popen[bytes]":
    """Start the listeners, in a process of their own, and wait until all of them hear."""
    ticket = issue(Ticket("live", sees_constituencies=True))
    path = f"/live/elections/live/?ticket={ticket}"
    seconds = sizes.pairs * WINDOW_SECONDS + TAIL_SECONDS
    words = (str(port), path, str(sizes.listeners), str(seconds))
    process = subprocess.Popen(
        (sys.executable, "-m", "benchmarks.listeners", *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    if b"listening" not in process.stderr.readline():
        raise RuntimeError(process.communicate()[1].decode())
    return process


def _windows(
    published: Published, told: dict[str, Any], sizes: Sizes
) -> Iterator[np.ndarray]:
    """Yield the seconds from commit to listener, all events times all listeners each."""
    arrivals = np.array(told["arrivals"])
    frame_of = _frames(published, told["frames"])
    found = sorted((published[key], frame) for key, frame in frame_of.items())
    say(f"{len(published):,} events, {len(found):,} told, in {len(arrivals):,} frames")
    at, frames = (np.array(column) for column in zip(*found, strict=True))
    window = ((at - at[0]) // WINDOW_SECONDS).astype(int)
    for number in range(sizes.pairs):
        chosen = window == number
        if chosen.any():
            yield arrivals[frames[chosen]] - at[chosen][:, None]


def _frames(
    published: Published, frames: list[list[tuple[str, int]]]
) -> dict[tuple[str, int], int]:
    """Return the first frame that told each event, or a newer one of its subject."""
    waiting: dict[str, list[int]] = {}
    for subject, version in sorted(published):
        waiting.setdefault(subject, []).append(version)
    found = {}
    for number, rows in enumerate(frames):
        for subject, version in rows:
            left = waiting.get(subject, [])
            while left and left[0] <= version:
                found[subject, left.pop(0)] = number
    return found


@contextmanager
def _live_process() -> Iterator[int]:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(
        (sys.executable, "-m", *LIVE, "--port", str(port)),
        env=environment_of_database(),
    )
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live/").close()
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("The live process does not start.")
