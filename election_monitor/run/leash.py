"""Turn into a command that the kernel ends when its parent is gone.

Run as a script, by path: a function called between fork and exec is unsafe in a process
with threads.

    python -I -S leash.py PARENT COMMAND…

The command gets SIGTERM even if the parent was killed with SIGKILL.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: Sequence[str]) -> None:
    """Do what the module says."""
    parent, *command = arguments
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(parent):  # it died before the signal was ordered
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 the command is the caller's own


if __name__ == "__main__":
    main(sys.argv[1:])
