"""Asks whoever finds what should not be there for what is open.

The rules stand above the statistics, so they say by themselves how to ask.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class OpenAlert:
    """An alert that somebody still has to deal with, as everybody may see it."""

    id: int
    # Its code, and what it is called.
    rule: str
    title: str
    severity: str
    status: str
    # Slug, and contract id; None for the election as a whole.
    election: str
    constituency: str | None
    started_hour: datetime
    ended_hour: datetime
    q: float | None
    excess: float | None
    version: int


# Elections by id, and how many alerts at most; the gravest first.
Reader = Callable[[Collection[int], int], Sequence[OpenAlert]]

_readers: list[Reader] = []


def register(reader: Reader) -> None:
    """Ask `reader`, from now on, for the open alerts."""
    if reader not in _readers:
        _readers.append(reader)


def open_alerts(election_ids: Collection[int], *, limit: int) -> list[OpenAlert]:
    """Return the open alerts of elections, the gravest first."""
    found = [alert for read in _readers for alert in read(election_ids, limit)]
    return found[:limit]
