"""Webhooks are told of every version of an alert, once, in the transaction of its change."""

import json
import re

import pytest
from celery import current_app
from django.db import IntegrityError, transaction

from anomalies.models import Alert, Webhook, WebhookDelivery
from anomalies.rules.findings import Finding, Severity
from anomalies.services import AlertService, AnomalyService, ImpossibleTransition
from anomalies.services.evaluation import Assessment
from anomalies.services.webhooks import SEND_DELIVERIES, Change
from election_monitor.deletion import delete_simulated_election
from elections.locks import NotInTransaction
from tests.anomalies.factories import HOUR, make_alert
from tests.anomalies.webhooks.deliveries import (
    DOCUMENT,
    NOW,
    SERVICE,
    make_webhook,
    send_all,
    tell,
)
from tests.factories import make_constituency, make_election, make_staff

pytestmark = pytest.mark.django_db


def finding(election, place, **fields):
    return Finding(
        rule="S01",
        election=election.pk,
        constituency=place.pk,
        started_hour=HOUR,
        ended_hour=HOUR,
        severity=Severity.WARNING,
        **fields,
    )


def evaluate(election, *findings):
    with transaction.atomic():
        AnomalyService().write(
            Assessment(election.pk, NOW, HOUR, findings=list(findings)), now=NOW
        )


def told():
    """Return what was told of alerts: change, version, status."""
    rows = WebhookDelivery.objects.order_by("id").values_list("body", flat=True)
    bodies = [json.loads(body) for body in rows]
    return [
        (body["change"], body["alert"]["version"], body["alert"]["status"])
        for body in bodies
    ]


def test_an_evaluation_tells_what_it_opens_changes_and_clears(webhook):
    place = make_constituency()
    election = place.election

    evaluate(election, finding(election, place, excess=40.0))
    evaluate(election, finding(election, place, excess=40.0))
    evaluate(election, finding(election, place, excess=41.0))
    evaluate(election)

    assert told() == [
        ("opened", 1, "active"),
        ("changed", 2, "active"),
        ("cleared", 3, "cleared"),
    ]


def test_what_staff_decide_is_told(webhook, alert):
    AlertService().change(
        alert.pk,
        version=1,
        by=make_staff(),
        now=NOW,
        reason="A drill.",
        status="resolved",
    )

    assert told() == [("decided", 2, "resolved")]


def test_a_note_alone_is_not_told(webhook, alert):
    AlertService().add_note(alert.pk, author=make_staff(), text="Called.", now=NOW)

    assert told() == []


def test_a_refused_change_is_not_told(webhook, alert):
    with pytest.raises(ImpossibleTransition):
        AlertService().change(
            alert.pk, version=1, by=make_staff(), now=NOW, status="cleared"
        )

    assert told() == []


def test_the_body_says_what_a_receiver_needs(webhook, alert, clock, receiver):
    tell(alert)
    send_all(clock)

    [request] = receiver.received
    body = json.loads(request.body)
    assert request.path == "/alerts?from=em"
    assert request.headers["Content-Type"] == "application/json"
    assert (body["event"], body["change"]) == ("alert", "opened")
    shown = {
        name: body["alert"][name]
        for name in ("id", "rule", "election", "constituency", "version", "excess")
    }
    assert shown == {
        "id": alert.pk,
        "rule": "S01",
        "election": "duma",
        "constituency": "A",
        "version": 1,
        "excess": 40.0,
    }
    assert "40 ballots more than there should be" in body["alert"]["sentence"]
    assert body["alert"]["is_simulated"] is False


def test_the_documentation_shows_the_whole_body(webhook, alert):
    tell(alert)

    shown = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    [example] = [json.loads(text) for text in shown if '"event": "alert"' in text]
    body = json.loads(WebhookDelivery.objects.get().body)
    assert list(example) == list(body)
    assert list(example["alert"]) == list(body["alert"])


@pytest.mark.parametrize(
    ("fields", "is_told"),
    [
        ({}, True),
        ({"is_on": False}, False),
        ({"least_severity": "warning"}, True),
        ({"least_severity": "critical"}, False),
        ({"election": "own"}, True),
        ({"election": "other"}, False),
    ],
    ids=[
        "all",
        "off",
        "as grave",
        "not grave enough",
        "own election",
        "other election",
    ],
)
def test_a_webhook_is_told_what_it_asks_for(receiver, alert, fields, is_told):
    elections = {"own": alert.election, "other": make_election()}
    if "election" in fields:
        fields = {"election": elections[fields["election"]]}
    make_webhook(receiver, **fields)

    assert tell(alert) == is_told


def test_an_alert_that_sinks_below_the_severity_is_followed_to_its_end(receiver, alert):
    make_webhook(receiver, least_severity="warning")
    tell(alert)

    Alert.objects.filter(pk=alert.pk).update(severity="info", version=2)
    tell(Alert.objects.get(), change=Change.CHANGED)

    assert WebhookDelivery.objects.count() == 2


def test_a_version_is_told_once_however_often_it_is_asked_for(webhook, alert):
    tell(alert)
    tell(alert)

    assert WebhookDelivery.objects.count() == 1


def test_the_database_refuses_a_second_delivery_of_a_version(webhook, alert):
    row = {"alert": alert, "version": 1, "available_at": NOW, "created_at": NOW}
    WebhookDelivery.objects.create(webhook=webhook, **row)

    with pytest.raises(IntegrityError, match="one_delivery_per_webhook_and_version"):
        WebhookDelivery.objects.create(webhook=webhook, **row)


@pytest.mark.django_db(transaction=True)
def test_nothing_is_told_of_a_change_that_is_rolled_back(webhook, clock, receiver):
    alert = make_alert()

    with transaction.atomic():
        AlertService().change(
            alert.pk, version=1, by=make_staff(), now=NOW, status="investigating"
        )
        assert WebhookDelivery.objects.count() == 1
        transaction.set_rollback(True)

    assert WebhookDelivery.objects.count() == 0
    assert send_all(clock) == 0
    assert receiver.received == []


@pytest.mark.django_db(transaction=True)
def test_telling_outside_a_transaction_is_refused(webhook):
    alert = make_alert()

    with pytest.raises(NotInTransaction):
        SERVICE.tell([alert], Change.OPENED, now=NOW)


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_woken_after_the_commit(webhook, monkeypatch):
    alert, woken = make_alert(), []
    monkeypatch.setattr(current_app, "send_task", lambda name, **_: woken.append(name))

    with transaction.atomic():
        SERVICE.tell([alert], Change.OPENED, now=NOW)
        assert woken == []

    assert woken == [SEND_DELIVERIES]


def test_without_webhooks_an_alert_costs_one_query(alert, django_assert_num_queries):
    with transaction.atomic(), django_assert_num_queries(1):
        SERVICE.tell([alert], Change.OPENED, now=NOW)
    with transaction.atomic(), django_assert_num_queries(0):
        SERVICE.tell([], Change.OPENED, now=NOW)


def test_a_simulated_election_goes_with_its_webhooks_and_deliveries(receiver, alert):
    everywhere = make_webhook(receiver)
    bound = make_webhook(receiver, election=alert.election)
    SERVICE.send_test(bound, now=NOW)
    elsewhere_told = make_alert()
    tell(alert, elsewhere_told)
    alert.election.is_simulated = True
    alert.election.save(update_fields=["is_simulated"])

    deleted = delete_simulated_election("duma")

    assert deleted["anomalies.webhookdelivery"] == 3
    assert deleted["anomalies.webhook"] == 1
    assert list(Webhook.objects.all()) == [everywhere]
    assert [each.alert for each in WebhookDelivery.objects.all()] == [elsewhere_told]
