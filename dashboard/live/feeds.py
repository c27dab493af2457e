"""One reader per stream in Redis, whose frames all listeners of that stream share."""

import asyncio
import random
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakSet

import redis
import redis.asyncio
import structlog
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from dashboard.live.changes import Changes
from dashboard.live.ids import FIRST, of_entry
from dashboard.live.listeners import Listener
from dashboard.live.replays import is_trimmed, newest_id

logger = structlog.get_logger(__name__)

# At most four frames a second.
TICK_SECONDS = 0.25
BLOCK_SECONDS = 10.0
BATCH_ENTRIES = 1_000
CONNECT_SECONDS, ANSWER_SECONDS = 1.0, 2.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 5.0
# A page that is reloaded finds the reader still there.
IDLE_SECONDS = 30.0


class Unavailable(Exception):
    """Redis does not answer, so nobody can be told where a stream stands."""


class Feed:
    """Reads one stream and gives what is new to its listeners, four times a second.

    Listeners are held weakly: one whose stream has ended in whatever way is gone.
    """

    def __init__(self, stream: str) -> None:
        self.stream = stream
        # Everything up to here was read: what comes later will be given to listeners.
        self.read_id = FIRST
        # Everything up to here was given to them.
        self.told_id = FIRST
        self.is_over = False
        self.listeners: WeakSet[Listener] = WeakSet()
        self._is_up = asyncio.Event()
        self._changes = Changes()
        self._was_up = False
        self._next_tick = self._needed_at = _now()
        self._task = asyncio.create_task(self._run())

    async def wait_until_up(self) -> None:
        """Wait until the reader knows where the stream stands.

        Raises:
            Unavailable: Redis does not answer.
        """
        # Else it may end, being idle, while somebody waits.
        self._needed_at = _now()
        try:
            async with asyncio.timeout(CONNECT_SECONDS + ANSWER_SECONDS):
                await self._is_up.wait()
        except TimeoutError as error:
            raise Unavailable from error

    @property
    def is_up(self) -> bool:
        """Tell whether Redis answers."""
        return self._is_up.is_set()

    async def close(self) -> None:
        """Stop to read."""
        # Until it is heard: redis-py can swallow a cancellation.
        while not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=0.1)

    async def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while self._is_needed():
            try:
                await self._follow()
            except (redis.RedisError, OSError) as error:
                logger.warning(
                    "Live events cannot be read", stream=self.stream, reason=str(error)
                )
            except Exception:
                # Whatever it was: who listens would wait for a reader that has ended.
                logger.exception("The reader of live events failed", stream=self.stream)
            if self._is_up.is_set():
                pause = FIRST_PAUSE_SECONDS
            self._is_up.clear()
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        self.is_over = True

    async def _follow(self) -> None:
        """Read from Redis until nobody listens any more."""
        async with _connection(BLOCK_SECONDS + 5) as client:
            await self._take_position(client)
            while self._is_needed():
                answer: Any = await client.xread(
                    {self.stream: str(self.read_id)},
                    count=BATCH_ENTRIES,
                    block=self._block_ms(),
                )
                if answer:
                    await self._merge(client, answer[0][1])
                if self._changes and _now() >= self._next_tick:
                    self._tell()

    async def _take_position(self, client: "redis.asyncio.Redis") -> None:
        self.read_id = await newest_id(client, self.stream)
        if self._was_up:
            # What Redis had not handed out before it went away may have gone with it.
            self._changes.reset("interrupted")
        else:
            self.told_id = self.read_id
        self._was_up = True
        self._is_up.set()

    async def _merge(self, client: "redis.asyncio.Redis", entries: list[Any]) -> None:
        oldest: Any = await client.xrange(self.stream, count=1)
        # A new stream starts behind its first id, and is trimmed only when it is full.
        is_new = self.read_id == FIRST and len(entries) < BATCH_ENTRIES
        if is_trimmed(self.read_id, oldest) and not is_new:
            logger.warning("Live events came too fast", stream=self.stream)
            self._changes.reset("trimmed")
        for _, fields in entries:
            self._changes.add(fields)
        self.read_id = of_entry(entries[-1][0])

    def _tell(self) -> None:
        frame = self._changes.frame(self.read_id)
        if not self._changes:
            self.told_id = self.read_id
        for listener in self.listeners:
            listener.give(frame)
        self._next_tick = _now() + TICK_SECONDS

    def _block_ms(self) -> int:
        """Return how long to wait for more: no longer than until the next frame."""
        if not self._changes:
            return int(BLOCK_SECONDS * 1_000)
        # Zero would wait for ever.
        return max(1, int((self._next_tick - _now()) * 1_000))

    def _is_needed(self) -> bool:
        if self.listeners:
            self._needed_at = _now()
        return _now() - self._needed_at < IDLE_SECONDS


class Feeds:
    """The feeds of this process, and the connection for what is asked besides."""

    def __init__(self) -> None:
        self._feeds: dict[str, Feed] = {}
        self._client: redis.asyncio.Redis | None = None

    async def up(self, stream: str) -> Feed:
        """Return the feed of a stream, which is up.

        Raises:
            Unavailable: Redis does not answer.
        """
        feed = self._feeds.get(stream)
        if feed is None or feed.is_over:
            self._forget_those_over()
            feed = self._feeds[stream] = Feed(stream)
        await feed.wait_until_up()
        return feed

    @property
    def client(self) -> "redis.asyncio.Redis":
        """Return the client for questions that are answered at once."""
        if self._client is None:
            self._client = _connection(ANSWER_SECONDS)
        return self._client

    @property
    def listener_count(self) -> int:
        """Return how many listeners there are."""
        return sum(len(feed.listeners) for feed in self._feeds.values())

    def end(self) -> None:
        """Let all streams end; those who listen come back to whoever is there then."""
        for feed in self._feeds.values():
            for listener in feed.listeners:
                listener.end()

    async def close(self) -> None:
        """Stop all readers."""
        for feed in self._feeds.values():
            await feed.close()
        if self._client is not None:
            await self._client.aclose()

    def _forget_those_over(self) -> None:
        self._feeds = {k: feed for k, feed in self._feeds.items() if not feed.is_over}


def _connection(answer_seconds: float) -> "redis.asyncio.Redis":
    # redis-py waits for seconds and tries ten times by default.
    options: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": answer_seconds,
        "retry": Retry(NoBackoff(), 0),
        # Answers of the same shape whatever the server is; Redis 6.2 may be one.
        "protocol": 2,
    }
    if urlsplit(settings.EVENTS_REDIS_URL).scheme != "unix":
        options["socket_keepalive"] = True
    return redis.asyncio.Redis.from_url(settings.EVENTS_REDIS_URL, **options)


def _now() -> float:
    return asyncio.get_running_loop().time()
