"""`python -m tests.chaos.guardian VAR_DIR SECONDS`: end what the run leaves behind.

Its standard input ends with the process that started it, even if that one was killed. One
that takes longer than it may is ended.
"""

import os
import select
import shutil
import signal
import sys
from pathlib import Path

import psutil

from election_monitor import embedded


def main() -> None:
    """Do what the module says."""
    var_dir, seconds = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    parent = os.getppid()
    # Nobody ever writes to it: it becomes readable by its end.
    ended, _, _ = select.select([sys.stdin], [], [], float(seconds))
    if not ended:
        os.kill(parent, signal.SIGKILL)
    end_programs(var_dir)
    end_services(Path(var_dir))


def end_programs(var_dir: str) -> None:
    """Kill every process that was started for this VAR_DIR, stopped ones too."""
    for process in psutil.process_iter():
        try:
            is_ours = process.environ().get("VAR_DIR") == var_dir
            if is_ours and process.pid != os.getpid():
                process.kill()
        except psutil.Error:
            continue


def end_services(var_dir: Path) -> None:
    """Kill the servers, stopped ones too, and remove their data."""
    for service in (embedded.status(var_dir).postgres, embedded.status(var_dir).redis):
        if service.pid is not None:
            os.kill(service.pid, signal.SIGKILL)
    embedded.stop(var_dir)
    shutil.rmtree(var_dir, ignore_errors=True)


if __name__ == "__main__":
    main()
