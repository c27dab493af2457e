"""`python -m tests.chaos.clock FILE MODULE …`: run a module on a clock that can be set.

FILE holds by how many seconds its clock is wrong, DATABASE_CLOCK beside it by how many that
of the database is, which all programs share; both may change at any time. Django is set up
when the module begins.
"""

import runpy
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import django
from django.utils import timezone

from elections import clock

DATABASE_CLOCK = "database.clock"


def main() -> None:
    """Do what the module says."""
    _, file, module, *arguments = sys.argv
    set_clock_by(Path(file))
    django.setup()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def set_clock_by(file: Path) -> None:
    """Let Django's clock be wrong by what `file` says; before anything imports it.

    And that of the database by what is said beside it.
    """
    timezone.now = _moved(timezone.now, file)
    clock.database_now = _moved(clock.database_now, file.with_name(DATABASE_CLOCK))


def _moved(clock: Callable[[], datetime], file: Path) -> Callable[[], datetime]:
    def now() -> datetime:
        return clock() + timedelta(seconds=offset_in(file))

    return now


def offset_in(file: Path) -> float:
    return float(file.read_text()) if file.exists() else 0.0


if __name__ == "__main__":
    main()
