"""PostgreSQL, Redis and the programs of a run: started, and started again when they die."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import django
import psutil
import psycopg
import redis
from django.core.management import call_command

from election_monitor import embedded
from election_monitor.run.supervisor import leashed
from tests.chaos.clock import DATABASE_CLOCK

ROOT = Path(__file__).resolve().parents[2]
LEASE_SECONDS = 3
SERVICES = ("postgres", "redis")
# Small pieces, so that a file takes several transactions, and several files one.
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "election_monitor.settings",
    "ELECTION_MONITOR_UPDATE_LEASE_SECONDS": str(LEASE_SECONDS),
    "ELECTION_MONITOR_CHUNK_ROWS": "4",
    "ELECTION_MONITOR_CHUNK_FILES": "3",
    # As the server ends whom a fault stops, after a minute: sooner, and not always.
    "PGOPTIONS": "-c idle_in_transaction_session_timeout=2s",
    # Celery warns root at every start.
    "PYTHONWARNINGS": "ignore",
}
LONGEST_REST_SECONDS = 1.0
RETRY_SECONDS = 1.0
RECOVERY_SECONDS = 60.0
GUARDIAN_SECONDS = 90


@dataclass
class Program:
    """A program of its own session, which is started again unless it is a single run."""

    name: str
    words: Sequence[str]
    clock: Path
    log: Path
    is_single_run: bool = False
    process: subprocess.Popen[bytes] | None = None
    starts_at: float = 0.0

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        module = [sys.executable, "-m", "tests.chaos.clock", str(self.clock)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                leashed([*module, *self.words]),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def keep(self, rng: random.Random) -> None:
        """Start it again if it has ended, after a rest."""
        if self.is_running:
            return
        if self.process is not None:
            # A pool whose parent was killed must not go on beside the new one.
            self.signal(signal.SIGKILL)
            self.process = None
            self.starts_at = time.monotonic() + rng.uniform(0, LONGEST_REST_SECONDS)
        elif time.monotonic() >= self.starts_at:
            self.start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program and all its children."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill_one(self) -> None:
        """Kill the program itself, not its children."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def children(self) -> list[psutil.Process]:
        """Return the processes of its pool."""
        if not self.is_running:
            return []
        assert self.process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children()
        return []

    def end(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def set_clock(self, seconds: float) -> None:
        _write_clock(self.clock, seconds)


@dataclass
class Stage:
    """Everything that runs, and where its files are."""

    home: Path
    rng: random.Random
    programs: list[Program] = field(default_factory=list)
    _later: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    @property
    def var_dir(self) -> Path:
        return self.home / "var"

    @property
    def world(self) -> Path:
        return self.home / "world"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def of_kind(self, kind: str) -> list[Program]:
        """Return the programs of a kind that run."""
        return [p for p in self.programs if p.name.startswith(kind) and p.is_running]

    def add(self, name: str, *words: str, is_single_run: bool = False) -> None:
        clock, log = self.home / f"{name}.clock", self.logs / f"{name}.log"
        program = Program(name, words, clock, log, is_single_run)
        program.start()
        self.programs.append(program)

    def set_database_clock(self, seconds: float) -> None:
        _write_clock(self.home / DATABASE_CLOCK, seconds)

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something after a while, at the latest when the faults are over."""
        self._later.append((time.monotonic() + seconds, action))

    def go_on(self, seconds: float) -> None:
        """Let everything run for a while, and start again what has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._do_what_is_due(time.monotonic())
            for program in list(self.programs):
                if not program.is_single_run:
                    program.keep(self.rng)
                elif not program.is_running:
                    program.end()
                    self.programs.remove(program)
            time.sleep(0.05)

    def calm(self) -> None:
        """End all faults that last: nothing is stopped, down or wrong about the time."""
        self._do_what_is_due(float("inf"))
        for program in self.programs:
            program.signal(signal.SIGCONT)
            program.set_clock(0)
        self.set_database_clock(0)
        self.start_services()
        until = time.monotonic() + RECOVERY_SECONDS
        while not self._is_up() and time.monotonic() < until:
            self.go_on(RETRY_SECONDS)

    def _is_up(self) -> bool:
        try:
            with self.database():
                return not self._later and bool(self.redis().ping())
        except (psycopg.OperationalError, redis.RedisError):
            return False

    def end(self, kind: str) -> None:
        """End the programs of a kind for good."""
        for program in [p for p in self.programs if p.name.startswith(kind)]:
            program.end()
            self.programs.remove(program)

    def start_services(self, *services: str) -> None:
        """Start "postgres", "redis" or both, unless they run."""
        wanted = services or SERVICES
        try:
            embedded.start(self.var_dir, **{name: name in wanted for name in SERVICES})
        except embedded.EmbeddedServiceError as error:
            # Recovering from a crash of its own: it is looked after again.
            say(f"{error}".splitlines()[0])
            self.later(RETRY_SECONDS, partial(self.start_services, *services))

    def service_pid(self, service: str) -> int | None:
        """Return the process of "postgres" or "redis", None where it is down."""
        pid: int | None = getattr(embedded.status(self.var_dir), service).pid
        return pid

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection]:
        """Open a session of one's own; each statement is a transaction."""
        url = embedded.database_url(self.var_dir)
        with psycopg.connect(url, autocommit=True, connect_timeout=2) as connection:
            # Who is stopped may hold a lock, and waits for this run to let it go on.
            connection.execute("SET lock_timeout = '2s'")
            yield connection

    def redis(self) -> "redis.Redis":
        path = str(embedded.redis_socket(self.var_dir))
        return redis.Redis(unix_socket_path=path, socket_timeout=2)

    def _do_what_is_due(self, now: float) -> None:
        due = [pair for pair in self._later if pair[0] <= now]
        for pair in sorted(due, key=lambda pair: pair[0]):
            self._later.remove(pair)
            pair[1]()


@contextmanager
def running_stage(home: Path, rng: random.Random, *, seconds: float) -> Iterator[Stage]:
    """Start services of one's own; end all that runs however this ends, and in time."""
    stage = Stage(home, rng)
    for folder in (stage.var_dir, stage.world / "published", stage.logs):
        folder.mkdir(parents=True)
    (stage.world / "posted").mkdir()
    _set_environment(stage.var_dir)
    guardian = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.guardian", stage.var_dir, str(seconds)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        embedded.start(stage.var_dir)
        django.setup()
        call_command("migrate", verbosity=0)
        yield stage
    finally:
        # A second Ctrl-C must leave nothing behind either.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        assert guardian.stdin is not None
        guardian.stdin.close()
        guardian.wait(GUARDIAN_SECONDS)


def add_programs(stage: Stage, *, loaders: Sequence[str]) -> None:
    """Start two workers, two beats and loaders, each with its ways to deliver."""
    celery = ("celery", "--app", "election_monitor", "--quiet")
    alone = ("--without-gossip", "--without-mingle")
    for name, queues, processes in [
        ("worker-1", "updates", "2"),
        ("worker-2", "updates,import", "2"),
    ]:
        words = ("worker", "--hostname", f"{name}@chaos", "--queues", queues)
        stage.add(name, *celery, *words, "--concurrency", processes, *alone)
    for name in ("beat-1", "beat-2"):
        schedule = stage.var_dir / f"{name}-schedule"
        stage.add(name, *celery, "beat", "--schedule", str(schedule))
    for number, ways in enumerate(loaders, start=1):
        loader = ("tests.chaos.loader", str(stage.world))
        stage.add(f"loader-{number}", *loader, str(stage.rng.random()), ways)


def _set_environment(var_dir: Path) -> None:
    # Whatever the developer has set: nothing that exists is touched.
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEBUG"):
        os.environ.pop(name, None)
    environment: Mapping[str, str] = SETTINGS | {"VAR_DIR": str(var_dir)}
    os.environ.update(environment)
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        # Else every program that is started again would compile everything again.
        os.environ["PYTHONPYCACHEPREFIX"] = str(var_dir / "bytecode")


def _write_clock(file: Path, seconds: float) -> None:
    scratch = file.with_suffix(".new")
    scratch.write_text(str(seconds))
    scratch.replace(file)


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201
