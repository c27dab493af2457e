"""Ids of events: those of the entries of a Redis stream, which sort by time."""

import re
from typing import NamedTuple

WRITTEN = re.compile(r"([0-9]{1,20})-([0-9]{1,20})", re.ASCII)
LARGEST_PART = 2**64 - 1


class EventId(NamedTuple):
    """Milliseconds and a number; compares as Redis sorts."""

    ms: int
    number: int

    def __str__(self) -> str:
        return f"{self.ms}-{self.number}"


FIRST = EventId(0, 0)


def parse(text: str) -> EventId | None:
    """Return the id that `text` says, None where it is none."""
    if (found := WRITTEN.fullmatch(text)) is None:
        return None
    event_id = EventId(*map(int, found.groups()))
    return event_id if max(event_id) <= LARGEST_PART else None


def of_entry(raw: bytes) -> EventId:
    """Return the id of an entry, as Redis writes it."""
    ms, _, number = raw.partition(b"-")
    return EventId(int(ms), int(number))
