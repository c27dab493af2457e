"""How the cache does, for whoever runs the system."""

from dataclasses import dataclass

from elections.models import Election
from elections.tags import DASHBOARD, HOURLY_STATS, election_tag
from metrics.cache import EVERYTHING, metrics_cache

# The newest ones.
ELECTIONS_SHOWN = 50


@dataclass(frozen=True, slots=True)
class TagAge:
    """A tag, and the seconds since it changed; None for one that nobody asked for."""

    tag: str
    age_seconds: float | None


@dataclass(frozen=True, slots=True)
class CacheState:
    """What is known of the cache; None where it does not answer."""

    is_usable: bool
    hits: int | None
    misses: int | None
    # Of all processes, 0 to 1; None before the first question.
    hit_rate: float | None
    entries: int | None
    tags: list[TagAge]


def cache_state() -> CacheState:
    """Ask the cache how it does; one query, for the names of elections."""
    cache = metrics_cache()
    slugs = Election.objects.order_by("-pk").values_list("slug", flat=True)
    tags = [election_tag(slug) for slug in slugs[:ELECTIONS_SHOWN]]
    ages = cache.ages([EVERYTHING, DASHBOARD, HOURLY_STATS, *tags])
    counted = cache.usage.totals() or {}
    hits, misses = counted.get("hits"), counted.get("misses")
    asked = (hits or 0) + (misses or 0)
    return CacheState(
        is_usable=cache.is_usable,
        hits=hits,
        misses=misses,
        hit_rate=(hits or 0) / asked if asked else None,
        entries=cache.count_entries(),
        tags=[TagAge(tag, age) for tag, age in ages.items()],
    )
