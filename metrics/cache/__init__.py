"""Answers kept in Redis, never older than what their tags allow."""

from metrics.cache.decorator import cached_metrics
from metrics.cache.entries import Entry
from metrics.cache.keys import metrics_key
from metrics.cache.service import (
    EVERYTHING,
    TTL_SECONDS,
    Fetched,
    MetricsCacheService,
    is_known_tag,
    metrics_cache,
)

__all__ = [
    "EVERYTHING",
    "TTL_SECONDS",
    "Entry",
    "Fetched",
    "MetricsCacheService",
    "cached_metrics",
    "is_known_tag",
    "metrics_cache",
    "metrics_key",
]
