"""What Celery runs. Safe to run twice, late or never: the rows are the truth."""

import time

from celery import shared_task

from anomalies.services import WebhookService
from anomalies.services.queue import ask_for_due
from anomalies.services.webhooks import SEND_DELIVERIES, wake_sender
from elections.clock import database_now
from elections.locks import Lock, alone, key_of

PRUNE = "anomalies.prune"
# A receiver may take the whole time-out: the live figures are not to wait for longer.
ROUND_SECONDS = 5.0


@shared_task(name="anomalies.evaluate_active_elections")
def evaluate_active_elections(**_: object) -> int:
    """Ask for an evaluation of every election that is going on."""
    return ask_for_due(database_now())


@shared_task(name=SEND_DELIVERIES)
def send_deliveries(**_: object) -> int:
    """Send what webhooks are to be told, for some seconds; return how many it tried.

    One process at a time: the others are free for the figures.
    """
    service, tried, ends_at = WebhookService(), 0, time.monotonic() + ROUND_SECONDS
    with alone(Lock.PERIODIC_TASK, key_of(SEND_DELIVERIES)) as is_only:
        while is_only and time.monotonic() < ends_at:
            if service.send_next(clock=database_now) is None:
                return tried
            tried += 1
    if is_only:
        wake_sender()
    return tried


@shared_task(name=PRUNE)
def prune(**_: object) -> int:
    """Remove deliveries that were sent or given up long ago; return how many."""
    with alone(Lock.PERIODIC_TASK, key_of(PRUNE)) as is_only:
        return WebhookService().prune(database_now()) if is_only else 0
