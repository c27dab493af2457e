"""The verbs of the statistics."""

from metrics.services.hourly_stats import (
    Aggregation,
    HourlyStatsService,
    UnknownConstituency,
    UnknownElection,
)
from metrics.services.verification import Difference, verify

__all__ = [
    "Aggregation",
    "Difference",
    "HourlyStatsService",
    "UnknownConstituency",
    "UnknownElection",
    "verify",
]
