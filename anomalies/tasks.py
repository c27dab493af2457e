"""What Celery runs. Safe to run twice, late or never: the queue is the truth."""

from celery import shared_task
from django.utils import timezone

from anomalies.services.queue import ask_for_due


@shared_task(name="anomalies.evaluate_active_elections")
def evaluate_active_elections(**_: object) -> int:
    """Ask for an evaluation of every election that is going on."""
    return ask_for_due(timezone.now())
