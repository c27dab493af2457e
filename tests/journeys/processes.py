"""Real processes beside a test: workers, beats and loaders on the test's database."""

import http.client
import os
import signal
import socket
import subprocess
import sys

from django.conf import settings

from tests.beside import wait_until
from tests.transactions.conftest import environment_of_test_database

DEADLINE_SECONDS = 60
# Databases 0 to 2 are those of the run itself.
FIRST_REDIS_DATABASE = 3
CELERY = (sys.executable, "-m", "celery", "--app", "election_monitor")
LIVE = (
    *(sys.executable, "-m", "uvicorn", "election_monitor.asgi:application"),
    *("--lifespan", "off", "--timeout-graceful-shutdown", "5", "--no-access-log"),
)


class Processes:
    """Starts processes with a broker of their own, and ends all of them."""

    def __init__(self) -> None:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
        socket = settings.REDIS_URL.partition("?")[0]
        self.redis_url = f"{socket}?db={FIRST_REDIS_DATABASE + int(worker)}"
        self.environment = (
            os.environ
            | environment_of_test_database()
            | {
                "REDIS_URL": self.redis_url,
                "SECRET_KEY": settings.SECRET_KEY,
                "ELECTION_MONITOR_UPDATE_LEASE_SECONDS": "2",
            }
        )
        self._running: list[subprocess.Popen[bytes]] = []

    def worker(self, queue: str = "updates") -> "subprocess.Popen[bytes]":
        """Start a Celery worker of one queue."""
        alone = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        name = ("--hostname", f"{queue}-{len(self._running)}@%h")
        return self.start(
            *CELERY, "worker", "--queues", queue, "--concurrency", "1", *name, *alone
        )

    def beat(self, schedule: str) -> "subprocess.Popen[bytes]":
        """Start a beat that keeps its state in the file `schedule`."""
        return self.start(*CELERY, "beat", "--schedule", schedule)

    def live(self, **environment: str) -> tuple["subprocess.Popen[bytes]", int]:
        """Start a live process; return it and its port, once it answers."""
        port = free_port()
        self.environment |= environment
        process = self.start(*LIVE, "--port", str(port))
        wait_until(lambda: answers(port), "the live process answers")
        return process, port

    def web(self, **environment: str) -> int:
        """Start the web server; return its port, once the application answers."""
        port = free_port()
        self.environment |= environment | {"PORT": str(port)}
        self.start(
            *(sys.executable, "-m", "gunicorn"),
            *("--config", "python:election_monitor.web"),
        )
        # It takes connections long before a process of it has loaded the application.
        wait_until(lambda: is_live(port), "the web server answers")
        return port

    def manage(self, *words: str) -> None:
        """Run a management command to its end."""
        command = [sys.executable, "manage.py", *words]
        subprocess.run(
            command, env=self.environment, check=True, timeout=DEADLINE_SECONDS
        )

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        """Start a process in a group of its own."""
        process = subprocess.Popen(words, env=self.environment, start_new_session=True)
        self._running.append(process)
        return process

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        """Kill a process and its children, without a chance to clean up."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end_all(self) -> None:
        """Kill whatever still runs."""
        for process in self._running:
            if process.poll() is None:
                self.kill(process)


def free_port() -> int:
    """Return a port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Tell whether somebody takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_live(port: int) -> bool:
    """Tell whether the web server on a port answers for itself."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/live/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
