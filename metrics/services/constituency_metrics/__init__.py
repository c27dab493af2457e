"""What is derived from HourlyStats: totals, periods, patterns and trends."""

from metrics.services.constituency_metrics.figures import (
    TooManyHours,
    UnknownPeriod,
    activity_pattern,
    figures,
    period_series,
    velocity_trend,
)
from metrics.services.constituency_metrics.refreshing import Refresh
from metrics.services.constituency_metrics.service import ConstituencyMetricsService
from metrics.services.constituency_metrics.values import (
    Activity,
    ActivityPattern,
    Metrics,
    PeriodMetrics,
    PeriodSeries,
    TotalMetrics,
    VelocityTrend,
)

__all__ = [
    "Activity",
    "ActivityPattern",
    "ConstituencyMetricsService",
    "Metrics",
    "PeriodMetrics",
    "PeriodSeries",
    "Refresh",
    "TooManyHours",
    "TotalMetrics",
    "UnknownPeriod",
    "VelocityTrend",
    "activity_pattern",
    "figures",
    "period_series",
    "velocity_trend",
]
