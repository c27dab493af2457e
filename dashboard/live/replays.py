"""What came since an id, read from Redis once more."""

import asyncio
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from dashboard.live.changes import FRAME_ROWS, Changes, Fields
from dashboard.live.ids import FIRST, EventId, of_entry

# One frame: a page has an id of its own, so that even who is torn off again and again gets
# further each time.
PAGE_ENTRIES = FRAME_ROWS
# Merging a full stream keeps the loop busy for a tenth of a second, in pages.
AT_A_TIME = 4


class Trimmed(Exception):
    """Events behind the id are gone from the stream."""


@dataclass(frozen=True, slots=True)
class Page:
    """What changed, and the id up to which that is everything."""

    changes: Changes
    last_id: EventId


class Replays:
    """Reads past events; only some at a time, since all may come back at once."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_A_TIME)

    async def page(
        self, client: "redis.asyncio.Redis", stream: str, after: EventId, until: EventId
    ) -> Page:
        """Return what changed first behind `after`, up to `until` at most.

        Raises:
            Trimmed: some of it is gone.
        """
        async with self._turns:
            entries = await _entries(client, stream, after, until)
        changes = Changes()
        for _, fields in entries:
            changes.add(fields)
        is_last = len(entries) < PAGE_ENTRIES
        return Page(changes, until if is_last else of_entry(entries[-1][0]))


async def _entries(
    client: "redis.asyncio.Redis", stream: str, after: EventId, until: EventId
) -> list[tuple[bytes, Fields]]:
    # One transaction: else something could be trimmed between question and answer.
    async with client.pipeline(transaction=True) as pipeline:
        pipeline.xrange(stream, count=1)
        pipeline.xrange(stream, f"({after}", str(until), count=PAGE_ENTRIES)
        oldest, page = await pipeline.execute()
    if is_trimmed(after, oldest):
        raise Trimmed
    found: list[tuple[bytes, Fields]] = page
    return found


def is_trimmed(after: EventId, oldest: list[Any]) -> bool:
    """Tell whether events behind `after` may be gone; `oldest` is the first entry left.

    May be true where only `after` itself is gone: reading anew is then superfluous, and
    harmless.
    """
    return not oldest or of_entry(oldest[0][0]) > after


async def newest_id(client: "redis.asyncio.Redis", stream: str) -> EventId:
    """Return the id of the last event of a stream."""
    newest: Any = await client.xrevrange(stream, count=1)
    return of_entry(newest[0][0]) if newest else FIRST
