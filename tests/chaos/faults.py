"""What can break. Each fault is a function that says what it did, None where it could not."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import LiteralString

import psycopg
import redis as redis_client

from tests.chaos.services import LEASE_SECONDS, Program, Stage

# How far clocks are off: less than the margin by which minutes are kept for longer.
FARTHEST_SECONDS = 3_000
# The next sweep finds what is asked for.
BUSY_SECONDS = 8.0
MESSAGES = [
    "metrics.process_updates",
    "metrics.process_updates",
    "metrics.refresh_active_elections",
    "metrics.watch_feeds",
    "metrics.prune",
    "metrics.verify_sample",
    "transactions.resume_uploads",
]
# As if the clock had run back, or been wrong before: rows of the queue from another time.
SHIFT_QUEUE = """
    UPDATE metrics_metricsupdate
    SET requested_at = requested_at + %(shift)s * interval '1 second',
        available_at = available_at + %(shift)s * interval '1 second',
        locked_at = locked_at + %(shift)s * interval '1 second'
    WHERE status IN ('pending', 'processing', 'failed') AND random() < 0.7
"""
ASK_FOR_ALL = """
    INSERT INTO metrics_metricsupdate AS pending (
        scope, trigger, priority, hours, requests,
        status, attempts, requested_at, available_at, error
    )
    SELECT 'constituency:' || id, 'manual', 0, '{}', 1, 'pending', 0, now(), now(), ''
    FROM elections_constituency
    ON CONFLICT (scope) WHERE status = 'pending' DO UPDATE SET
        priority = 0, trigger = 'manual', available_at = now()
"""
HALF_LOADED = (
    "SELECT count(*) FROM transactions_importbatch WHERE status = 'running' "
    "AND kind <> 'upload' AND started_at > now() - interval '2 seconds'"
)
# Of those that no other update asks for again.
IN_HAND = (
    "SELECT count(*) FROM metrics_metricsupdate "
    "WHERE status = 'processing' AND scope LIKE 'constituency:%'"
)
END_SESSIONS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
SESSIONS = """
    SELECT pid FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""

Fault = Callable[[Stage], str | None]


def kill_loader(stage: Stage) -> str | None:
    return _kill(stage, "loader")


def kill_worker(stage: Stage) -> str | None:
    return _kill(stage, "worker")


def kill_beat(stage: Stage) -> str | None:
    return _kill(stage, "beat")


def kill_worker_child(stage: Stage) -> str | None:
    for worker in _shuffled(stage, stage.of_kind("worker")):
        if children := worker.children():
            child = stage.rng.choice(children)
            child.kill()
            return f"SIGKILL to process {child.pid} of {worker.name}"
    return None


def kill_busy_loaders(stage: Stage) -> str | None:
    """Kill all loaders while one of them has loaded half a file."""
    return _kill_busy(stage, "loader", HALF_LOADED, "files half loaded")


def kill_busy_workers(stage: Stage) -> str | None:
    """Ask for a refresh of everything, and kill all workers while they are at it."""
    with stage.database() as connection:
        connection.execute(ASK_FOR_ALL)
    return _kill_busy(stage, "worker", IN_HAND, "updates in hand")


def freeze_worker(stage: Stage) -> str | None:
    """Stop a worker for longer than its lease: another one has its updates then."""
    return _freeze(stage, "worker", stage.rng.uniform(1, 3) + LEASE_SECONDS)


def freeze_loader(stage: Stage) -> str | None:
    """Stop a loader, perhaps while it holds locks."""
    return _freeze(stage, "loader", stage.rng.uniform(1, 4))


def crash_postgres(stage: Stage) -> str | None:
    return _crash(stage, "postgres", stage.rng.uniform(0, 3))


def crash_session(stage: Stage) -> str | None:
    """Kill a session's process: PostgreSQL ends all others and recovers."""
    with stage.database() as connection:
        pids = [pid for (pid,) in connection.execute(SESSIONS)]
        if not pids:
            return None
        os.kill(stage.rng.choice(pids), signal.SIGKILL)
        return "SIGKILL to a session of PostgreSQL"


def end_sessions(stage: Stage) -> str | None:
    with stage.database() as connection:
        [(count,)] = connection.execute(END_SESSIONS)
        return f"{count} sessions ended"


def crash_redis(stage: Stage) -> str | None:
    return _crash(stage, "redis", stage.rng.uniform(0, 4))


def flush_redis(stage: Stage) -> str | None:
    stage.redis().flushall()
    return "FLUSHALL"


def freeze_redis(stage: Stage) -> str | None:
    pid = stage.service_pid("redis")
    if pid is None:
        return None
    seconds = stage.rng.uniform(1, 5)
    os.kill(pid, signal.SIGSTOP)
    stage.later(seconds, partial(_continue, pid))
    return f"Redis stopped for {seconds:.1f} s"


def repeat_messages(stage: Stage) -> str | None:
    """Send what beats and loaders send, many times."""
    from celery import current_app

    sent = [stage.rng.choice(MESSAGES) for _ in range(40)]
    for name in sent:
        current_app.send_task(name, retry=False)
    return f"{len(sent)} messages"


def deliver_all_again(stage: Stage) -> str | None:
    """Import everything that is published, beside the loaders; perhaps not to the end."""
    if stage.of_kind("again"):
        return None
    published = str(stage.world / "published")
    words = ("manage", "import_transactions", published, "--workers", "2")
    stage.add("again", *words, is_single_run=True)
    if is_cut := stage.rng.random() < 0.5:
        program = stage.programs[-1]
        stage.later(stage.rng.uniform(2, 6), partial(program.signal, signal.SIGKILL))
    return "all files again" + (", killed half-way" if is_cut else "")


def step_clock(stage: Stage) -> str | None:
    """Set a program's clock, that of the database, or all forward or back, and right again."""
    clocks = {program.name: program.set_clock for program in stage.programs}
    clocks["the database"] = stage.set_database_clock
    if stage.rng.random() < 0.7:
        name = stage.rng.choice([*clocks, "the database"])
        clocks = {name: clocks[name]}
    seconds = stage.rng.choice([-1, 1]) * stage.rng.uniform(2, FARTHEST_SECONDS)
    for set_clock in clocks.values():
        set_clock(seconds)
        stage.later(stage.rng.uniform(2, 12), partial(set_clock, 0))
    names = next(iter(clocks)) if len(clocks) == 1 else "all"
    return f"clock of {names} off by {seconds:+.0f} s"


def shift_queue(stage: Stage) -> str | None:
    shift = stage.rng.choice([-1, 1]) * stage.rng.uniform(2, FARTHEST_SECONDS)
    with stage.database() as connection:
        count = connection.execute(SHIFT_QUEUE, {"shift": shift}).rowcount
    return f"{count} updates in the queue dated {shift:+.0f} s" if count else None


WEIGHTS: dict[Fault, int] = {
    kill_loader: 3,
    kill_busy_loaders: 2,
    kill_worker: 2,
    kill_worker_child: 2,
    kill_busy_workers: 2,
    kill_beat: 1,
    freeze_worker: 2,
    freeze_loader: 2,
    crash_postgres: 2,
    crash_session: 1,
    end_sessions: 2,
    crash_redis: 2,
    flush_redis: 2,
    freeze_redis: 1,
    repeat_messages: 1,
    deliver_all_again: 2,
    step_clock: 3,
    shift_queue: 2,
}
# What a fault runs into where an earlier one still lasts.
CANNOT = (psycopg.OperationalError, redis_client.RedisError, OSError, ConnectionError)


def endless(rng: random.Random) -> Iterator[Fault]:
    """Yield faults in random order; the first ones are one of each kind."""
    weights = dict.fromkeys(WEIGHTS, 1)
    while True:
        deck = [fault for fault, weight in weights.items() for _ in range(weight)]
        rng.shuffle(deck)
        yield from deck
        weights = WEIGHTS


def strike(fault: Fault, stage: Stage) -> str | None:
    """Let the fault happen; return what it did, None where it could not."""
    from kombu.exceptions import OperationalError

    try:
        return fault(stage)
    except (*CANNOT, OperationalError):
        return None


def _shuffled(stage: Stage, programs: list[Program]) -> list[Program]:
    return stage.rng.sample(programs, len(programs))


def _kill(stage: Stage, kind: str) -> str | None:
    for program in _shuffled(stage, stage.of_kind(kind))[:1]:
        program.kill_one()
        return f"SIGKILL to {program.name}"
    return None


def _kill_busy(
    stage: Stage, kind: str, question: LiteralString, what: str
) -> str | None:
    """Kill all programs of a kind as soon as the answer to a question is not zero."""
    until = time.monotonic() + BUSY_SECONDS
    with stage.database() as connection:
        while time.monotonic() < until:
            [(count,)] = connection.execute(question)
            if count and (programs := stage.of_kind(kind)):
                for program in programs:
                    program.signal(signal.SIGKILL)
                return f"SIGKILL to all {kind}s, {count} {what}"
            time.sleep(0.001)
    return None


def _freeze(stage: Stage, kind: str, seconds: float) -> str | None:
    for program in _shuffled(stage, stage.of_kind(kind))[:1]:
        program.signal(signal.SIGSTOP)
        stage.later(seconds, partial(program.signal, signal.SIGCONT))
        return f"{program.name} stopped for {seconds:.1f} s"
    return None


def _crash(stage: Stage, service: str, seconds: float) -> str | None:
    pid = stage.service_pid(service)
    if pid is None:
        return None
    os.kill(pid, signal.SIGKILL)
    stage.later(seconds, partial(stage.start_services, service))
    return f"SIGKILL to {service}, started again after {seconds:.1f} s"


def _continue(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
