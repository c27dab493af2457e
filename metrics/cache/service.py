"""Versioned tags over Django's cache: an entry is valid for the versions it was made with.

A tag's version is random and written whole, so invalidating one costs the same for any
number of entries, and one that was evicted or flushed never comes back as it was. The
versions are read before an answer is computed: what changes meanwhile makes the entry
invalid, not wrong.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any

import structlog
from django.core.cache import caches

from elections.tags import ACCOUNTS, DASHBOARD, HOURLY_STATS
from metrics.breaker import Breaker
from metrics.cache.entries import Entry, digest_of, new_version, time_of
from metrics.cache.invalidation import Invalidation
from metrics.cache.keys import flight_key, tag_key
from metrics.cache.redis_client import run_id
from metrics.cache.trouble import CACHE_AWAY
from metrics.cache.usage import Usage

logger = structlog.get_logger(__name__)

ALIAS = "metrics"
HOST = socket.gethostname().encode()
# A bump that got lost, whatever killed it, is over after this.
TTL_SECONDS = 60.0
# Then one request computes the entry anew, while others still get it.
FRESH_SHARE = 0.8
BREAKER_SECONDS = 1.0
# Whoever computes is taken for dead after this.
FLIGHT_SECONDS, WAIT_SECONDS = 5.0, 5.0
# After that many, one computes whoever else does.
WAITS = 3
WAIT_PAUSE_SECONDS = 0.01
# Of a tag that nobody has bumped: longer than any entry lives.
READERS_TAG_SECONDS = 120.0
# Every entry depends on it.
EVERYTHING = "all"
WHOLE_TAGS = {EVERYTHING, DASHBOARD, HOURLY_STATS, ACCOUNTS}
# With a public id.
KINDS_OF_TAGS = {"election", "constituency"}
# Of the answers of the API, as its middleware names them.
ENTRIES, ENTRIES_COUNTED = "answer:*", 1_000_000


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer, and whether it came out of the cache."""

    entry: Entry
    is_hit: bool


@dataclass(frozen=True, slots=True)
class _Look:
    """What one read of the cache found."""

    entry: Entry | None
    # None: a tag has no version.
    versions: bytes | None
    computed_at: float

    def usable(self, *, lag: float) -> Entry | None:
        """Return the entry where it may be used."""
        if self.entry is None:
            return None
        is_valid = self.entry.versions == self.versions
        is_recent = 0 <= self.computed_at - self.entry.computed_at < lag
        return self.entry if is_valid or is_recent else None


class MetricsCacheService:
    """Keeps rendered answers until what they depend on changes.

    A cache that is slow, full, flushed, restarted or gone makes answers slower, never
    wrong, and never fails one.
    """

    def __init__(self, alias: str = ALIAS) -> None:
        self._alias = alias
        self._breaker = Breaker(pause_seconds=BREAKER_SECONDS)
        self._invalidation = Invalidation(alias)
        self.usage = Usage(alias)

    def fetch(
        self,
        key: str,
        compute: Callable[[], bytes],
        *,
        tags: Sequence[str],
        ttl: float = TTL_SECONDS,
        lag: float = 0,
        is_counted: bool = True,
    ) -> Fetched:
        """Return what is kept under `key`, or what `compute` returns, and keep that.

        One of many requests computes, the others wait for it, but not for longer than
        the query takes. What `compute` raises is raised, and nothing is kept. With `lag`
        an answer may be older than its tags by as many seconds. `is_counted` says whether
        the question belongs to how much the cache is used.
        """
        if not self.is_usable:
            return Fetched(_unkept(compute()), is_hit=False)
        look = self._look(key, tags)
        if look is None:
            return Fetched(_unkept(compute()), is_hit=False)
        entry = look.usable(lag=lag)
        if entry is None:
            entry = self._others(key, tags, lag=lag)
        elif look.computed_at >= entry.fresh_until and self._take_off(key):
            # Time to compute it anew, while others still get it.
            entry = None
        if entry is not None:
            if is_counted:
                self.usage.hit()
            return Fetched(entry, is_hit=True)
        try:
            fetched = self._compute(key, compute, tags=tags, ttl=ttl)
        finally:
            self._land(key)
        if is_counted:
            self.usage.miss()
        return fetched

    def invalidate(self, tags: Iterable[str]) -> None:
        """Let no entry of these tags be used any more; call it after the commit.

        One write per tag, whatever the number of entries. If the cache is away, this
        process repeats it until it succeeds, and answers without the cache meanwhile.
        """
        self._invalidation.bump(tags)

    def invalidate_all(self) -> None:
        """Let no entry be used any more."""
        self.invalidate([EVERYTHING])

    @property
    def is_owing(self) -> bool:
        """Tell whether what this process ended may still be kept."""
        return self._invalidation.is_owing

    @property
    def is_usable(self) -> bool:
        """Tell whether the cache may be asked: it answers, and no bump is owed to it."""
        return not self._breaker.is_open and not self.is_owing

    def ages(self, tags: Sequence[str]) -> dict[str, float | None]:
        """Return the seconds since each tag changed; None for one without a version."""
        kept = self._ask("get_many", [tag_key(tag) for tag in tags])
        now = time.time()
        versions = {tag: (kept or {}).get(tag_key(tag)) for tag in tags}
        return {
            tag: None if version is None else max(0.0, now - time_of(version))
            for tag, version in versions.items()
        }

    def count_entries(self) -> int | None:
        """Return how many answers are kept, valid or not; None where nobody can tell.

        Looks at every key of the cache: for staff, not for the night.
        """
        # Of Redis alone; a cache in memory tells no keys.
        if not hasattr(caches[self._alias], "iter_keys"):
            return None
        keys = self._ask("iter_keys", ENTRIES, itersize=1_000)
        if keys is None:
            return None
        try:
            return sum(1 for _ in islice(keys, ENTRIES_COUNTED))
        except CACHE_AWAY:
            return None

    def _look(self, key: str, tags: Sequence[str]) -> _Look | None:
        """Read entry and versions at once; None where the cache does not answer."""
        names = [tag_key(tag) for tag in (EVERYTHING, *tags)]
        now = time.time()
        kept = self._ask("get_many", [key, *names])
        if kept is None:
            return None
        versions = [kept[name] for name in names if name in kept]
        is_whole = len(versions) == len(names)
        return _Look(
            entry=Entry.unpacked(kept.get(key)),
            versions=digest_of(run_id(), versions) if is_whole else None,
            computed_at=now,
        )

    def _compute(
        self,
        key: str,
        compute: Callable[[], bytes],
        *,
        tags: Sequence[str],
        ttl: float,
    ) -> Fetched:
        """Read the versions, then compute, then keep."""
        look = self._look_with_versions(key, tags)
        content = compute()
        if look is None or look.versions is None:
            return Fetched(_unkept(content), is_hit=False)
        entry = Entry.of(
            content,
            versions=look.versions,
            computed_at=look.computed_at,
            fresh_until=look.computed_at + ttl * FRESH_SHARE,
        )
        self._keep(key, entry, ttl=ttl)
        return Fetched(entry, is_hit=False)

    def _look_with_versions(self, key: str, tags: Sequence[str]) -> _Look | None:
        """Read the versions; give one to each tag that has none."""
        look = self._look(key, tags)
        if look is None or look.versions is not None:
            return look
        version = new_version(time.time())
        for tag in (EVERYTHING, *tags):
            # Only where there is none: another process may be faster.
            # And not for ever: a request may name any tag.
            self._ask("add", tag_key(tag), version, timeout=READERS_TAG_SECONDS)
        return self._look(key, tags)

    def _keep(self, key: str, entry: Entry, *, ttl: float) -> None:
        # From when it was computed: a slow one does not live longer.
        left = entry.computed_at + ttl - time.time()
        if left > 0:
            self._ask("set", key, entry.packed(), timeout=left)

    def _take_off(self, key: str) -> bool:
        """Tell whether this request is the one that computes."""
        flight = flight_key(key)
        return bool(self._ask("add", flight, self._token(), timeout=FLIGHT_SECONDS))

    def _land(self, key: str) -> None:
        # Not that of a successor, where this one took too long.
        if self._ask("get", flight_key(key)) == self._token():
            self._ask("delete", flight_key(key))

    def _token(self) -> bytes:
        """Return the name of this request: of a thread of a process, on one machine."""
        return b"%s %d %d" % (HOST, os.getpid(), threading.get_ident())

    def _others(self, key: str, tags: Sequence[str], *, lag: float) -> Entry | None:
        """Return what another request has computed; None where this one has to.

        Whoever fails, or is slow, is followed by one, not by all who waited.
        """
        for _ in range(WAITS):
            if self._take_off(key):
                return None
            if (entry := self._wait(key, tags, lag=lag)) is not None:
                return entry
        self._take_off(key)
        return None

    def _wait(self, key: str, tags: Sequence[str], *, lag: float) -> Entry | None:
        """Wait for whoever computes; None where that comes to nothing."""
        ends_at = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < ends_at:
            time.sleep(WAIT_PAUSE_SECONDS)
            is_flying = self._ask("get", flight_key(key))
            look = self._look(key, tags)
            if look is None:
                return None
            if (entry := look.usable(lag=lag)) is not None:
                return entry
            if not is_flying:
                return None
        return None

    def _ask(self, method: str, *args: Any, **options: Any) -> Any:
        """Return what the cache answers; None where it does not, for a while."""
        if self._breaker.is_open:
            return None
        try:
            return getattr(caches[self._alias], method)(*args, **options)
        except CACHE_AWAY as error:
            self._breaker.open()
            logger.warning("The cache does not answer", reason=str(error))
            return None


def _unkept(content: bytes) -> Entry:
    return Entry.of(content, versions=b"", computed_at=time.time(), fresh_until=0)


def is_known_tag(tag: str) -> bool:
    """Tell whether answers can depend on such a tag."""
    kind, _, public_id = tag.partition(":")
    return tag in WHOLE_TAGS or (kind in KINDS_OF_TAGS and bool(public_id))


@cache
def metrics_cache() -> MetricsCacheService:
    """Return the cache of this process."""
    return MetricsCacheService()
