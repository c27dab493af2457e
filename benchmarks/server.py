"""A PostgreSQL and a Redis for the run: with production's settings, in a new directory."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import django

from benchmarks.progress import say
from election_monitor import embedded


@contextmanager
def running_services() -> Iterator[None]:
    """Set Django up with services of its own; stop and remove them however this ends."""
    # Whatever the developer has set: nothing that exists is touched.
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEBUG"):
        os.environ.pop(name, None)
    signal.signal(signal.SIGTERM, _interrupt)
    var_dir = Path(tempfile.mkdtemp(prefix="election-monitor-bench-"))
    os.environ["VAR_DIR"] = str(var_dir)
    os.environ["DJANGO_SETTINGS_MODULE"] = "election_monitor.settings"
    try:
        say("Starting PostgreSQL and Redis …")
        embedded.start(var_dir)
        _keep_bytecode(var_dir / "bytecode")
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity=0"], check=True
        )
        django.setup()
        yield
    finally:
        # A second Ctrl-C must not leave servers behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        _close_connection()
        embedded.stop(var_dir)
        shutil.rmtree(var_dir, ignore_errors=True)


def _keep_bytecode(folder: Path) -> None:
    """Let the first process keep what it compiles, where none may beside the sources.

    Else each worker process would compile everything again, for seconds.
    """
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(folder)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _close_connection() -> None:
    from django.db import connections

    connections.close_all()
