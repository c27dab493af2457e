"""What is kept, for how long, and what ends it: the same over both backends."""

import time
from datetime import UTC, datetime

import pytest
from django.core.cache import caches

from metrics.cache import Entry, cached_metrics, metrics_key
from metrics.cache import decorator as decorator_module
from metrics.cache import service as service_module
from metrics.cache.keys import flight_key, tag_key
from tests.beside import at_once

KEY = "answer:1"
TAGS = ["constituency:A", "election:duma"]
MANY = 16


class Source:
    """Counts how often it is asked; answers with the number."""

    def __init__(self, seconds=0.0):
        self.calls = 0
        self.seconds = seconds

    def __call__(self):
        self.calls += 1
        answer = b"%d" % self.calls
        time.sleep(self.seconds)
        return answer


@pytest.fixture
def source():
    return Source()


def fetch(cache, source, **options):
    return cache.fetch(KEY, source, **{"tags": TAGS, **options})


def content(cache, source, **options):
    return fetch(cache, source, **options).entry.content


class NotKept(Exception):
    pass


def kept(cache, key=KEY, tags=TAGS, **options):
    """Return the entry that is found without computing anything, or None."""

    def give_up():
        raise NotKept

    try:
        return cache.fetch(key, give_up, tags=tags, **options).entry
    except NotKept:
        return None


def test_an_answer_is_computed_once_and_then_found(cache, source):
    first, second = fetch(cache, source), fetch(cache, source)

    assert (first.is_hit, second.is_hit) == (False, True)
    assert first.entry.content == second.entry.content == b"1"
    assert first.entry.etag == second.entry.etag
    assert kept(cache).content == b"1"


@pytest.mark.parametrize("tag", TAGS)
def test_invalidating_any_of_its_tags_ends_an_entry(cache, source, tag):
    fetch(cache, source)

    cache.invalidate([tag])

    assert kept(cache) is None
    assert content(cache, source) == b"2"


def test_another_tag_leaves_it_alone_and_all_ends_it(cache, source):
    fetch(cache, source)
    cache.invalidate(["constituency:B", "election:other"])
    assert fetch(cache, source).is_hit

    cache.invalidate_all()
    assert not fetch(cache, source).is_hit


def test_a_change_while_it_is_computed_makes_an_entry_invalid(cache):
    """Versions that are read after the answer would call an old one valid."""

    def compute():
        cache.invalidate(TAGS[:1])
        return b"old"

    assert content(cache, compute) == b"old"
    assert content(cache, lambda: b"new") == b"new"


def test_a_version_that_got_lost_never_comes_back(cache, source):
    fetch(cache, source)
    backend = caches[cache._alias]
    version = backend.get(tag_key(TAGS[0]))
    backend.delete(tag_key(TAGS[0]))

    assert content(cache, source) == b"2"
    assert backend.get(tag_key(TAGS[0])) != version


def test_a_tag_that_gets_lost_while_it_is_computed_keeps_nothing(cache):
    def compute():
        caches[cache._alias].delete(tag_key(TAGS[0]))
        return b"old"

    fetch(cache, compute)
    assert kept(cache) is None


def test_an_entry_ends_with_its_time(cache, source):
    fetch(cache, source, ttl=0.3)
    assert fetch(cache, source, ttl=0.3).is_hit

    time.sleep(0.4)
    assert kept(cache) is None
    assert content(cache, source, ttl=0.3) == b"2"


def test_one_computes_an_ageing_entry_while_others_get_it(cache):
    source = Source()
    fetch(cache, source, ttl=2)
    time.sleep(1.7)
    slow = Source(seconds=0.2)
    slow.calls = 1

    answers = at_once(*[lambda: content(cache, slow, ttl=2)] * MANY)

    assert slow.calls == 2
    assert sorted(answers) == [b"1"] * (MANY - 1) + [b"2"]


def test_what_raises_is_raised_and_not_kept(cache, source):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fetch(cache, fail)

    assert content(cache, source) == b"1"


def test_many_who_ask_at_once_compute_once(cache):
    source = Source(seconds=0.3)

    answers = at_once(*[lambda: content(cache, source)] * MANY)

    assert set(answers) == {b"1"}
    assert source.calls == 1


def test_nobody_waits_for_one_who_fails(cache):
    calls = []

    def fail_first():
        calls.append(True)
        if len(calls) == 1:
            time.sleep(0.2)
            raise ZeroDivisionError
        return b"well"

    def ask():
        try:
            return content(cache, fail_first)
        except ZeroDivisionError:
            return b"failed"

    answers = at_once(*[ask] * 4)

    assert sorted(answers) == [b"failed", *[b"well"] * 3]


def test_after_a_slow_one_few_compute(cache, monkeypatch):
    """And not all who waited: the database has trouble enough then."""
    monkeypatch.setattr(service_module, "WAIT_SECONDS", 0.5)
    monkeypatch.setattr(service_module, "FLIGHT_SECONDS", 0.5)
    source = Source(seconds=1.0)

    at_once(*[lambda: content(cache, source)] * MANY)

    assert source.calls <= 4


def test_a_slow_one_does_not_land_its_successor(cache, source):
    def compute():
        backend = caches[cache._alias]
        backend.set(flight_key(KEY), b"another", timeout=60)
        return b"slow"

    fetch(cache, compute)

    assert caches[cache._alias].get(flight_key(KEY)) == b"another"


def test_nobody_waits_for_one_who_was_killed(cache, source, monkeypatch):
    monkeypatch.setattr(service_module, "WAIT_SECONDS", 0.2)
    cache._take_off(KEY)

    assert content(cache, source) == b"1"


def test_an_answer_that_may_lag_is_used_so_long_and_no_longer(cache, source):
    fetch(cache, source)
    cache.invalidate(TAGS)

    assert fetch(cache, source, lag=0.5).is_hit
    assert kept(cache, lag=0.5).content == b"1"
    time.sleep(0.6)
    assert kept(cache, lag=0.5) is None
    assert content(cache, source, lag=0.5) == b"2"


def test_a_clock_that_ran_back_makes_nothing_last(cache, source, monkeypatch):
    fetch(cache, source)
    cache.invalidate(TAGS)
    monkeypatch.setattr(service_module.time, "time", lambda: 1_000_000.0)

    assert content(cache, source, lag=0.5) == b"2"


def test_something_else_under_the_key_is_no_entry(cache, source):
    for other in (b"", b"e1", b"17", b"e1" + b"\0" * 40):
        caches[cache._alias].set(KEY, other, timeout=60)
        assert fetch(cache, source).is_hit is False


def test_hits_and_misses_are_counted(cache, source):
    for _ in range(4):
        fetch(cache, source)

    assert cache.usage.totals() == {"hits": 3, "misses": 1}


def test_tags_tell_when_they_changed(cache, source):
    fetch(cache, source)
    time.sleep(0.2)
    cache.invalidate(TAGS[:1])

    ages = cache.ages([*TAGS, "election:other"])

    assert 0 <= ages[TAGS[0]] < 0.2 <= ages[TAGS[1]] < 5
    assert ages["election:other"] is None


# Keys and entries ---------------------------------------------------------------------


def test_a_key_holds_every_argument_and_nothing_a_user_wrote():
    key = metrics_key("periods", constituency="A b\r\n*", period="day")

    assert key == metrics_key("periods", period="day", constituency="A b\r\n*")
    assert key.startswith("periods:")
    assert key.replace(":", "").isalnum()
    others = [
        metrics_key("periods", constituency="A b\r\n*", period="week"),
        metrics_key("pattern", constituency="A b\r\n*", period="day"),
        metrics_key("periods", constituency="A b\r\n*", period=None),
    ]
    assert len({key, *others}) == 4


def test_an_argument_without_a_stable_text_is_refused():
    with pytest.raises(TypeError):
        metrics_key("periods", constituency=object())


def test_a_tag_cannot_be_mistaken_for_another():
    tags = ["a:b", "a:b c", "a:b%20c", "a:b/c", "a:Ж", "a:*"]

    keys = {tag_key(tag) for tag in tags}

    assert len(keys) == len(tags)
    assert all(key.isascii() and " " not in key for key in keys)


def test_an_entry_survives_its_way_through_the_cache():
    entry = Entry.of(b"\0{}", versions=b"v" * 16, computed_at=1.5, fresh_until=2.5)

    assert Entry.unpacked(entry.packed()) == entry
    assert Entry.unpacked(None) is None


# The decorator ------------------------------------------------------------------------


@pytest.fixture
def calls(cache, monkeypatch):
    monkeypatch.setattr(decorator_module, "metrics_cache", lambda: cache)
    return []


@pytest.mark.parametrize("answer", [None, 0, False, "", [], {}, {"votes": [1, None]}])
def test_any_answer_is_kept(cache, calls, answer):
    @cached_metrics(tags=TAGS)
    def answer_of():
        calls.append(True)
        return answer

    assert answer_of() == answer
    assert answer_of() == answer
    assert len(calls) == 1


def test_each_argument_has_an_answer_of_its_own_and_defaults_count(cache, calls):
    @cached_metrics(tags=lambda contract_id, **_: [f"constituency:{contract_id}"])
    def votes(contract_id, start=None):
        calls.append((contract_id, start))
        return len(calls)

    nine = datetime(2026, 9, 18, 9, tzinfo=UTC)
    assert [votes("A"), votes("B"), votes("A", start=nine), votes("A", start=None)] == [
        1,
        2,
        3,
        1,
    ]
    cache.invalidate(["constituency:A"])
    assert [votes("A"), votes("B")] == [4, 2]
