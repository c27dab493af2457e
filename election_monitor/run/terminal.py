"""Take Ctrl-C away from `make`, which would report it as a failure."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def own_foreground() -> Iterator[None]:
    """Be the terminal's foreground job on one's own, where there is a terminal.

    Ctrl-C reaches every process of the foreground group, and `make` exits with an error
    then whatever its command does. In a group of its own the command alone is told.
    """
    before = os.getpgrp()
    if not _is_in_foreground(before) or os.getpid() == before:
        yield
        return
    # Whoever sets the foreground group from behind it is stopped otherwise; and nobody
    # would wake what Ctrl-Z stopped, since the shell waits for `make`.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(sys.stdin.fileno(), os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(sys.stdin.fileno(), before)


def _is_in_foreground(group: int) -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == group
    except (OSError, ValueError, AttributeError):
        return False
