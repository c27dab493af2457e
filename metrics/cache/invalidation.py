"""Bumps: what must not get lost, since an entry that survives one would be wrong."""

import time
from collections.abc import Iterable
from threading import Lock, Thread

import structlog
from django.core.cache import caches

from metrics.cache.entries import new_version
from metrics.cache.keys import tag_key
from metrics.cache.trouble import CACHE_AWAY

logger = structlog.get_logger(__name__)

REPEAT_SECONDS = 0.2


class Invalidation:
    """Gives tags new versions; repeats what the cache did not take until it does."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._lock = Lock()
        self._owed: set[str] = set()
        self._repeater: Thread | None = None

    @property
    def is_owing(self) -> bool:
        """Tell whether entries may be valid in the cache that should not be."""
        repeater = self._repeater
        if repeater is not None and not repeater.is_alive():
            # This process is a fork of the one that owed.
            self._owe(set())
        return repeater is not None

    def bump(self, tags: Iterable[str]) -> None:
        """Give each tag a version that it never had."""
        bumped = set(tags)
        # Also while others are owed: the cache may be back, and answer others already.
        if bumped and not self._write(bumped):
            self._owe(bumped)

    def _write(self, tags: Iterable[str]) -> bool:
        version = new_version(time.time())
        keys = [tag_key(tag) for tag in tags]
        backend = caches[self._alias]
        try:
            backend.set_many(dict.fromkeys(keys, version), timeout=None)
        except CACHE_AWAY:
            try:
                # A cache that is full still deletes, and no version is a new one, too.
                backend.delete_many(keys)
            except CACHE_AWAY as error:
                logger.warning("Cache tags are not bumped yet", reason=str(error))
                return False
        return True

    def _owe(self, tags: set[str]) -> None:
        with self._lock:
            self._owed |= tags
            if self._repeater is None or not self._repeater.is_alive():
                self._repeater = Thread(
                    target=self._repeat, name="bump-cache-tags", daemon=True
                )
                self._repeater.start()

    def _repeat(self) -> None:
        while True:
            time.sleep(REPEAT_SECONDS)
            # What is owed anew while this is written has to be written once more.
            with self._lock:
                taken, self._owed = self._owed, set()
            try:
                is_written = self._write(taken)
            except Exception:
                # Whatever it was: what is owed stays owed.
                logger.exception("Cache tags are not bumped yet")
                is_written = False
            with self._lock:
                if not is_written:
                    self._owed |= taken
                elif not self._owed:
                    self._repeater = None
                    return
