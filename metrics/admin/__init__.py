"""Statistics, the update queue and the alarms, for staff."""

from metrics.admin import discrepancies, statistics, updates

__all__ = ["discrepancies", "statistics", "updates"]
