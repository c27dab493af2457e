"""A Redis that is slow, full, flushed, restarted or gone: slower, never wrong."""

import time

import pytest

from election_monitor.embedded import processes
from metrics.cache import MetricsCacheService, invalidation
from metrics.cache.keys import tag_key
from tests.metrics.cache.conftest import DEADLINE_SECONDS
from tests.metrics.cache.test_cache import TAGS, Source, content, fetch, kept

# Connecting, and one question: what a mute Redis costs at most, with room for noise.
MUTE_SECONDS = 2.0


@pytest.fixture
def cache(own_redis):
    return MetricsCacheService()


@pytest.fixture
def source():
    return Source()


def wait_until(condition):
    assert processes.wait_until(condition, seconds=DEADLINE_SECONDS)


def is_kept_again(cache, source):
    """Tell whether answers are found again, and are new."""
    return content(cache, source) == content(cache, source)


def test_a_hit_is_one_read(cache, source, own_redis):
    fetch(cache, source)
    before = own_redis.commands()
    for _ in range(10):
        assert kept(cache)
    after = own_redis.commands()

    used = {name: after[name] - before.get(name, 0) for name in after}
    # Those of the connection that looks at the server.
    watching = {"info", "client", "hello"}
    assert {
        name: number for name, number in used.items() if number and name not in watching
    } == {"mget": 10}


def test_invalidating_is_one_write_whatever_there_is(cache, own_redis):
    def writes():
        before = own_redis.commands()
        cache.invalidate(TAGS[:1])
        after = own_redis.commands()
        return after["set"] - before["set"]

    cache.fetch("answer:0", Source(), tags=TAGS)
    few = writes()
    for number in range(2_000):
        cache.fetch(f"answer:{number}", Source(), tags=TAGS)

    assert (few, writes()) == (1, 1)
    assert all(kept(cache, f"answer:{n}") is None for n in range(2_000))


def test_a_flush_forgets_and_nothing_old_comes_back(cache, source, own_redis):
    fetch(cache, source)
    with own_redis.client() as client:
        client.flushall()

    assert content(cache, source) == b"2"
    assert fetch(cache, source).is_hit


@pytest.mark.parametrize("is_killed", [False, True])
def test_what_a_restart_brings_back_is_not_used(cache, source, own_redis, is_killed):
    """A snapshot has the entry, and the version that its tag had then."""
    fetch(cache, source)
    with own_redis.client() as client:
        version = client.get(f"answers:1:{tag_key(TAGS[0])}")
        client.save()
        cache.invalidate(TAGS)
        client.config_set("save", "")
    (own_redis.kill if is_killed else own_redis.stop)()
    own_redis.start()

    with own_redis.client() as client:
        assert client.get(f"answers:1:{tag_key(TAGS[0])}") == version
    wait_until(lambda: kept(cache) is None and cache.is_usable)
    assert content(cache, source) == b"2"
    wait_until(lambda: fetch(cache, source).is_hit)


def test_without_redis_answers_are_computed_and_it_heals(cache, source, own_redis):
    fetch(cache, source)
    own_redis.stop()

    assert [content(cache, source) for _ in range(3)] == [b"2", b"3", b"4"]
    assert kept(cache) is None
    own_redis.start()
    wait_until(lambda: is_kept_again(cache, source))


def test_a_mute_redis_makes_answers_slower_and_only_the_first(cache, source, own_redis):
    fetch(cache, source)
    own_redis.hang()
    try:
        started = time.monotonic()
        assert content(cache, source) == b"2"
        first = time.monotonic() - started
        started = time.monotonic()
        for _ in range(100):
            fetch(cache, source)
        rest = time.monotonic() - started
    finally:
        own_redis.go_on()

    assert first < MUTE_SECONDS
    assert rest < MUTE_SECONDS
    wait_until(lambda: is_kept_again(cache, source))


@pytest.mark.parametrize("trouble", ["stop", "hang"])
def test_what_could_not_be_invalidated_is_not_used_and_made_up_for(
    cache, source, own_redis, trouble
):
    fetch(cache, source)
    other = MetricsCacheService()
    getattr(own_redis, trouble)()
    cache.invalidate(TAGS)
    assert not cache.is_usable
    assert content(cache, source) == b"2"
    (own_redis.start if trouble == "stop" else own_redis.go_on)()

    # This process computes until its bump is written; then nobody has the old one.
    while not cache.is_usable:
        assert not fetch(cache, source).is_hit
    wait_until(lambda: other.is_usable)
    assert kept(other) is None
    wait_until(lambda: is_kept_again(cache, source))


def test_what_is_invalidated_while_more_is_owed_is_written_at_once(
    cache, source, own_redis, monkeypatch
):
    """The cache may be back for others before the repetition gets through."""
    monkeypatch.setattr(invalidation, "REPEAT_SECONDS", 60)
    own_redis.stop()
    cache.invalidate(TAGS)
    own_redis.start()
    other = MetricsCacheService()
    other.fetch("answer:B", source, tags=["constituency:B"])
    assert kept(other, "answer:B", ["constituency:B"])

    cache.invalidate(["constituency:B"])

    assert not cache.is_usable
    assert kept(other, "answer:B", ["constituency:B"]) is None


def test_a_full_redis_keeps_nothing_and_is_still_right(cache, source, own_redis):
    fetch(cache, source)
    with own_redis.client() as client:
        client.config_set("maxmemory", 1)
        cache.invalidate(TAGS)
        assert content(cache, source) == b"2"
        assert content(cache, source) == b"3"
        client.config_set("maxmemory", 0)

    wait_until(lambda: is_kept_again(cache, source))


def test_an_evicting_redis_is_never_wrong(cache, own_redis):
    """Tags go too: an entry whose tag is gone is not used."""
    with own_redis.client() as client:
        used = client.info("memory")["used_memory"]
        client.config_set("maxmemory-policy", "allkeys-random")
        client.config_set("maxmemory", used + 100_000)
    truth = {}
    for turn in range(600):
        key = f"answer:{turn % 50}"
        tag = f"constituency:{turn % 50}"
        if turn % 3 == 0:
            truth[key] = b"%d" % turn + b"x" * 5_000
            cache.invalidate([tag])
        truth.setdefault(key, b"first")
        answer = cache.fetch(key, lambda key=key: truth[key], tags=[tag])
        assert answer.entry.content == truth[key]
    with own_redis.client() as client:
        assert client.info("stats")["evicted_keys"] > 0
