"""`python -m tests.chaos.clock FILE MODULE …`: run a module on a clock that can be set.

FILE holds by how many seconds its clock is wrong, and may change at any time. Django is
set up when the module begins.
"""

import runpy
import sys
from datetime import datetime, timedelta
from pathlib import Path

import django
from django.utils import timezone


def main() -> None:
    """Do what the module says."""
    _, file, module, *arguments = sys.argv
    set_clock_by(Path(file))
    django.setup()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def set_clock_by(file: Path) -> None:
    """Let Django's clock be wrong by what `file` says; before anything imports it."""
    real_now = timezone.now

    def now() -> datetime:
        return real_now() + timedelta(seconds=offset_in(file))

    timezone.now = now


def offset_in(file: Path) -> float:
    return float(file.read_text()) if file.exists() else 0.0


if __name__ == "__main__":
    main()
