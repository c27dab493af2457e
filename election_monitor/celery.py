"""The Celery app: the engine that runs what the outbox holds."""

import os

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "election_monitor.settings")


def leave_logging_to_django(**_: object) -> None:
    """Keep Celery from replacing the log format of the settings."""


# Held strongly: a signal forgets a function that nobody else holds.
signals.setup_logging.connect(leave_logging_to_django, weak=False)

app = Celery("election_monitor")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
