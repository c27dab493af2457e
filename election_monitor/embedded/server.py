"""One embedded server: found, started, waited for and ended the same way."""

import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from election_monitor.embedded import processes
from election_monitor.embedded.accounts import Account
from election_monitor.embedded.errors import EmbeddedServiceError
from election_monitor.embedded.layout import Layout

LAUNCHER = Path(__file__).with_name("launcher.py")
LOG_BYTES = 5_000_000  # of one log at a start; its older part is kept once more
LOG_TAIL_LINES = 15
ANSWER_SECONDS = 2.0
GRACE_SECONDS = 10.0  # for a server that runs but does not answer yet


class Server(ABC):
    """A server with a data directory, a Unix socket, a pid file and a log."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    start_seconds: ClassVar[float]
    stop_seconds: ClassVar[float]

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    @property
    @abstractmethod
    def data(self) -> Path: ...

    @property
    @abstractmethod
    def socket_path(self) -> Path: ...

    @property
    @abstractmethod
    def pid_file(self) -> Path: ...

    @property
    def log(self) -> Path:
        return self.layout.logs / f"{self.name.lower()}.log"

    @abstractmethod
    def program(self) -> Path:
        """Return the server's program, or raise EmbeddedServiceError."""

    @abstractmethod
    def answers(self) -> bool:
        """Return whether the server is ready for clients."""

    @abstractmethod
    def command(self, *, throw_away: bool) -> list[str]:
        """Return the command that runs the server in the foreground."""

    @abstractmethod
    def prepare(self, account: Account, *, throw_away: bool, lock: int) -> None:
        """Make the data ready; children that write it inherit the file `lock`."""

    @abstractmethod
    def complete(self) -> None:
        """Finish what needs the running server; safe to repeat."""

    @abstractmethod
    def stale_files(self) -> Iterator[Path]:
        """Yield what a killed server leaves behind and its successor trips over."""

    @abstractmethod
    def is_ours(self, command_line: list[str]) -> bool:
        """Return whether a process with these words serves this very VAR_DIR."""

    def processes(self) -> set[int]:
        """Return the ids of the server and its children."""
        return processes.matching(self.is_ours)

    def pid(self) -> int | None:
        """Return the id of the server's main process, or None if it does not run."""
        try:
            number = int(self.pid_file.read_text(encoding="ascii").split()[0])
        except (FileNotFoundError, PermissionError, ValueError, IndexError):
            return None
        return number if number in self.processes() else None

    def start(self, account: Account, *, throw_away: bool, lock: int) -> bool:
        """Start the server unless it answers; return whether it was started.

        Raises:
            EmbeddedServiceError: it ended, or did not get ready in time.
        """
        if self._runs():
            self.complete()
            return False
        # Hung, or orphans of a killed parent: nothing may still write the data.
        self.stop()
        self.prepare(account, throw_away=throw_away, lock=lock)
        pid = self._launch(account, throw_away=throw_away)
        self._wait_until_ready(pid)
        self.complete()
        return True

    def stop(self) -> None:
        """End the server and its children, by force after a deadline.

        Raises:
            EmbeddedServiceError: a process survives even that, or runs out of sight.
        """
        pid = self.pid()
        if not self.processes() and self.answers():
            raise EmbeddedServiceError(
                f"{self.name} answers at {self.socket_path}, but from another container "
                "or namespace: stop it there."
            )
        if pid is not None:
            processes.send([pid], self.stop_signal)
        seconds = self.stop_seconds if pid is not None else ANSWER_SECONDS
        if not processes.wait_until(self._is_gone, seconds=seconds):
            processes.send(self.processes(), signal.SIGKILL)
        if not processes.wait_until(self._is_gone, seconds=GRACE_SECONDS):
            raise self.failure(f"{self.name} cannot be stopped: {self.processes()}")
        for path in self.stale_files():
            path.unlink(missing_ok=True)

    def run(self, account: Account, command: Sequence[str], *, lock: int) -> None:
        """Run a helper of the server as `account` until it ends.

        Raises:
            EmbeddedServiceError: it failed.
        """
        with self._open_log() as log:
            status = subprocess.run(  # noqa: S603 our own program and words
                self._launch_words(account, "stay", command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(),
                cwd="/",
                pass_fds=[lock],
                check=False,
            ).returncode
        if status:
            raise self.failure(f"{Path(command[0]).name} failed with status {status}")

    def ask(self, question: bytes, *, size: int) -> bytes:
        """Return up to `size` bytes the server says to `question`; none if it is mute."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            try:
                connection.connect(str(self.socket_path))
                connection.sendall(question)
                return connection.recv(size)
            except OSError:
                return b""

    def failure(self, sentence: str) -> EmbeddedServiceError:
        """Return an error that ends with the tail of the server's log."""
        lines: list[str] = []
        if self.log.exists():
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        tail = "\n".join(f"    {line}" for line in lines[-LOG_TAIL_LINES:])
        return EmbeddedServiceError(f"{sentence}. The end of {self.log}:\n{tail}")

    def _runs(self) -> bool:
        if self.pid() is None:
            return self.answers()
        return processes.wait_until(self.answers, seconds=GRACE_SECONDS)

    def _is_gone(self) -> bool:
        return not self.processes()

    def _launch(self, account: Account, *, throw_away: bool) -> int:
        command = self.command(throw_away=throw_away)
        with self._open_log() as log:
            launched = subprocess.run(  # noqa: S603 our own program and words
                self._launch_words(account, "detach", command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
                cwd="/",
                check=False,
                text=True,
            )
        if launched.returncode:
            raise self.failure(f"{self.name} could not be launched")
        return int(launched.stdout)

    def _launch_words(
        self, account: Account, manner: str, command: Sequence[str]
    ) -> list[str]:
        python = [sys.executable, "-I", "-S", str(LAUNCHER)]
        return [*python, *account.launch_words(), manner, *command]

    def _wait_until_ready(self, pid: int) -> None:
        processes.wait_until(
            lambda: self.answers() or not processes.is_alive(pid),
            seconds=self.start_seconds,
        )
        if not processes.is_alive(pid):
            raise self.failure(f"{self.name} ended while starting")
        if not self.answers():
            raise self.failure(
                f"{self.name} is not ready after {self.start_seconds:.0f} s"
            )

    @contextmanager
    def _open_log(self) -> Iterator[int]:
        """Open the log to append to it, having moved a long one aside."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            yield log.fileno()


def environment() -> dict[str, str]:
    """Return a fixed environment: PGPORT and its kin change what a server does."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
