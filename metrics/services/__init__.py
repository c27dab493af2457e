"""The verbs of the statistics."""

from metrics.services.hourly_stats import (
    Aggregation,
    HourlyStatsService,
    UnknownConstituency,
)
from metrics.services.verification import Difference, verify

__all__ = [
    "Aggregation",
    "Difference",
    "HourlyStatsService",
    "UnknownConstituency",
    "verify",
]
