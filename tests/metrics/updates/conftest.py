"""What tests of the queue share: a clock, and handlers that note what they make."""

from datetime import datetime, timedelta

import pytest

from metrics.services.updates import handlers
from tests.metrics.updates.queue import NOW


@pytest.fixture
def clock():
    """A clock that tests set: `clock.now`."""

    class Clock:
        now = NOW

        def __call__(self) -> datetime:
            return self.now

        def advance(self, **delta: float) -> None:
            self.now += timedelta(**delta)

    return Clock()


@pytest.fixture
def made(monkeypatch):
    """Handle updates of kind `test` by noting them; those of kind `poison` fail."""
    notes: list[str] = []

    def note(update, now):
        notes.append(update.scope)

    def fail(update, now):
        notes.append(update.scope)
        raise ZeroDivisionError("poisoned")

    monkeypatch.setitem(handlers._handlers, "test", note)
    monkeypatch.setitem(handlers._handlers, "poison", fail)
    return notes
