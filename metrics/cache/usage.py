"""How much the cache is used, over all processes."""

import time

from django.core.cache import caches

from metrics.cache.trouble import CACHE_AWAY

NAMES = ("hits", "misses")
FLUSH_SECONDS = 1.0


class Usage:
    """Counts in this process, and adds to the sums of all once a second.

    Approximate by design: counting exactly would cost each hit a second write.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._counts = dict.fromkeys(NAMES, 0)
        self._flushed_at = time.monotonic()

    def hit(self) -> None:
        """Count an answer out of the cache."""
        self._count("hits")

    def miss(self) -> None:
        """Count an answer that had to be computed."""
        self._count("misses")

    def totals(self) -> dict[str, int] | None:
        """Return what all processes counted; None where the cache does not answer."""
        try:
            self._flush()
            kept = caches[self._alias].get_many([_key(name) for name in NAMES])
        except CACHE_AWAY:
            return None
        return {name: int(kept.get(_key(name), 0)) for name in NAMES}

    def _count(self, name: str) -> None:
        self._counts[name] += 1
        if time.monotonic() - self._flushed_at > FLUSH_SECONDS:
            try:
                self._flush()
            except CACHE_AWAY:
                return

    def _flush(self) -> None:
        self._flushed_at = time.monotonic()
        counts, self._counts = self._counts, dict.fromkeys(NAMES, 0)
        backend = caches[self._alias]
        for name, number in counts.items():
            if number:
                backend.add(_key(name), 0, timeout=None)
                try:
                    backend.incr(_key(name), number)
                except ValueError:
                    # Flushed or evicted in between: these are not counted.
                    continue


def _key(name: str) -> str:
    return f"usage:{name}"
