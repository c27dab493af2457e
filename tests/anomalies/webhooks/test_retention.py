"""Deliveries are deleted some time after their last attempt, what is still needed is not."""

from datetime import timedelta

import pytest
from celery import current_app
from django.conf import settings as project
from django.utils import timezone

from anomalies.models import Alert, Webhook, WebhookDelivery
from anomalies.services.webhooks import Change
from anomalies.tasks import prune
from elections.locks import Lock, alone, key_of
from tests.anomalies.webhooks.deliveries import (
    NOW,
    SERVICE,
    Clock,
    deliveries,
    make_webhook,
    send_all,
    tell,
)
from tests.beside import elsewhere

pytestmark = pytest.mark.django_db

YEARS_LATER = NOW + timedelta(days=1_000)


def new_version(alert, **fields):
    """Change an alert, as evaluations and staff do."""
    alert.version += 1
    Alert.objects.filter(pk=alert.pk).update(version=alert.version, **fields)
    return alert


def test_what_was_sent_or_given_up_is_deleted_after_the_retention(
    webhook, clock, receiver, settings
):
    settings.WEBHOOK_RETENTION_DAYS = 2
    SERVICE.send_test(webhook, now=NOW)
    send_all(clock)
    receiver.answer = 410
    SERVICE.send_test(webhook, now=NOW)
    send_all(clock)
    assert deliveries() == [("sent", 1, 200), ("dead", 1, 410)]

    assert SERVICE.prune(NOW + timedelta(days=2)) == 0
    assert SERVICE.prune(NOW + timedelta(days=2, hours=1)) == 2
    assert deliveries() == []


def test_what_is_still_to_be_sent_is_kept_however_old(webhook, clock, receiver):
    receiver.answer = 500
    SERVICE.send_test(webhook, now=NOW)
    send_all(clock)
    Webhook.objects.update(is_on=False)
    SERVICE.send_test(webhook, now=NOW)

    assert SERVICE.prune(YEARS_LATER) == 0
    assert deliveries() == [("failed", 1, 500), ("pending", 0, None)]


def test_what_is_sent_again_is_kept_as_long_again(webhook, clock, receiver):
    SERVICE.send_test(webhook, now=NOW)
    send_all(clock)
    clock.advance(29 * 86_400)
    SERVICE.send_again([WebhookDelivery.objects.get().pk], now=clock.now)
    send_all(clock)

    assert SERVICE.prune(NOW + timedelta(days=31)) == 0
    assert deliveries() == [("sent", 1, 200)]


def test_of_an_open_alert_the_newest_delivery_to_each_webhook_is_kept(
    webhook, alert, clock, receiver
):
    other = make_webhook(receiver)
    tell(alert)
    tell(new_version(alert))
    send_all(clock)

    assert SERVICE.prune(YEARS_LATER) == 2
    kept = WebhookDelivery.objects.order_by("id").values_list("webhook", "version")
    assert list(kept) == [(webhook.pk, 2), (other.pk, 2)]

    new_version(alert, status="cleared")
    assert SERVICE.prune(YEARS_LATER) == 2


def test_an_alert_is_followed_though_it_was_told_of_before_the_retention(
    receiver, alert, clock
):
    make_webhook(receiver, least_severity="warning")
    tell(alert)
    send_all(clock)
    SERVICE.prune(YEARS_LATER)

    assert tell(new_version(alert, severity="info"), change=Change.CHANGED) == 1


def test_it_is_deleted_in_pieces(webhook, clock, receiver, monkeypatch):
    monkeypatch.setattr("metrics.services.pruning.PIECE_ROWS", 2)
    for _ in range(5):
        SERVICE.send_test(webhook, now=NOW)
    send_all(clock)

    assert SERVICE.prune(NOW + timedelta(days=31)) == 5


def test_the_task_deletes_what_is_beyond_the_retention(webhook, receiver):
    long_ago = Clock(timezone.now() - timedelta(days=31))
    SERVICE.send_test(webhook, now=long_ago.now)
    send_all(long_ago)

    assert prune() == 1
    scheduled = {each["task"] for each in project.CELERY_BEAT_SCHEDULE.values()}
    assert prune.name in scheduled & set(current_app.tasks)


@pytest.mark.django_db(transaction=True)
def test_one_process_deletes_at_a_time(webhook, receiver):
    long_ago = Clock(timezone.now() - timedelta(days=31))
    SERVICE.send_test(webhook, now=long_ago.now)
    send_all(long_ago)

    with alone(Lock.PERIODIC_TASK, key_of(prune.name)):
        assert elsewhere(prune) == 0

    assert deliveries() == [("sent", 1, 200)]
