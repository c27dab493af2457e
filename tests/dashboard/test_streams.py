"""How a stream begins: the gap between what was missed and what is new."""

import asyncio
import gc

import pytest
import redis

from dashboard.live.feeds import Feeds, Unavailable
from dashboard.live.ids import parse
from dashboard.live.replays import Replays
from dashboard.live.streams import Stream
from metrics import events
from tests.journeys.processes import Processes

STREAM = events.stream_name("duma")


@pytest.fixture(autouse=True)
def redis_url(settings):
    url = Processes().redis_url
    redis.Redis.from_url(url).flushdb()
    settings.EVENTS_REDIS_URL = url
    events._client.cache_clear()
    yield
    events._client.cache_clear()


def publish(constituency):
    content = {"constituency": constituency, "version": 1}
    events.publish([events.Event("duma", events.METRICS, content)])


class SlowReplays(Replays):
    """While the past is read, something happens and is told to whoever listens."""

    def __init__(self, feed):
        super().__init__()
        self._feed = feed

    async def page(self, *words):
        missed = await super().page(*words)
        publish("meanwhile")
        told = parse(events.live_id("duma"))
        async with asyncio.timeout(5):
            while self._feed.told_id < told:
                await asyncio.sleep(0.01)
        return missed


def test_what_comes_while_the_past_is_read_comes_too():
    async def listen():
        feeds = Feeds()
        publish("seen")
        after = events.live_id("duma")
        publish("missed")
        feed = await feeds.up(STREAM)
        stream = Stream(
            feed,
            feeds=feeds,
            replays=SlowReplays(feed),
            after=after,
            sees_constituencies=True,
        )
        blocks = stream.blocks()
        received = [await anext(blocks) for _ in range(3)]
        await blocks.aclose()
        left = len(feed.listeners)
        await feeds.close()
        return received, left

    (hello, missed, meanwhile), left = asyncio.run(listen())

    assert b"event: hello" in hello
    assert b'"missed"' in missed
    assert b'"seen"' not in missed
    assert b'"meanwhile"' in meanwhile
    assert left == 0


def test_a_stream_that_never_begins_leaves_nobody_behind():
    async def forget():
        feeds = Feeds()
        feed = await feeds.up(STREAM)
        words = {"feeds": feeds, "replays": Replays(), "sees_constituencies": True}
        stream = Stream(feed, after=None, **words)
        blocks = stream.blocks()
        before = feeds.listener_count
        del stream, blocks
        after = feeds.listener_count
        await feeds.close()
        return before, after

    assert asyncio.run(forget()) == (1, 0)


def test_who_goes_away_at_any_moment_of_the_beginning_is_gone():
    """redis-py can swallow a cancellation, which is how a stream learns of it."""

    async def go_away_after(steps, feeds, feed, after):
        words = {"feeds": feeds, "replays": Replays(), "sees_constituencies": True}
        stream = Stream(feed, after=after, **words)

        async def listen():
            async for _ in stream.blocks():
                pass

        listening = asyncio.create_task(listen())
        for _ in range(steps):
            await asyncio.sleep(0)
        listening.cancel()
        return await asyncio.wait({listening}, timeout=2)

    async def go_away_at_each_step():
        feeds = Feeds()
        publish("seen")
        after = events.live_id("duma")
        publish("missed")
        feed = await feeds.up(STREAM)
        stays = [
            steps
            for steps in range(25)
            if (await go_away_after(steps, feeds, feed, after))[1]
        ]
        count = feeds.listener_count
        await feeds.close()
        return stays, count

    assert asyncio.run(go_away_at_each_step()) == ([], 0)


class FailingReplays(Replays):
    """Redis goes away while the past is read."""

    def __init__(self):
        super().__init__()
        self.is_asked = asyncio.Event()
        self.goes_away = asyncio.Event()

    async def page(self, *words):
        self.is_asked.set()
        await self.goes_away.wait()
        raise redis.ConnectionError("Connection closed by server.")


def test_an_error_in_what_nobody_waits_for_any_more_is_not_logged(caplog):
    async def go_away_first():
        feeds, replays = Feeds(), FailingReplays()
        publish("seen")
        after = events.live_id("duma")
        publish("missed")
        words = {"feeds": feeds, "replays": replays, "sees_constituencies": True}
        blocks = Stream(await feeds.up(STREAM), after=after, **words).blocks()
        await anext(blocks)
        listening = asyncio.create_task(anext(blocks))
        await replays.is_asked.wait()
        listening.cancel()
        await asyncio.wait({listening})
        replays.goes_away.set()
        await asyncio.sleep(0)
        await feeds.close()

    asyncio.run(go_away_first())
    gc.collect()

    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_all_listeners_of_an_election_share_one_reader():
    async def join_twice():
        feeds = Feeds()
        found = await asyncio.gather(feeds.up(STREAM), feeds.up(STREAM))
        other = await feeds.up(events.OVERVIEW)
        await feeds.close()
        return len(set(found)), other in found

    assert asyncio.run(join_twice()) == (1, False)


def test_without_redis_nobody_is_left_waiting(settings):
    settings.EVENTS_REDIS_URL = "unix:///nonexistent/redis.sock"

    async def join():
        feeds = Feeds()
        try:
            await feeds.up(STREAM)
        finally:
            await feeds.close()

    with pytest.raises(Unavailable):
        asyncio.run(join())


def test_who_comes_while_an_idle_feed_ends_is_not_turned_away(monkeypatch):
    monkeypatch.setattr("dashboard.live.feeds.IDLE_SECONDS", 0.3)
    monkeypatch.setattr("dashboard.live.feeds.BLOCK_SECONDS", 0.05)

    async def join():
        feeds = Feeds()
        feed = await feeds.up(STREAM)
        while feed.is_up:
            await asyncio.sleep(0.005)
        joined = await feeds.up(STREAM)
        is_up = joined.is_up
        await feeds.close()
        return is_up

    assert asyncio.run(join())
