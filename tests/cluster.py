"""A throw-away PostgreSQL and Redis for the test run; a pytest plugin.

Loaded with `-p`, because Django's settings are read before any conftest is. Workers of
xdist inherit VAR_DIR and share the servers, each with a database of its own.
"""

import os
import shutil
import tempfile
from pathlib import Path

from election_monitor import embedded

IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ

if not IS_WORKER:
    # Whatever the developer has set, tests never touch a database they did not make.
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEBUG"):
        os.environ.pop(name, None)
    os.environ["VAR_DIR"] = tempfile.mkdtemp(prefix="election-monitor-tests-")
    # Whitenoise warns of a missing folder, and warnings are errors.
    Path(os.environ["VAR_DIR"], "static").mkdir()


def pytest_load_initial_conftests() -> None:
    if not IS_WORKER:
        embedded.start(Path(os.environ["VAR_DIR"]), throw_away=True)


def pytest_unconfigure() -> None:
    if not IS_WORKER:
        embedded.stop(Path(os.environ["VAR_DIR"]))
        shutil.rmtree(os.environ["VAR_DIR"], ignore_errors=True)
