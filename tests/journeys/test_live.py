"""The live stream: a real process, a real Redis, and listeners that come and go."""

import itertools
import json
import shutil
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
import redis

from dashboard import tickets
from dashboard.live.changes import FRAME_ROWS
from dashboard.tickets import Ticket
from election_monitor import embedded
from metrics import events
from metrics.breaker import Breaker
from tests.beside import wait_until
from tests.journeys.processes import Processes
from tests.listening import Ended, Listening, Refused

DUMA, OVERVIEW = "/live/elections/duma/", "/live/elections/"


@pytest.fixture
def redis_url(settings, monkeypatch):
    """Let this process publish where the live process reads."""
    url = Processes().redis_url
    redis.Redis.from_url(url).flushdb()
    point_events_to(url, settings, monkeypatch)
    yield url
    events._client.cache_clear()


def point_events_to(url, settings, monkeypatch):
    settings.EVENTS_REDIS_URL = url
    events._client.cache_clear()
    monkeypatch.setattr(events, "_breaker", Breaker(pause_seconds=0.5))
    monkeypatch.setattr(events, "_lossy", set())


@pytest.fixture
def processes():
    running = Processes()
    yield running
    running.end_all()


@pytest.fixture
def port(redis_url, processes):
    _, port = processes.live(ELECTION_MONITOR_LIVE_LISTENERS="40")
    return port


@pytest.fixture
def listen(port):
    """Open a stream, by default as an observer of the election."""
    open_streams = []

    def listen(path=DUMA, *, observer=True, ticket=None, **options):
        if ticket is None:
            election = None if path == OVERVIEW else "duma"
            ticket = tickets.issue(Ticket(election, sees_constituencies=observer))
        listening = Listening(port, path, ticket=ticket, **options)
        open_streams.append(listening)
        return listening

    yield listen
    for each in open_streams:
        each.close()


def publish(constituency, version, **figures):
    content = {"constituency": constituency, "version": version, **figures}
    events.publish([events.Event("duma", events.METRICS, content)])


def publish_election(version, election="duma"):
    content = {"election": election, "version": version}
    events.publish([events.Event(election, events.METRICS, content, True)])


def told(received):
    return {
        each["constituency"]: each["version"]
        for each in received.data["constituencies"]
    }


def refusal(listen, path=DUMA, **options):
    with pytest.raises(Refused) as refused:
        listen(path, **options)
    return refused.value


# What comes ---------------------------------------------------------------------------


def test_hello_tells_the_current_id_and_events_follow_with_theirs(listen):
    publish("A", 1)

    listening = listen()
    hello = listening.next()
    assert hello.kind == "hello"
    assert hello.data == {"live_id": events.live_id("duma"), "constituencies": True}
    assert hello.last_id == events.live_id("duma")

    publish("A", 2, votes_cast=7)
    received = listening.next()

    assert received.kind == "metrics"
    assert received.data == {
        "elections": [],
        "constituencies": [{"constituency": "A", "version": 2, "votes_cast": 7}],
    }
    assert received.last_id == events.live_id("duma")


def test_the_answer_is_one_that_nobody_keeps_or_collects(listen):
    answer = listen(origin="http://localhost:8000").answer

    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:8000"


def test_pages_of_others_may_not_listen(listen):
    answer = listen(origin="https://elsewhere.example.org").answer

    assert answer.headers["Access-Control-Allow-Origin"] is None


def test_at_most_four_frames_a_second_however_much_is_published(listen):
    listening = listen()
    listening.until("hello")
    stopped = threading.Event()

    def publish_all_the_time():
        for number in itertools.count(1):
            if stopped.wait(0.01):
                return
            publish(f"c{number % 3}", number)

    publisher = threading.Thread(target=publish_all_the_time)
    publisher.start()
    listening.until("metrics")
    started = time.monotonic()
    for _ in range(4):
        listening.until("metrics")
    taken = time.monotonic() - started
    stopped.set()
    publisher.join()

    assert taken > 0.9


def test_the_overview_has_the_totals_of_all_elections_and_nothing_else(listen):
    listening = listen(OVERVIEW)
    listening.until("hello")

    publish("A", 1)
    publish_election(3)
    publish_election(5, election="mayor")

    found = {}
    while len(found) < 2:
        received = listening.until("metrics")
        assert received.data["constituencies"] == []
        found |= {e["election"]: e["version"] for e in received.data["elections"]}
    assert found == {"duma": 3, "mayor": 5}


# Who sees what ------------------------------------------------------------------------


def test_the_public_sees_totals_of_the_election_alone(listen):
    public, observer = listen(observer=False), listen()
    for each in (public, observer):
        each.until("hello")

    publish("A", 1)
    publish_election(9)

    assert public.next().data == {
        "elections": [{"election": "duma", "version": 9}],
        "constituencies": [],
    }
    seen = observer.next()
    if not seen.data["elections"]:
        seen = observer.next()
    assert seen.data["elections"] == [{"election": "duma", "version": 9}]


def test_the_public_sees_no_constituency_of_the_past_either(listen):
    publish_election(1)
    since = events.live_id("duma")
    publish("A", 1)
    publish_election(2)

    listening = listen(observer=False, after=since)

    assert listening.until("metrics").data == {
        "elections": [{"election": "duma", "version": 2}],
        "constituencies": [],
    }


def test_no_stream_without_a_ticket(listen):
    refused = refusal(listen, ticket="", origin="http://localhost:8000")

    assert (refused.status, refused.body["code"]) == (401, "ticket_missing")
    assert refused.headers["Access-Control-Allow-Origin"] == "http://localhost:8000"
    assert refused.headers["Content-Type"] == "application/json"


def test_no_stream_with_a_forged_ticket(listen):
    good = tickets.issue(Ticket("duma", sees_constituencies=False))

    refused = refusal(listen, ticket=good[:-1] + ("a" if good[-1] != "a" else "b"))

    assert (refused.status, refused.body["code"]) == (403, "ticket_invalid")


def test_no_stream_with_an_old_ticket(listen, monkeypatch):
    with monkeypatch.context() as past:
        now = time.time()
        past.setattr("django.core.signing.time.time", lambda: now - 301)
        old = tickets.issue(Ticket("duma", sees_constituencies=True))

    refused = refusal(listen, ticket=old)

    assert (refused.status, refused.body["code"]) == (403, "ticket_expired")


@pytest.mark.parametrize("election", ["mayor", None])
def test_no_stream_with_a_ticket_for_another_one(listen, election):
    other = tickets.issue(Ticket(election, sees_constituencies=True))

    refused = refusal(listen, ticket=other)

    assert (refused.status, refused.body["code"]) == (403, "ticket_of_another_stream")


def test_an_address_that_is_none_is_not_found(listen):
    refused = refusal(listen, "/live/elections/du%0Ama/")

    assert (refused.status, refused.body["code"]) == (404, "not_found")


def test_one_listener_too_many_is_told_to_come_back(listen):
    for _ in range(40):
        listen().until("hello")

    refused = refusal(listen)

    assert (refused.status, refused.body["code"]) == (503, "too_many_listeners")
    assert refused.headers["Retry-After"] == "5"


def test_who_has_gone_makes_room(listen, port):
    def listeners():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live/") as answer:
            return json.load(answer)["listeners"]

    listening = listen()
    listening.until("hello")
    assert listeners() == 1

    listening.close()

    wait_until(lambda: listeners() == 0, "the listener is gone")


# Nothing is lost ----------------------------------------------------------------------


def test_no_event_is_lost_between_snapshot_and_stream_however_often_it_tears(listen):
    """Every event is of a constituency of its own, so each one that is missing shows."""
    committed, total = {}, 2_400

    def commit_and_publish():
        for number in range(total):
            committed[f"c{number}"] = 1
            publish(f"c{number}", 1)
            # Not faster than some seconds, in which the stream can tear.
            time.sleep(0.001)

    publish("first", 1)
    publisher = threading.Thread(target=commit_and_publish)
    publisher.start()
    wait_until(lambda: len(committed) > 200, "something is committed")
    last_id = events.live_id("duma")
    known = dict(committed)
    reconnects, resets = 0, []
    deadline = time.monotonic() + 60
    while len(known) < total and time.monotonic() < deadline:
        by_header = {"after": "0-1", "last_event_id": last_id}
        with listen(**by_header if reconnects % 2 else {"after": last_id}) as listening:
            # Also torn between hello and the first event.
            for received in itertools.islice(listening, 1 + reconnects % 3):
                if received.kind == "reset":
                    resets.append(received.data)
                if received.kind == "metrics":
                    known |= told(received)
            last_id = listening.last_id
        reconnects += 1
    publisher.join()

    known.pop("first", None)
    assert resets == []
    assert known == committed
    assert reconnects > 5


def test_a_listener_that_stays_misses_nothing_either(listen):
    listening, known = listen(), {}
    listening.until("hello")

    for number in range(2_000):
        publish(f"c{number}", 1)
    while len(known) < 2_000:
        known |= told(listening.until("metrics"))

    assert listening.last_id == events.live_id("duma")


def test_a_large_past_comes_in_pieces_so_that_who_is_torn_off_gets_further(listen):
    publish("A", 1)
    since = events.live_id("duma")
    for number in range(FRAME_ROWS + 100):
        publish(f"c{number}", 1)
    newest = events.live_id("duma")

    with listen(after=since) as listening:
        hello, first = listening.next(), listening.next()
    with listen(after=listening.last_id) as again:
        again.until("hello")
        second = again.next()

    assert (hello.kind, hello.last_id) == ("hello", since)
    assert hello.data["live_id"] == newest
    assert len(told(first)) == FRAME_ROWS
    assert (len(told(second)), second.last_id) == (100, newest)


def trimmed(settings):
    """Publish until the first event is trimmed away, and return its id."""
    settings.EVENT_STREAM_LENGTH = 10
    publish("A", 1)
    first = events.live_id("duma")
    for number in range(500):
        publish("B", number)
    return first


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (None, "trimmed"),
        ("0-0", "trimmed"),
        ("99999999999999-0", "unknown"),
        ("yesterday", "malformed"),
        ("1-2-3", "malformed"),
        (f"{2**64}-0", "malformed"),
    ],
)
def test_an_id_that_cannot_be_resumed_is_reset_and_the_stream_goes_on(
    listen, settings, after, reason
):
    first = trimmed(settings)

    listening = listen(after=after or first)
    current = events.live_id("duma")
    assert listening.next().kind == "hello"
    reset = listening.next()
    publish("A", 2)

    assert reset.kind == "reset"
    assert reset.data == {"live_id": current, "reason": reason}
    assert reset.last_id == current
    assert told(listening.next()) == {"A": 2}


def test_a_slow_listener_is_dropped_with_a_reset_and_no_other_waits_for_it(listen):
    slow, quick = listen(receive_buffer=4_096), listen()
    quick.until("hello")
    padding = "x" * 4_000
    stopped = threading.Event()

    def publish_much():
        for version in itertools.count(1):
            for number in range(100):
                publish(f"c{number}", version, padding=padding)
            if stopped.wait(0.05):
                return

    publisher = threading.Thread(target=publish_much)
    publisher.start()
    latest = 0
    deadline = time.monotonic() + 12
    while time.monotonic() < deadline:
        latest = max(told(quick.until("metrics")).values())
    stopped.set()
    publisher.join()

    *before, last = slow.rest()
    assert latest > 10
    assert before[0].kind == "hello"
    assert (last.kind, last.data["reason"]) == ("reset", "slow")
    assert slow.last_id == last.data["live_id"]
    # What it comes back with leads on.
    assert listen(after=slow.last_id).next().kind == "hello"


def test_what_could_not_be_published_is_told_as_soon_as_something_can(
    listen, settings, monkeypatch, redis_url
):
    listening = listen()
    listening.until("hello")
    point_events_to("unix:///nonexistent/redis.sock", settings, monkeypatch)
    publish("A", 1)
    lossy = set(events._lossy)
    point_events_to(redis_url, settings, monkeypatch)
    monkeypatch.setattr(events, "_lossy", lossy)

    publish("B", 1)

    assert listening.next().data["reason"] == "lost"
    assert told(listening.until("metrics")) == {"B": 1}


# When something fails -----------------------------------------------------------------


def test_open_streams_do_not_hold_up_a_stop(redis_url, processes):
    process, port = processes.live()
    ticket = tickets.issue(Ticket("duma", sees_constituencies=True))
    streams = [Listening(port, DUMA, ticket=ticket) for _ in range(5)]
    for each in streams:
        each.until("hello")

    started = time.monotonic()
    process.terminate()
    process.wait(timeout=10)

    assert time.monotonic() - started < 3
    for each in streams:
        with pytest.raises(Ended):
            each.until("metrics")
        each.close()


@pytest.fixture
def own_redis():
    """A Redis that a test may kill: its VAR_DIR has a short path."""
    path = Path(tempfile.mkdtemp(prefix="em-live-"))
    embedded.start(path, postgres=False)
    yield path
    embedded.stop(path)
    shutil.rmtree(path)


def test_a_redis_that_comes_back_means_reset_and_nobody_is_sent_away(
    own_redis, processes, settings, monkeypatch
):
    socket = embedded.redis_socket(own_redis)
    url = f"unix://{socket}?db=0"
    point_events_to(url, settings, monkeypatch)
    _, port = processes.live(REDIS_URL=url)
    ticket = tickets.issue(Ticket("duma", sees_constituencies=True))
    listening = Listening(port, DUMA, ticket=ticket, seconds=30)
    listening.until("hello")

    psutil.Process(embedded.status(own_redis).redis.pid).kill()
    wait_until(lambda: events.live_id("duma") is None, "Redis is away")
    with pytest.raises(Refused) as refused:
        Listening(port, DUMA, ticket=ticket)
    embedded.start(own_redis, postgres=False)
    reset = listening.until("reset")
    wait_until(lambda: events.live_id("duma") is not None, "Redis is back")
    publish("A", 2)

    assert refused.value.status == 503
    assert refused.value.body["code"] == "unavailable"
    assert refused.value.headers["Retry-After"] == "5"
    assert reset.data["reason"] == "interrupted"
    assert told(listening.until("metrics")) == {"A": 2}
    listening.close()
    events._client.cache_clear()


def test_the_last_id_of_a_stream_that_never_was_is_the_first_one(redis_url):
    assert events.live_id("nothing") == "0-0"
    assert events.live_id(None) == "0-0"


def test_without_redis_there_is_no_last_id(settings, monkeypatch):
    point_events_to("unix:///nonexistent/redis.sock", settings, monkeypatch)

    assert events.live_id("duma") is None
    events._client.cache_clear()
