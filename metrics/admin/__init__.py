"""Statistics, the update queue and the alarms, for staff."""

from metrics.admin import cache, discrepancies, statistics, updates

__all__ = ["cache", "discrepancies", "statistics", "updates"]
