"""One listener's stream: hello, what it missed, what is new, until its time is over."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator

import orjson
import redis

from dashboard.live.changes import event, reset_data
from dashboard.live.feeds import Feed, Feeds
from dashboard.live.ids import EventId, parse
from dashboard.live.listeners import Listener
from dashboard.live.replays import Page, Replays, Trimmed
from metrics.events import RESET

KEEP_ALIVE_SECONDS = 15.0
# Apart, so that those who came together do not all come back together.
SHORTEST_SECONDS, LONGEST_SECONDS = 300.0, 600.0
RETRY_MS = 3_000


class Stream:
    """What is written to one listener of `feed`, which has to be up.

    The listener joins the feed first, and then reads what came between its own last id
    and where the feed stood: nothing lies between the two.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        feeds: Feeds,
        replays: Replays,
        after: str | None,
        sees_constituencies: bool,
    ) -> None:
        self._feed, self._feeds, self._replays = feed, feeds, replays
        self._sees_constituencies = sees_constituencies
        self._listener = Listener(sees_constituencies=sees_constituencies)
        self._joined_at = feed.read_id
        self._resets = after is not None
        self._after = None if after is None else parse(after)
        feed.listeners.add(self._listener)

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Yield blocks of whole lines."""
        ends_at = _now() + random.uniform(SHORTEST_SECONDS, LONGEST_SECONDS)  # noqa: S311
        try:
            async for block in self._beginning():
                yield block
            while (left := ends_at - _now()) > 0 and not self._listener.is_finished:
                told = await self._listener.next_block(min(left, KEEP_ALIVE_SECONDS))
                yield self._comment(self._feed.told_id) if told is None else told
            if self._listener.is_dropped:
                yield self._reset(self._feed.read_id, "slow")
        finally:
            self._feed.listeners.discard(self._listener)

    async def _beginning(self) -> AsyncIterator[bytes]:
        """Yield hello, and what was missed."""
        # The future is nobody's past: such an id is of a stream that is gone.
        if self._after is None or self._after > self._joined_at:
            yield self._hello(self._joined_at)
            if self._resets:
                reason = "malformed" if self._after is None else "unknown"
                yield self._reset(self._joined_at, reason)
            return
        # Not the newest id: a connection torn now would lose what is still to come.
        yield self._hello(self._after)
        async for block in self._missed(self._after):
            yield block

    async def _missed(self, after: EventId) -> AsyncIterator[bytes]:
        while after < self._joined_at:
            try:
                page = await self._page(after)
            except (Trimmed, redis.RedisError, OSError) as error:
                is_trimmed = isinstance(error, Trimmed)
                reason = "trimmed" if is_trimmed else "interrupted"
                yield self._reset(self._joined_at, reason)
                return
            after = page.last_id
            block = self._listener.visible(page.changes.frame(after))
            yield block or self._comment(after)

    async def _page(self, after: EventId) -> Page:
        # In a task of its own, because redis-py can swallow a cancellation (by wait_for
        # of Python 3.11): who has gone would be written to for minutes.
        reading = asyncio.create_task(
            self._replays.page(
                self._feeds.client, self._feed.stream, after, self._joined_at
            )
        )
        reading.add_done_callback(_retrieve_exception)
        await asyncio.wait({reading})
        return reading.result()

    def _hello(self, event_id: EventId) -> bytes:
        data = orjson.dumps(
            {
                "live_id": str(self._joined_at),
                "constituencies": self._sees_constituencies,
            }
        )
        return b"retry: %d\nid: %b\n%b" % (
            RETRY_MS,
            str(event_id).encode(),
            event("hello", data),
        )

    def _comment(self, event_id: EventId) -> bytes:
        # With the id: a listener who is told little would else come back with one that
        # is trimmed away.
        return b"id: %b\n: keep-alive\n\n" % str(event_id).encode()

    def _reset(self, event_id: EventId, reason: str) -> bytes:
        return b"id: %b\n%b" % (
            str(event_id).encode(),
            event(RESET, reset_data(event_id, reason)),
        )


def _retrieve_exception(reading: asyncio.Task[Page]) -> None:
    """Keep asyncio from logging an error that only concerned a listener who has gone."""
    if not reading.cancelled():
        reading.exception()


def _now() -> float:
    return asyncio.get_running_loop().time()
