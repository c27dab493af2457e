"""Answers kept in Redis, never older than what their tags allow."""

from metrics.cache.decorator import cached_metrics
from metrics.cache.entries import Entry
from metrics.cache.keys import metrics_key
from metrics.cache.service import (
    TTL_SECONDS,
    Fetched,
    MetricsCacheService,
    metrics_cache,
)

__all__ = [
    "TTL_SECONDS",
    "Entry",
    "Fetched",
    "MetricsCacheService",
    "cached_metrics",
    "metrics_cache",
    "metrics_key",
]
