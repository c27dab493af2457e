"""What a worker process does first.

A module of its own, because a new process imports it before the models can be.
"""

import os
import signal
import threading
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

import django
from django.apps import apps

_stop: Event


def prepare(stop: Event, parent: Connection) -> None:
    """Load the apps; leave Ctrl-C to the parent, and do not outlive it.

    A terminal sends Ctrl-C to all of them. Nobody ever writes to `parent`: it ends when
    the process at its other end does.
    """
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if not apps.ready:
        django.setup()


def is_stopped() -> bool:
    """Tell whether the parent wants this process to stop at the next chance."""
    return _stop.is_set()


def _end_with(parent: Connection) -> None:
    try:
        parent.recv_bytes()
    except (EOFError, OSError):
        # The chunk in hand is rolled back by the server, which sees the connection end.
        os._exit(1)
