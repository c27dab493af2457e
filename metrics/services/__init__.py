"""The verbs of the statistics."""

from metrics.services.cache_state import CacheState, cache_state
from metrics.services.constituency_metrics import (
    Activity,
    ActivityPattern,
    ConstituencyMetricsService,
    PeriodMetrics,
    PeriodSeries,
    Refresh,
    TooManyHours,
    TotalMetrics,
    UnknownPeriod,
    VelocityTrend,
)
from metrics.services.discrepancies import record_differences, resolve_discrepancies
from metrics.services.election_metrics import ElectionMetrics, ElectionMetricsService
from metrics.services.hourly_stats import (
    Aggregation,
    HourlyStatsService,
    UnknownConstituency,
    UnknownElection,
)
from metrics.services.minutes import MinuteStatsService
from metrics.services.sampling import verify_sample
from metrics.services.series import SeriesService
from metrics.services.updates import (
    MetricsUpdateService,
    Priority,
    Request,
    UnknownScope,
)
from metrics.services.verification import Difference, verify

__all__ = [
    "Activity",
    "ActivityPattern",
    "Aggregation",
    "CacheState",
    "ConstituencyMetricsService",
    "Difference",
    "ElectionMetrics",
    "ElectionMetricsService",
    "HourlyStatsService",
    "MetricsUpdateService",
    "MinuteStatsService",
    "PeriodMetrics",
    "PeriodSeries",
    "Priority",
    "Refresh",
    "Request",
    "SeriesService",
    "TooManyHours",
    "TotalMetrics",
    "UnknownConstituency",
    "UnknownElection",
    "UnknownPeriod",
    "UnknownScope",
    "VelocityTrend",
    "cache_state",
    "record_differences",
    "resolve_discrepancies",
    "verify",
    "verify_sample",
]
