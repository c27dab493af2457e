"""Feed the demo election live; `make run` keeps this running."""

import signal
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand

from election_monitor.demo import election


class Command(BaseCommand):
    """Translates SIGTERM and SIGINT into the end of the feed."""

    help = "Feed the demo election live, from where its ledger ends, until it is over."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        if not election.go_on(is_stopped=stop.is_set):
            self.stderr.write("There is no demo election to feed.")
