"""One run: publish and break, come to rest, count."""

import argparse
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from celery import current_app
from django.db import Error, connection

from elections.database import is_away
from tests.chaos import faults
from tests.chaos.services import ROOT, Stage, add_programs, say
from tests.chaos.verdict import (
    Wrong,
    differences,
    is_hopeless,
    queue_as_text,
    undone,
    unexplained,
    wrong_alerts,
    wrong_batches,
)
from tests.chaos.world import LONG, SHORT, World
from transactions.services import load_rows

# Few faults: a short election, with what comes to rest soon.
FEW_FAULTS = 50
MEAN_PAUSE_SECONDS = 2.2
WARM_UP_SECONDS = 6.0
LOOK_EVERY_SECONDS = 20.0
# What does not come to rest by then is stuck.
DEADLINE_SECONDS = 120.0
# Of the whole time, for the final import and the way to rest.
RESERVE_SECONDS, RESERVE_SHARE = 200.0, 0.45
LAST_SECONDS = 10.0
LAST_TRIES = 3
BEAT_EVERY_SECONDS = 10.0
SHOWN = 60
STOOD_STILL = "terminating connection due to idle-in-transaction timeout"
REFUSED = re.compile(
    r"django\.db\.utils\.(Integrity|Programming|Data|Internal)Error"
    rf"(?!: {STOOD_STILL})|.*deadlock detected"
)
IS_ERROR = re.compile(r"[\w.]+(Error|Exception|Gone|Deadlock\w+|Violation)\b")
# What PostgreSQL, Redis and processes that are killed make others say.
EXPECTED_ERRORS = re.compile(
    r"OperationalError|InterfaceError|AdminShutdown|Connection\w*Error|TimeoutError"
    r"|WorkerLostError|SchedulingError|BrokenPipeError|FileNotFoundError|CommandError"
    rf"|pop from empty list|no attribute 'hostname'|{STOOD_STILL}"
)


class Run:
    """A world that is published while faults strike."""

    def __init__(
        self, stage: Stage, options: argparse.Namespace, *, started: float
    ) -> None:
        self._stage = stage
        self._options = options
        self._started = started
        is_short = options.faults < FEW_FAULTS
        size = SHORT if is_short else LONG
        self._loaders = ["files"] * 2 if is_short else ["all"] * 3
        self._world = World(seed=options.seed, size=size, now=datetime.now(UTC))
        self._election = self._world.register()
        self._made = 0
        self._wrong: list[Wrong] = []

    def run(self) -> bool:
        """Return whether nothing was lost, doubled or stuck."""
        self._publish()
        add_programs(self._stage, loaders=self._loaders)
        self._stage.go_on(WARM_UP_SECONDS)
        self._break_things()
        self._stage.calm()
        self._deliver_the_rest()
        self._leave_work_behind()
        stuck = self._come_to_rest()
        return self._tell(stuck + self._refused())

    def _break_things(self) -> None:
        seconds = self._options.seconds
        ends_at = (
            self._started + seconds - min(RESERVE_SECONDS, seconds * RESERVE_SHARE)
        )
        looks_at = time.monotonic() + LOOK_EVERY_SECONDS
        for fault in faults.endless(random.Random(self._options.seed)):
            if self._made >= self._options.faults - 1 or time.monotonic() > ends_at:
                break
            self._strike(fault)
            self._publish()
            pause = self._stage.rng.expovariate(1 / MEAN_PAUSE_SECONDS)
            self._stage.go_on(min(pause, 3 * MEAN_PAUSE_SECONDS))
            if time.monotonic() > looks_at:
                self._look()
                looks_at = time.monotonic() + LOOK_EVERY_SECONDS

    def _strike(self, fault: faults.Fault) -> bool:
        if told := faults.strike(fault, self._stage):
            self._made += 1
            number = f"{self._made:3}/{self._options.faults}"
            say(f"{self._clock()} {number} {fault.__name__}: {told}")
        return told is not None

    def _leave_work_behind(self) -> None:
        """Kill the workers once more, after the last change: no other asks again."""
        for _ in range(LAST_TRIES):
            if self._strike(faults.kill_busy_workers):
                break
            self._stage.go_on(1)

    def _publish(self) -> None:
        share = min(1.0, (self._made + 2) / self._options.faults)
        self._world.publish(self._stage.world, share=share)

    def _look(self) -> None:
        """Compare the database with itself in the middle of it all."""
        try:
            found = list(unexplained())
        except Error as error:
            if is_away(error):
                return
            raise
        finally:
            connection.close()
        for wrong in found:
            say(f"{self._clock()} WRONG {wrong}")
        self._wrong += found

    def _deliver_the_rest(self) -> None:
        """Import every file and batch once more, without a fault."""
        say(f"{self._clock()} All is calm: final import.")
        self._world.publish(self._stage.world, share=1.0)
        self._stage.end("loader")
        self._stage.end("again")
        published = str(self._stage.world / "published")
        final = subprocess.run(
            [sys.executable, "manage.py", "import_transactions", published, "--json"],
            cwd=ROOT,
            capture_output=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        # 3: there are rejected rows, which is as it should be.
        if final.returncode not in {0, 3}:
            raise RuntimeError(f"The final import failed: {final.stderr.decode()}")
        for batch in self._world.batches:
            load_rows(batch.rows, source="chaos, final")
        connection.close()

    def _come_to_rest(self) -> list[str]:
        """Wait until nothing is left to do; return what never comes to an end."""
        say(f"{self._clock()} Waiting until all is done.")
        settled_at = datetime.now(UTC)
        last = self._started + self._options.seconds - LAST_SECONDS
        ends_at = min(time.monotonic() + DEADLINE_SECONDS, last)
        asks_at = 0.0
        while (left := undone(settled_at)) and time.monotonic() < ends_at:
            if time.monotonic() > asks_at:
                _send_what_is_rare()
                asks_at = time.monotonic() + BEAT_EVERY_SECONDS
            if is_hopeless():
                break
            self._stage.go_on(0.5)
        return left

    def _tell(self, stuck: list[str]) -> bool:
        say(f"{self._clock()} Counting.")
        self._wrong += differences(self._world, self._election)
        self._wrong += wrong_batches(self._world)
        self._wrong += wrong_alerts(self._election)
        (self._stage.logs / "queue.log").write_text(queue_as_text())
        shown = [f"stuck: {sentence}" for sentence in stuck]
        shown += [f"wrong: {wrong}" for wrong in self._wrong]
        for line in shown[:SHOWN]:
            say(line)
        if len(shown) > SHOWN:
            say(f"… and {len(shown) - SHOWN} more.")
        self._tell_unexpected()
        doubled = sum(wrong.is_doubled for wrong in self._wrong)
        lost = len(self._wrong) - doubled
        if self._made < self._options.faults:
            say(f"The time was up before fault {self._options.faults}: --seconds more.")
        if shown:
            say(f"Once more: python -m tests.chaos --seed {self._options.seed}")
        say(f"{self._made} faults: {lost} lost, {doubled} doubled, {len(stuck)} stuck")
        return not shown

    def _refused(self) -> list[str]:
        """Return what the database refused to write: it kept figures right, not the code."""
        return self._found_in_logs(REFUSED.match)

    def _tell_unexpected(self) -> None:
        """List errors in the logs that no fault explains: not wrong, but worth a look."""
        for line in self._found_in_logs(
            lambda line: IS_ERROR.match(line) and not EXPECTED_ERRORS.search(line)
        ):
            say(f"note: {line}")

    def _found_in_logs(self, is_wanted: Callable[[str], object]) -> list[str]:
        lines = (
            f"{log.stem}: {line[:160]}"
            for log in sorted(self._stage.logs.glob("*.log"))
            for line in log.read_text(errors="replace").splitlines()
            if is_wanted(line)
        )
        return [f"{count} × {line}" for line, count in Counter(lines).items()]

    def _clock(self) -> str:
        return f"{time.monotonic() - self._started:6.1f} s"


def _send_what_is_rare() -> None:
    """Send what beats send every minute or more seldom: nobody wants to wait for that."""
    for entry in current_app.conf.beat_schedule.values():
        if entry["schedule"] > BEAT_EVERY_SECONDS:
            current_app.send_task(entry["task"])
