"""PostgreSQL and Redis below VAR_DIR, for whoever gives no URL of their own.

    VAR_DIR/embedded/postgres, redis    data
    VAR_DIR/embedded/socket             sockets, or /tmp/election-monitor-… if too long
    VAR_DIR/log/postgresql.log, redis.log

The servers outlive the process that starts them. Linux only: processes are recognised
by what /proc says about them.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from election_monitor.embedded import accounts
from election_monitor.embedded.errors import EmbeddedServiceError
from election_monitor.embedded.layout import Layout
from election_monitor.embedded.postgres import DATABASE, USER, Postgres
from election_monitor.embedded.redis import Redis
from election_monitor.embedded.server import Server

__all__ = [
    "EmbeddedServiceError",
    "ServiceStatus",
    "Status",
    "database_url",
    "redis_socket",
    "redis_url",
    "start",
    "status",
    "stop",
]


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One server: whether it answers, and its main process, if that is visible."""

    is_running: bool
    pid: int | None
    socket: Path
    log: Path


@dataclass(frozen=True, slots=True)
class Status:
    """The servers of one VAR_DIR."""

    postgres: ServiceStatus
    redis: ServiceStatus


def database_url(var_dir: Path) -> str:
    """Return the URL of the embedded database, whether it runs or not.

    libpq and django-environ both read it; the latter puts `host` into OPTIONS.
    """
    sockets = Layout.of(var_dir).sockets
    return f"postgresql://{USER}@/{DATABASE}?host={sockets}"


def redis_url(var_dir: Path) -> str:
    """Return the URL of database 0 of the embedded Redis, whether it runs or not."""
    return f"unix://{redis_socket(var_dir)}?db=0"


def redis_socket(var_dir: Path) -> Path:
    """Return the socket of the embedded Redis, whether it runs or not."""
    return Layout.of(var_dir).redis_socket


def start(
    var_dir: Path,
    *,
    postgres: bool = True,
    redis: bool = True,
    throw_away: bool = False,
) -> bool:
    """Start what does not run yet, wait until it is ready, return whether any was started.

    `throw_away` gives up durability for speed; a server that already runs keeps the
    settings it was started with.

    Raises:
        EmbeddedServiceError: a server did not start; the message says what to do.
    """
    layout = Layout.of(var_dir)
    wanted = [
        kind for kind, is_wanted in ((Postgres, postgres), (Redis, redis)) if is_wanted
    ]
    servers: list[Server] = [kind(layout) for kind in wanted]
    with _readable_errors(var_dir):
        account = accounts.prepare(layout, [server.program() for server in servers])
        with _locked(layout) as lock:
            started = [
                server.start(account, throw_away=throw_away, lock=lock)
                for server in servers
            ]
    return any(started)


def stop(var_dir: Path) -> None:
    """Stop both servers cleanly, by force where that takes too long.

    Raises:
        EmbeddedServiceError: a server cannot be stopped.
    """
    layout = Layout.of(var_dir)
    if not layout.home.exists():
        return
    with _readable_errors(var_dir), _locked(layout):
        Redis(layout).stop()
        Postgres(layout).stop()


def status(var_dir: Path) -> Status:
    """Return which servers of `var_dir` answer."""
    layout = Layout.of(var_dir)
    return Status(
        postgres=_status_of(Postgres(layout)), redis=_status_of(Redis(layout))
    )


def _status_of(server: Server) -> ServiceStatus:
    return ServiceStatus(
        is_running=server.answers(),
        pid=server.pid(),
        socket=server.socket_path,
        log=server.log,
    )


@contextmanager
def _locked(layout: Layout) -> Iterator[int]:
    """Hold the lock of this VAR_DIR: one process starts or stops at a time."""
    lock = os.open(layout.lock, os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


@contextmanager
def _readable_errors(var_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EmbeddedServiceError(
            f"The embedded services cannot use {var_dir}: {error}. Make it writable for "
            "this account, set VAR_DIR to another directory, or set DATABASE_URL and "
            "REDIS_URL."
        ) from error
