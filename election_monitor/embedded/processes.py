"""Find and end processes by what they are; a number in a file proves nothing.

A pid file outlives its server, and its number may by then belong to somebody else.
"""

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

POLL_SECONDS = 0.02
SELF = Path("/proc/self")
DEAD_STATES = {"Z", "X", "x"}


def matching(is_ours: Callable[[list[str]], bool]) -> set[int]:
    """Return the ids of processes whose command line satisfies `is_ours`.

    By the command line, not by program or working directory: root in a container often
    lacks the capability to see those of another account. Zombies have none. Processes
    of other mount namespaces (a container whose paths look the same) do not count where
    that can be seen, nor do those of other accounts unless root asks.
    """
    return {
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _is_near(entry) and is_ours(_command_line(entry))
    }


def is_alive(pid: int) -> bool:
    """Return whether process `pid` exists and is no zombie.

    Not by its command line: that is empty for a moment while a program is being replaced
    by another, or gives itself a title.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    # The state follows the name, which is in brackets and may hold any.
    return status.rpartition(")")[2].split()[0] not in DEAD_STATES


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to processes of which some may just have ended."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    """Return whether `condition` came true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _is_near(process: Path) -> bool:
    try:
        owner = process.stat().st_uid
    except FileNotFoundError:
        return False
    namespace = _namespace(process)
    return os.geteuid() in {0, owner} and namespace in {None, _namespace(SELF)}


def _command_line(process: Path) -> list[str]:
    """Return the words of a command line, one empty word for a zombie or nobody."""
    try:
        words = (process / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        words = b""
    return os.fsdecode(words.rstrip(b"\0")).split("\0")


def _namespace(process: Path) -> str | None:
    """Return the mount namespace of a process, or None where that is hidden."""
    try:
        return str((process / "ns/mnt").readlink())
    except OSError:
        return None
