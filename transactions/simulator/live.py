"""The whole election as one feed, in the order of the ledger."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from transactions.simulator.hours import contract_ledger
from transactions.simulator.ledger import Ledger, Table, lines_about, ordinals
from transactions.simulator.randomness import Ints
from transactions.simulator.rows import written
from transactions.simulator.times import HOUR, to_ms
from transactions.simulator.world import World

# Rows written at once: 35 MB. Smaller blocks would have few rows of each contract.
BLOCK_ROWS = 10_000
# Rows that an hour's file lacked appear so long after its end.
REPUBLISHED_AFTER = HOUR


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the feed.

    `timestamp_ms` is when the line appears: the transaction's own time, except for
    rollbacks, forks and late rows, which appear later. With `hour_ms` and `ordinal` it
    has the same position as the line of the hour file (DOMAIN 3).
    """

    timestamp_ms: int
    contract_id: str
    line: bytes
    hour_ms: int
    ordinal: int


def stream(world: World, *, since: datetime | None = None) -> Iterator[Event]:
    """Yield every line of the election from `since` on, oldest first.

    All contracts' transactions are held as numbers (about 100 bytes each); texts are
    written a block at a time. Contracts outside the tree are no part of a feed.
    """
    ledgers = [contract_ledger(world, contract) for contract in world.contracts]
    tables = [_fed_lines(ledger) for ledger in ledgers]
    owner = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    place = np.concatenate([np.arange(len(table)) for table in tables])
    at: Ints = np.concatenate([table["at"] for table in tables])
    order = np.lexsort((place, owner, at))
    if since is not None:
        order = order[np.searchsorted(at[order], to_ms(since)) :]
    numbers = [ordinals(table["at"] // HOUR, table["tx"]) for table in tables]
    for start in range(0, len(order), BLOCK_ROWS):
        block = order[start : start + BLOCK_ROWS]
        yield from _events(ledgers, tables, numbers, owner[block], place[block])


def _fed_lines(ledger: Ledger) -> Table:
    """Return the contract's lines with those that only a later version of a file has."""
    if not ledger.republished:
        return ledger.lines
    known = set(ledger.lines["tx"].tolist())
    parts = [ledger.lines]
    for version in ledger.republished:
        is_new = np.array([tx not in known for tx in version.lines["tx"].tolist()])
        new = version.lines["tx"][is_new]
        moment = np.full(len(new), version.hour_ms + HOUR + REPUBLISHED_AFTER)
        parts.append(lines_about(new, moment))
    lines: Table = np.concatenate(parts)
    return lines[np.argsort(lines["at"], kind="stable")]


def _events(
    ledgers: list[Ledger],
    tables: list[Table],
    numbers: list[Ints],
    owner: Ints,
    place: Ints,
) -> Iterator[Event]:
    """Write one block, each contract's lines together, and yield it in its own order."""
    events: list[Event | None] = [None] * len(owner)
    for index in np.unique(owner).tolist():
        ledger, where = ledgers[index], np.flatnonzero(owner == index)
        lines = tables[index][place[where]]
        ordinal = numbers[index][place[where]].tolist()
        moments = lines["at"].tolist()
        texts = written(ledger, lines)
        for slot, at, text, number in zip(
            where.tolist(), moments, texts, ordinal, strict=True
        ):
            events[slot] = Event(
                at, ledger.contract.contract_id, text, at // HOUR * HOUR, number
            )
    yield from (event for event in events if event is not None)
