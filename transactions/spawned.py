"""What a worker process does first.

A module of its own, because a new process imports it before the models can be.
"""

import signal
from multiprocessing.synchronize import Event

import django
from django.apps import apps

_stop: Event


def prepare(stop: Event) -> None:
    """Load the apps, and leave Ctrl-C to the parent: a terminal sends it to all."""
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not apps.ready:
        django.setup()


def is_stopped() -> bool:
    """Tell whether the parent wants this process to stop at the next chance."""
    return _stop.is_set()
