"""No answer is older than a commit that was confirmed before the question came.

Writers and the web server are processes of their own; Redis is flushed, restarted and
made to evict meanwhile. `READS=50000` makes the long run of it.
"""

import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager

import pytest

from elections.models import Constituency
from tests.beside import wait_until
from tests.factories import make_constituency, make_election
from tests.journeys.processes import Processes
from tests.metrics.cache.conftest import own_redis, redis_of_module

__all__ = ["own_redis", "redis_of_module"]

pytestmark = pytest.mark.django_db(transaction=True)

READS = int(os.environ.get("READS", "3000"))
READERS, WRITERS, CONSTITUENCIES = 6, 2, 8
LAG_SECONDS = 0.5
TROUBLE_PAUSE_SECONDS = 0.7


class Truth:
    """What writers were confirmed so far."""

    def __init__(self):
        self.votes = Counter()
        self._lock = threading.Lock()
        self._totals = [(0.0, 0)]

    def confirm(self, contract_id):
        with self._lock:
            self.votes[contract_id] += 1
            self._totals.append((time.monotonic(), self._totals[-1][1] + 1))

    def total_before(self, moment):
        for confirmed_at, total in reversed(self._totals):
            if confirmed_at <= moment:
                return total
        raise AssertionError("The first total is of the beginning.")


class Reader:
    """Asks one question after the other, and notes every answer that is too old."""

    def __init__(self, port, truth, contract_ids, number):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._truth = truth
        self._contract_ids = contract_ids
        self._chance = random.Random(number)
        self.hits = Counter()
        self.stale = []

    def close(self):
        self._connection.close()

    def read(self):
        if self._chance.random() < 0.2:
            self._read_election()
        else:
            self._read_constituency()

    def _read_constituency(self):
        contract_id = self._chance.choice(self._contract_ids)
        known = self._truth.votes[contract_id]
        path = self._chance.choice(
            [
                f"constituencies/{contract_id}/",
                f"hourly-stats/?constituency={contract_id}",
            ]
        )
        told = self._ask(path)
        rows = [told] if "votes_cast" in told else told["results"]
        votes = sum(row["votes_cast"] for row in rows)
        if votes < known:
            self.stale.append((path, votes, known))

    def _read_election(self):
        known = self._truth.total_before(time.monotonic() - LAG_SECONDS)
        votes = self._ask("elections/race/")["votes_cast"]
        if votes < known:
            self.stale.append(("elections/race/", votes, known))

    def _ask(self, path):
        self._connection.request("GET", f"/api/v1/{path}")
        response = self._connection.getresponse()
        body = response.read()
        assert response.status == 200, (path, response.status, body)
        self.hits[response.headers["X-Cache"]] += 1
        return json.loads(body)


class Trouble:
    """Does something to Redis again and again."""

    def __init__(self, own_redis):
        self._redis = own_redis
        self._chance = random.Random(5)
        self.done = Counter()

    def make(self):
        kind = self._chance.choice([self.flush, self.restart, self.kill, self.evict])
        kind()
        self.done[kind.__name__] += 1

    def flush(self):
        with self._redis.client() as client:
            client.flushall()

    def restart(self):
        """Come back with what was there a moment ago."""
        with self._redis.client() as client:
            client.save()
        time.sleep(0.1)
        self._redis.stop()
        self._redis.start()

    def kill(self):
        self._redis.kill()
        self._redis.start()

    def evict(self):
        with self._redis.client() as client:
            used = client.info("memory")["used_memory"]
            client.config_set("maxmemory-policy", "allkeys-random")
            client.config_set("maxmemory", max(1, used - 20_000))
            time.sleep(0.2)
            client.config_set("maxmemory", 0)


@contextmanager
def running(own_redis, truth, contract_ids):
    """Run a web server, and writers whose word is taken down; give the server's port."""
    processes = Processes()
    with ExitStack() as stack:
        stack.callback(processes.end_all)
        port = processes.web(
            REDIS_URL=own_redis.url, API_PUBLIC_READ="1", THROTTLE_RATES="off"
        )
        for number in range(WRITERS):
            words = ("-m", "tests.journeys.writer", f"writer-{number}", *contract_ids)
            writer = subprocess.Popen(
                (sys.executable, *words),
                env=processes.environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            listener = threading.Thread(target=listen, args=(writer, truth))
            listener.start()
            for end in (writer.stdout.close, listener.join, writer.wait, writer.kill):
                stack.callback(end)
        wait_until(lambda: truth.votes.total() > 20, "the writers write")
        yield port


def listen(writer, truth):
    for line in writer.stdout:
        truth.confirm(line.strip())


def test_no_answer_is_older_than_what_was_confirmed(own_redis):
    election = make_election(slug="race", timezone="Europe/Moscow")
    for number in range(CONSTITUENCIES):
        make_constituency(election=election, contract_id=f"Race{number}")
    contract_ids = list(Constituency.objects.values_list("contract_id", flat=True))
    truth, trouble = Truth(), Trouble(own_redis)
    failures = []

    def keep_reading(reader):
        try:
            for _ in range(READS // READERS):
                reader.read()
        except Exception as error:  # noqa: BLE001 - told to the test
            failures.append(error)

    with running(own_redis, truth, contract_ids) as port:
        readers = [Reader(port, truth, contract_ids, n) for n in range(READERS)]
        threads = [threading.Thread(target=keep_reading, args=(r,)) for r in readers]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            trouble.make()
            time.sleep(TROUBLE_PAUSE_SECONDS)

    hits = sum((reader.hits for reader in readers), Counter())
    told = f"{hits.total()} reads, {dict(hits)}, {truth.votes.total()} commits"
    assert failures == []
    for reader in readers:
        reader.close()
    assert [stale for reader in readers for stale in reader.stale] == []
    # Else it would have proved nothing about the cache.
    assert hits["HIT"] > hits.total() / 20, told
    assert trouble.done.total() >= 3, told
