"""Keep programs running until told to stop.

Looked at first: supervisor (warns when run by root, needs a configuration file, leaves
its children behind when killed), circus (a message queue and a second event loop),
honcho (ends everything when one program ends, restarts nothing). None of them ends its
programs when it is killed itself.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

logger = structlog.get_logger(__name__)

LEASH = Path(__file__).with_name("leash.py")
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.5, 30.0
STEADY_SECONDS = 60.0  # a program that ran so long starts again without delay
STOP_SECONDS = 8.0  # then by force: all of it ends within about 10 s
WATCH_SECONDS = 2.0
HEARTBEAT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Program:
    """A command that has to run; one that `may_finish` is done when it exits with 0."""

    name: str
    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    may_finish: bool = False


class Supervisor:
    """Runs programs, and runs again what ends, until `stop` is called.

    `revive` is called every two seconds in a thread and starts what does not run of the
    services that are no children.
    """

    def __init__(
        self, programs: Sequence[Program], *, revive: Callable[[], None]
    ) -> None:
        self._programs = programs
        self._revive = revive
        self._stopping = asyncio.Event()
        self._running: set[str] = set()

    def stop(self) -> None:
        """Make `run` end the programs and return."""
        self._stopping.set()

    async def run(self) -> None:
        """Keep everything running; returns when all of it has ended."""
        async with asyncio.TaskGroup() as tasks:
            for program in self._programs:
                tasks.create_task(self._keep(program))
            tasks.create_task(self._keep_services())
            tasks.create_task(self._tell())

    async def stopped_within(self, seconds: float) -> bool:
        """Wait, and return early and true once the stop has been ordered."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _keep(self, program: Program) -> None:
        failures = 0
        while not self._stopping.is_set():
            started_at = time.monotonic()
            process = await _launch(program)
            self._running.add(program.name)
            status = await self._ended(process)
            self._running.discard(program.name)
            if self._stopping.is_set() or (program.may_finish and status == 0):
                return
            if time.monotonic() - started_at > STEADY_SECONDS:
                failures = 0
            delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2**failures)
            failures += 1
            logger.warning(
                "Program ended, starting it again",
                program=program.name,
                status=status,
                delay_seconds=delay,
            )
            await self.stopped_within(delay)

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """Wait until `process` ends, or end it when told to stop; return its status."""
        waiting = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not waiting.done():
            _send(process, signal.SIGTERM)
            await asyncio.wait({waiting}, timeout=STOP_SECONDS)
        # Also when it ended by itself: what it left behind would hold its port.
        _send_group(process, signal.SIGKILL)
        return await waiting

    async def _keep_services(self) -> None:
        while not await self.stopped_within(WATCH_SECONDS):
            await asyncio.to_thread(self._revive)

    async def _tell(self) -> None:
        """Log one line a minute, so that silence means that nothing runs."""
        while not await self.stopped_within(HEARTBEAT_SECONDS):
            logger.info("Running", programs=sorted(self._running))


def leashed(words: Sequence[str]) -> list[str]:
    """Return the command that runs `words` no longer than this process lives."""
    return [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), *words]


async def _launch(program: Program) -> asyncio.subprocess.Process:
    """Start a program in a session of its own: Ctrl-C is for the supervisor alone."""
    return await asyncio.create_subprocess_exec(
        *leashed(program.words),
        stdin=asyncio.subprocess.DEVNULL,
        env=os.environ | program.environment,
        start_new_session=True,
    )


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)


def _send_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
