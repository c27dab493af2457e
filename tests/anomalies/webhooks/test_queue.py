"""Deliveries are tried until they succeed or are dead, and each by one worker at a time."""

from datetime import timedelta

import pytest
from celery import current_app

from anomalies.models import Webhook, WebhookDelivery
from anomalies.services import posting
from anomalies.services import webhooks as webhooks_module
from anomalies.services.webhooks import ATTEMPTS, SEND_DELIVERIES
from anomalies.tasks import send_deliveries
from elections.locks import Lock, alone, key_of
from tests.anomalies.factories import make_alert
from tests.anomalies.webhooks.deliveries import (
    NOW,
    SERVICE,
    Clock,
    deliveries,
    send_all,
    tell,
)
from tests.beside import at_once, elsewhere
from tests.factories import make_election

pytestmark = pytest.mark.django_db


# What becomes of it -------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_2xx_is_a_success(webhook, alert, clock, receiver, status):
    receiver.answer = status
    tell(alert)
    send_all(clock)

    assert deliveries() == [("sent", 1, status)]
    assert WebhookDelivery.objects.get().sent_at == NOW
    clock.advance(100_000)
    assert send_all(clock) == 0


def test_a_failing_receiver_is_tried_again_later_and_later(
    webhook, alert, clock, receiver
):
    receiver.answer = 500
    tell(alert)

    pauses = []
    for _ in range(4):
        assert send_all(clock) == 1
        due = WebhookDelivery.objects.get().available_at
        pauses.append((due - clock.now).total_seconds())
        clock.now = due - timedelta(seconds=1)
        assert send_all(clock) == 0
        clock.now = due

    assert pauses == [10, 20, 40, 80]
    assert deliveries() == [("failed", 4, 500)]
    receiver.answer = 200
    send_all(clock)
    assert deliveries() == [("sent", 5, 200)]
    ids = {each.headers["X-Election-Monitor-Delivery"] for each in receiver.received}
    assert len(receiver.received) == 5
    assert len(ids) == 1


def test_what_fails_too_often_is_dead_and_can_be_sent_again(
    webhook, alert, clock, receiver
):
    receiver.answer = 503
    tell(alert)
    for _ in range(ATTEMPTS + 3):
        send_all(clock)
        clock.advance(100_000)
    assert deliveries() == [("dead", ATTEMPTS, 503)]
    assert len(receiver.received) == ATTEMPTS

    receiver.answer = 200
    pk = WebhookDelivery.objects.get().pk
    assert SERVICE.send_again([pk], now=clock.now) == 1
    send_all(clock)

    assert deliveries() == [("sent", 1, 200)]


def test_what_waits_for_its_first_attempt_is_not_asked_for_again(webhook, alert):
    tell(alert)

    assert SERVICE.send_again([WebhookDelivery.objects.get().pk], now=NOW) == 0


def test_410_switches_the_webhook_off_and_the_others_wait(
    webhook, alert, clock, receiver
):
    receiver.answer = 410
    other = make_alert(election=alert.election)
    tell(alert, other)
    send_all(clock)

    webhook.refresh_from_db()
    assert webhook.is_on is False
    assert deliveries() == [("dead", 1, 410), ("pending", 0, None)]
    assert len(receiver.received) == 1
    assert tell(make_alert(election=alert.election)) == 0


def test_what_waited_is_sent_when_the_webhook_is_on_again(
    webhook, alert, clock, receiver
):
    tell(alert)
    Webhook.objects.update(is_on=False)
    assert send_all(clock) == 0

    Webhook.objects.update(is_on=True)

    assert send_all(clock) == 1


# Workers ------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_send_the_same_version_twice(webhook, receiver):
    election = make_election()
    tell(*(make_alert(election=election) for _ in range(12)))
    at_once(*[lambda: send_all(Clock())] * 3)

    sent = [each.headers["X-Election-Monitor-Delivery"] for each in receiver.received]
    assert len(sent) == len(set(sent)) == 12
    assert set(deliveries()) == {("sent", 1, 200)}


@pytest.mark.django_db(transaction=True)
def test_what_one_worker_has_in_hand_another_passes_by(webhook, clock, receiver):
    tell(make_alert())
    others = []

    def look(handler):
        others.append(elsewhere(lambda: SERVICE.send_next(clock=clock)))
        return 200

    receiver.answer = look
    send_all(clock)

    assert others == [None]
    assert len(receiver.received) == 1


def be_killed(monkeypatch, clock):
    """Claim a delivery, and be killed while it is sent."""

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(posting, "post", die)
        with pytest.raises(KeyboardInterrupt):
            SERVICE.send_next(clock=clock)


def test_what_a_killed_worker_had_in_hand_is_sent_after_its_lease(
    webhook, alert, clock, receiver, monkeypatch
):
    tell(alert)
    be_killed(monkeypatch, clock)
    assert send_all(clock) == 0

    clock.advance(webhooks_module.LEASE_SECONDS)
    send_all(clock)

    assert deliveries() == [("sent", 2, 200)]


def test_what_kills_every_worker_is_dead(webhook, alert, clock, monkeypatch):
    tell(alert)
    for _ in range(ATTEMPTS):
        be_killed(monkeypatch, clock)
        clock.advance(webhooks_module.LEASE_SECONDS)

    assert send_all(clock) == 0
    assert deliveries() == [("dead", ATTEMPTS, None)]
    assert "killed" in WebhookDelivery.objects.get().error


def test_a_worker_that_lost_its_lease_overwrites_nothing(
    webhook, alert, clock, receiver
):
    tell(alert)
    late = SERVICE._claim(clock())
    clock.advance(webhooks_module.LEASE_SECONDS)
    send_all(clock)

    SERVICE._fail(late, 500, "late", clock())

    assert deliveries() == [("sent", 2, 200)]
    assert WebhookDelivery.objects.get().error == ""


def test_the_task_sends_what_is_due(webhook, alert, receiver):
    tell(alert)

    assert SEND_DELIVERIES in current_app.tasks
    assert send_deliveries() == 1
    assert len(receiver.received) == 1


@pytest.mark.django_db(transaction=True)
def test_one_process_sends_at_a_time(webhook, receiver):
    tell(make_alert())

    with alone(Lock.PERIODIC_TASK, key_of(SEND_DELIVERIES)):
        assert elsewhere(send_deliveries) == 0

    assert receiver.received == []


def test_a_round_that_ends_early_asks_for_the_next(webhook, alert, monkeypatch):
    woken = []
    monkeypatch.setattr("anomalies.tasks.ROUND_SECONDS", 0.0)
    monkeypatch.setattr("anomalies.tasks.wake_sender", lambda: woken.append(1))
    tell(alert)

    assert send_deliveries() == 0
    assert woken == [1]


# Clocks that ran ahead ----------------------------------------------------------------

AHEAD_SECONDS = 365 * 86_400


def test_what_a_fast_clock_put_off_after_a_failure_is_tried_at_once(
    webhook, alert, clock, receiver
):
    receiver.answer = 500
    tell(alert)
    send_all(Clock(NOW + timedelta(seconds=AHEAD_SECONDS)))
    receiver.answer = 200

    assert send_all(clock) == 1
    assert deliveries() == [("sent", 2, 200)]


def test_what_a_worker_with_a_fast_clock_had_in_hand_is_sent(
    webhook, alert, clock, receiver, monkeypatch
):
    tell(alert)
    be_killed(monkeypatch, Clock(NOW + timedelta(seconds=AHEAD_SECONDS)))

    assert send_all(clock) == 1
    assert deliveries() == [("sent", 2, 200)]


def test_what_was_told_by_a_fast_clock_is_sent(webhook, alert, clock, receiver):
    tell(alert, now=NOW + timedelta(seconds=AHEAD_SECONDS))

    assert send_all(clock) == 1


def test_what_killed_workers_with_a_fast_clock_is_dead(
    webhook, alert, clock, monkeypatch
):
    tell(alert)
    fast = Clock(NOW + timedelta(seconds=AHEAD_SECONDS))
    for _ in range(ATTEMPTS):
        be_killed(monkeypatch, fast)
        fast.advance(webhooks_module.LEASE_SECONDS)

    assert send_all(clock) == 0
    assert deliveries() == [("dead", ATTEMPTS, None)]


@pytest.mark.django_db(transaction=True)
def test_clocks_that_differ_by_seconds_take_nothing_from_each_other(
    webhook, clock, receiver
):
    tell(make_alert())
    others = []

    def look(handler):
        behind = Clock(NOW - timedelta(seconds=5))
        others.append(elsewhere(lambda: SERVICE.send_next(clock=behind)))
        return 200

    receiver.answer = look
    send_all(clock)

    assert others == [None]


@pytest.mark.parametrize("failures", [1, 4, ATTEMPTS - 1])
def test_no_pause_is_taken_for_a_fast_clock(webhook, alert, clock, receiver, failures):
    receiver.answer = 500
    tell(alert)
    for _ in range(failures):
        send_all(clock)
        clock.now = WebhookDelivery.objects.get().available_at
    clock.advance(-1)

    assert send_all(clock) == 0
