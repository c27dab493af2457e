"""A cache over Redis, and one over the memory of this process."""

import itertools
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from election_monitor import embedded
from election_monitor import settings as written_settings
from election_monitor.embedded import processes
from metrics.cache import MetricsCacheService, service

DEADLINE_SECONDS = 30
_numbers = itertools.count()


@pytest.fixture
def memory(settings):
    """The alias of a cache in the memory of this process, empty."""
    place = f"test-{next(_numbers)}"
    backend = "django.core.cache.backends.locmem.LocMemCache"
    settings.CACHES = {
        **settings.CACHES,
        "memory": {"BACKEND": backend, "LOCATION": place},
    }
    return "memory"


@dataclass(frozen=True)
class OwnRedis:
    """A Redis that a test may stop, fill and flush."""

    var_dir: Path
    url: str

    def start(self):
        embedded.start(self.var_dir, postgres=False)

    def stop(self):
        embedded.stop(self.var_dir)

    def kill(self):
        pid = self._pid()
        processes.send([pid], signal.SIGKILL)
        assert processes.wait_until(
            lambda: not processes.is_alive(pid), seconds=DEADLINE_SECONDS
        )

    def hang(self):
        processes.send([self._pid()], signal.SIGSTOP)

    def go_on(self):
        processes.send([self._pid()], signal.SIGCONT)

    def client(self):
        return redis.Redis.from_url(self.url)

    def commands(self):
        """Return how often each command was called so far."""
        with self.client() as client:
            stats = client.info("commandstats")
        return {
            name.removeprefix("cmdstat_"): told["calls"] for name, told in stats.items()
        }

    def _pid(self):
        pid = embedded.status(self.var_dir).redis.pid
        assert pid
        return pid


@pytest.fixture(scope="module")
def redis_of_module():
    directory = Path(tempfile.mkdtemp(prefix="em-"))
    var_dir = directory / "var"
    own = OwnRedis(var_dir, embedded.redis_url(var_dir))
    own.start()
    yield own
    own.stop()
    shutil.rmtree(directory)


@pytest.fixture
def own_redis(redis_of_module, settings):
    """A Redis of this test alone, empty; the cache `metrics` is in it."""
    redis_of_module.start()
    with redis_of_module.client() as client:
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
        client.flushall()
    metrics = written_settings.CACHES["metrics"]
    url = f"{redis_of_module.url}&client_name=test"
    settings.CACHES = {**settings.CACHES, "metrics": metrics | {"LOCATION": url}}
    # Without what the test before has left: a breaker that is open, a bump that is owed.
    service.metrics_cache.cache_clear()
    return redis_of_module


@pytest.fixture(params=["memory", "redis"])
def cache(request):
    """The service over both backends."""
    if request.param == "memory":
        return MetricsCacheService(request.getfixturevalue("memory"))
    request.getfixturevalue("own_redis")
    return MetricsCacheService()
