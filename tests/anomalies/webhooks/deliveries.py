"""Deliveries, for tests of webhooks: who is told, when, and what came of it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.db import transaction

from anomalies.models import Webhook, WebhookDelivery
from anomalies.services import WebhookService
from anomalies.services.webhooks import Change, new_secret

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "api.md"
SERVICE = WebhookService()
NOW = datetime(2026, 9, 19, 8, 1, tzinfo=UTC)
DEADLINE_SECONDS = 10


class Clock:
    """A clock that tests set."""

    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now

    def advance(self, seconds):
        self.now += timedelta(seconds=seconds)


def make_webhook(receiver, **fields):
    url = receiver if isinstance(receiver, str) else receiver.url
    made_up = {
        "name": f"Desk {Webhook.objects.count()}",
        "url": url,
        "secret": new_secret(),
        "created_at": NOW,
    }
    return Webhook.objects.create(**{**made_up, **fields})


def tell(*alerts, change=Change.OPENED, now=NOW):
    with transaction.atomic():
        return SERVICE.tell(alerts, change, now=now)


def send_all(clock):
    """Send what is due now; return how many attempts that took."""
    count = 0
    while SERVICE.send_next(clock=clock) is not None:
        count += 1
    return count


def deliveries():
    return list(
        WebhookDelivery.objects.order_by("id").values_list(
            "status", "attempts", "response_code"
        )
    )


def is_genuine():
    """Return the function that docs/api.md gives to receivers."""
    [recipe] = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    names = {}
    exec(recipe, names)  # noqa: S102 - our own documentation
    return names["is_genuine"]
