"""Listens to what the ledger announces."""

from django.utils import timezone

from metrics.services import HourlyStatsService
from transactions.deltas import LedgerChange
from transactions.signals import ledger_changed


def connect() -> None:
    """Start to listen; called once, when the apps are ready."""
    ledger_changed.connect(count_changes, dispatch_uid="metrics.count_changes")


def count_changes(*, change: LedgerChange, **_: object) -> None:
    """Bring statistics and totals up to date with the rows of a chunk."""
    HourlyStatsService().apply(change.deltas, now=timezone.now())
