"""Listens to what the statistics announce."""

from collections.abc import Collection, Mapping
from datetime import datetime

from anomalies import queries
from anomalies.services.queue import ask_after_refresh, register_handlers
from metrics import open_alerts
from metrics.signals import metrics_refreshed


def connect() -> None:
    """Start to listen; called once, when the apps are ready."""
    metrics_refreshed.connect(ask_for_evaluation, dispatch_uid="anomalies.evaluate")
    register_handlers()
    open_alerts.register(queries.open_alerts)


def ask_for_evaluation(
    *, hours: Mapping[int, Collection[datetime]], now: datetime, **_: object
) -> None:
    """Ask for an evaluation of elections in which hours that are over have changed."""
    ask_after_refresh(hours, now=now)
