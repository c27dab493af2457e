"""Jobs beside a test, each in a session of its own, and what befalls sessions."""

import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

from django.db import connection, connections

DEADLINE_SECONDS = 60
Answer = TypeVar("Answer")


def beside(job: Callable[[], Answer]) -> Future[Answer]:
    """Begin a job; its answer, or what it raised, is that of the future."""

    def run() -> Answer:
        try:
            return job()
        finally:
            connections.close_all()

    pool = ThreadPoolExecutor(1)
    future = pool.submit(run)
    pool.shutdown(wait=False)
    return future


def elsewhere(job: Callable[[], Answer]) -> Answer:
    """Return what another session answers."""
    return beside(job).result(DEADLINE_SECONDS)


def at_once(*jobs: Callable[[], Answer]) -> list[Answer]:
    """Let jobs start together; return their answers, or raise what the first one raised.

    All have ended then.
    """
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], Answer]) -> Answer:
        start.wait(DEADLINE_SECONDS)
        return job()

    begun = [beside(partial(run, job)) for job in jobs]
    wait(begun, DEADLINE_SECONDS)
    return [job.result(DEADLINE_SECONDS) for job in begun]


def wait_until(is_true: Callable[[], Answer], what: str) -> Answer:
    """Wait for a condition; return what it returned.

    Raises:
        AssertionError: it did not come true in time.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := is_true()):
        assert time.monotonic() < deadline, f"Never came true: {what}"
        time.sleep(0.02)
    return found


def waiting_sessions() -> set[int]:
    """Return the sessions that wait for a lock of this one.

    Not from pg_stat_activity, which stands still inside a transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT pid FROM pg_locks WHERE NOT granted "
            "AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        )
        return {pid for (pid,) in cursor}


def wait_until_somebody_waits() -> set[int]:
    """Wait until other sessions wait for a lock of this one; return them."""
    return wait_until(waiting_sessions, "somebody waits for a lock of this session")


def stand_still() -> None:
    """Do nothing in an open transaction until the server ends the session."""
    raw = connection.connection
    raw.execute("SET idle_in_transaction_session_timeout = 1")
    assert select.select([raw.fileno()], [], [], DEADLINE_SECONDS)[0]
