"""`python -m election_monitor.run`: what `make run` starts."""

import asyncio
import fcntl
import http.client
import logging.config
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from election_monitor import demo, embedded
from election_monitor.run.supervisor import Program, Supervisor, leashed
from election_monitor.run.terminal import own_foreground

logger = structlog.get_logger("election_monitor.run")

DEFAULT_PORT = "8000"
# Live has the one above.
HIGHEST_PORT = 65_534
READY_POLL_SECONDS = 0.3
SLOW_START_SECONDS = 60.0
# One may compute for long, one wait for a receiver of webhooks: one is left for the figures.
UPDATE_PROCESSES, IMPORT_PROCESSES = "3", "1"
# Celery warns root at every start; the tasks are this project's own.
AS_ROOT = {
    "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges"
}


class CannotRun(RuntimeError):
    """The start is refused; the message says what to do."""


def main() -> int:
    """Run everything until Ctrl-C or SIGTERM, and return the exit status."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "election_monitor.settings")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        # The rest of Django stays out of this process: it only starts and watches.
        logging.config.dictConfig(settings.LOGGING)
        port = _port()
        with own_foreground(), _only_run(port):
            for each in (port, port + 1):
                _refuse_taken(each)
            _run(port)
    except KeyboardInterrupt:
        return 0
    except (CannotRun, ImproperlyConfigured, embedded.EmbeddedServiceError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _run(port: int) -> None:
    try:
        _start_services()
        _manage("prepare")
        asyncio.run(_supervise(port))
    finally:
        # `make` passes a signal on, so the same one may come once more.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if settings.EMBEDDED_POSTGRES or settings.EMBEDDED_REDIS:
            embedded.stop(settings.VAR_DIR)
        _say("Stopped.")


async def _supervise(port: int) -> None:
    """Keep the programs running until a signal comes; say when they are ready."""
    supervisor = Supervisor(_programs(port), revive=_revive_services)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, supervisor.stop)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor.run())
        tasks.create_task(_announce(port, supervisor))


def _programs(port: int) -> list[Program]:
    python = (sys.executable, "-m")
    celery = (*python, "celery", "--app", "election_monitor", "--quiet")
    alone = ("--without-gossip", "--without-mingle")

    def worker(queue: str, concurrency: str) -> tuple[str, ...]:
        """Return a worker of one queue: a file takes minutes, an update no time."""
        name = ("--hostname", f"{queue}@%h")
        return (
            *celery,
            "worker",
            *name,
            "--queues",
            queue,
            "--concurrency",
            concurrency,
            *alone,
        )

    gunicorn = (*python, "gunicorn", "--config", "python:election_monitor.web")
    # With the options of docker-compose.yml; see docs/operations.md.
    live = (
        *("uvicorn", "election_monitor.asgi:application", "--no-access-log"),
        *("--lifespan", "off", "--timeout-graceful-shutdown", "5"),
    )
    programs = [
        Program("web", gunicorn, environment={"PORT": str(port)}),
        Program("live", (*python, *live, "--port", str(port + 1))),
        Program("worker", worker("updates", UPDATE_PROCESSES), AS_ROOT),
        Program("importer", worker("import", IMPORT_PROCESSES), AS_ROOT),
        Program("beat", (*celery, "beat")),
    ]
    if demo.is_wanted():
        words = (sys.executable, "manage.py", "feed_demo")
        programs.append(Program("demo", words, may_finish=True))
    return programs


async def _announce(port: int, supervisor: Supervisor) -> None:
    """Wait until the web process is ready and print where it is."""
    loop = asyncio.get_running_loop()
    late_at = loop.time() + SLOW_START_SECONDS
    while not await asyncio.to_thread(_is_ready, port):
        if await supervisor.stopped_within(READY_POLL_SECONDS):
            return
        if loop.time() > late_at:
            logger.warning("Still not ready", port=port)
            late_at += SLOW_START_SECONDS
    _say(f"Election Monitor is ready: http://127.0.0.1:{port}/\n{_staff_login()}")
    _say("Ctrl-C stops it.")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready/")
        # 400 is an answer too: 127.0.0.1 need not be among ALLOWED_HOSTS.
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _staff_login() -> str:
    path = settings.VAR_DIR / "staff-login"
    if not (settings.EMBEDDED_POSTGRES and path.exists()):
        return "Staff log in at /admin/ (manage.py createsuperuser makes the first)."
    name, password = path.read_text(encoding="ascii").split()
    return f"Staff log in at /admin/: {name}, password {password} (from {path})"


def _start_services() -> None:
    embedded.start(
        settings.VAR_DIR,
        postgres=settings.EMBEDDED_POSTGRES,
        redis=settings.EMBEDDED_REDIS,
    )


def _revive_services() -> None:
    """Start again what does not answer of the embedded services."""
    status = embedded.status(settings.VAR_DIR)
    is_down = {
        "PostgreSQL": settings.EMBEDDED_POSTGRES and not status.postgres.is_running,
        "Redis": settings.EMBEDDED_REDIS and not status.redis.is_running,
    }
    if not any(is_down.values()):
        return
    names = ", ".join(name for name, value in is_down.items() if value)
    logger.warning("Service does not answer, starting it again", service=names)
    try:
        _start_services()
    except embedded.EmbeddedServiceError as error:
        logger.error("Service did not start", service=names, reason=str(error))


def _manage(*words: str) -> None:
    """Run a management command to its end."""
    process = subprocess.Popen(  # noqa: S603 our own program and words
        leashed((sys.executable, "manage.py", *words)), start_new_session=True
    )
    try:
        status = process.wait()
    finally:
        process.kill()
        process.wait()
    if status:
        raise CannotRun(f"`manage.py {' '.join(words)}` failed, see above.")


def _port() -> int:
    text = os.environ.get("PORT") or DEFAULT_PORT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= HIGHEST_PORT:
        raise CannotRun(f"PORT is {text!r}: give a number from 1 to {HIGHEST_PORT}.")
    return int(text)


def _refuse_taken(port: int) -> None:
    """Find out before minutes of preparation."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise CannotRun(
                f"Port {port} cannot be used ({error.strerror}): stop the program that "
                "has it, or choose another with PORT, as in: "
                f"make run PORT={port + 10}"
            ) from error


@contextmanager
def _only_run(port: int) -> Iterator[None]:
    """Hold the lock of this VAR_DIR's run; the kernel lets go of it whatever happens.

    Raises:
        CannotRun: another run holds it.
    """
    path = settings.VAR_DIR / "run.lock"
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise CannotRun(
                f"Election Monitor already runs in {settings.VAR_DIR} ({file.read()}): "
                "stop it with Ctrl-C or SIGTERM, or choose another VAR_DIR and PORT."
            ) from error
        file.truncate(0)
        file.write(f"process {os.getpid()}, port {port}")
        file.flush()
        yield


def _interrupt(*_: Any) -> NoReturn:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
