"""Webhooks are told of every version of an alert, signed, once, and never inwards."""

import hashlib
import hmac
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from celery import current_app
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from anomalies.models import Alert, Webhook, WebhookDelivery
from anomalies.rules.findings import Finding, Severity
from anomalies.services import (
    AlertService,
    AnomalyService,
    ImpossibleTransition,
    WebhookService,
    posting,
)
from anomalies.services import webhooks as webhooks_module
from anomalies.services.evaluation import Assessment
from anomalies.services.webhooks import ATTEMPTS, SEND_DELIVERIES, Change, new_secret
from anomalies.tasks import send_deliveries
from election_monitor.deletion import delete_simulated_election
from elections.locks import Lock, NotInTransaction, alone, key_of
from tests.admin_site import list_of, page_of, run_action, staff_client, text_of
from tests.anomalies.factories import HOUR, make_alert
from tests.anomalies.receiver import receiving
from tests.elections.test_locks import elsewhere
from tests.factories import make_constituency, make_election, make_staff, make_user

pytestmark = [
    pytest.mark.django_db,
    # Tests run before the static files have been collected.
    pytest.mark.filterwarnings("ignore:No directory at"),
]

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "api.md"
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


@pytest.fixture(autouse=True)
def inwards(settings):
    """Let receivers of tests be on this machine, whatever the environment says."""
    settings.WEBHOOK_PRIVATE_HOSTS = True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def webhook(receiver):
    return make_webhook(receiver)


@pytest.fixture
def alert(db):
    election = make_election(slug="duma")
    place = make_constituency(election=election, contract_id="A", name="District 5")
    return make_alert(election=election, constituency=place)


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


# What is told -----------------------------------------------------------------------


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


# The signature ------------------------------------------------------------------------


def test_the_documented_recipe_verifies_the_signature(webhook, alert, receiver):
    tell(alert)
    send_all(timezone.now)

    [request] = receiver.received
    check = is_genuine()
    assert check(request.headers, request.body, webhook.secret)
    assert not check(request.headers, request.body + b" ", webhook.secret)
    assert not check(request.headers, request.body, new_secret())


def test_the_signature_covers_the_time(webhook, alert, receiver):
    tell(alert)
    send_all(timezone.now)

    [request] = receiver.received
    stated = int(request.headers["X-Election-Monitor-Timestamp"])
    forged = {**request.headers, "X-Election-Monitor-Timestamp": str(stated + 1)}
    assert not is_genuine()(forged, request.body, webhook.secret)


def test_an_old_request_is_refused_by_the_recipe(webhook, alert, receiver):
    hour_ago = timezone.now() - timedelta(hours=1)
    tell(alert, now=hour_ago)
    send_all(Clock(hour_ago))

    [request] = receiver.received
    assert not is_genuine()(request.headers, request.body, webhook.secret)


def test_the_signature_is_the_hmac_of_time_and_body(webhook, alert, clock, receiver):
    tell(alert)
    send_all(clock)

    [request] = receiver.received
    timestamp = str(int(NOW.timestamp()))
    signed = timestamp.encode() + b"." + request.body
    digest = hmac.new(webhook.secret.encode(), signed, hashlib.sha256).hexdigest()
    delivery = WebhookDelivery.objects.get()
    own = {
        name: value
        for name, value in request.headers.items()
        if name.startswith("X-Election")
    }
    assert own == {
        "X-Election-Monitor-Signature": f"sha256={digest}",
        "X-Election-Monitor-Timestamp": timestamp,
        "X-Election-Monitor-Delivery": str(delivery.pk),
    }


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


def test_a_redirect_is_not_followed(webhook, alert, clock, receiver):
    with receiving() as target:

        def redirect(handler):
            handler.send_response(307)
            handler.send_header("Location", target.url)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        receiver.answer = redirect
        tell(alert)
        send_all(clock)

        assert deliveries() == [("failed", 1, 307)]
        assert target.received == []


def test_a_proxy_of_the_environment_is_not_used(
    webhook, alert, clock, receiver, monkeypatch
):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    tell(alert)
    send_all(clock)

    assert len(receiver.received) == 1


def hang(handler):
    """Answer nothing until the test is over."""
    handler.receiver.is_over.wait(DEADLINE_SECONDS)


def drip(handler):
    """Send a header a letter at a time, each well within any time-out of its own."""
    for _ in range(DEADLINE_SECONDS * 50):
        if handler.receiver.is_over.wait(0.02):
            return
        handler.wfile.write(b"x")
        handler.wfile.flush()


@pytest.mark.parametrize("behaviour", [hang, drip], ids=["hangs", "drips"])
def test_a_slow_receiver_ends_at_the_deadline(
    webhook, alert, clock, receiver, monkeypatch, behaviour
):
    monkeypatch.setattr(posting, "TIMEOUT_SECONDS", 0.3)
    receiver.answer = behaviour
    tell(alert)

    began = time.monotonic()
    send_all(clock)

    assert time.monotonic() - began < DEADLINE_SECONDS / 2
    assert deliveries() == [("failed", 1, None)]
    assert WebhookDelivery.objects.get().error == "No answer within 0.3 s."


def test_a_receiver_without_an_answer_holds_up_no_other(
    webhook, alert, clock, receiver, monkeypatch
):
    monkeypatch.setattr(posting, "TIMEOUT_SECONDS", 0.2)
    receiver.answer = hang
    alerts = [alert, *(make_alert(election=alert.election) for _ in range(4))]
    with receiving() as other:
        make_webhook(other)
        tell(*alerts)
        send_all(clock)

        assert len(receiver.received) == 1
        assert len(other.received) == 5


def test_nobody_listening_is_a_failure_with_its_reason(alert, clock):
    with receiving() as gone:
        pass
    make_webhook(gone)
    tell(alert)
    send_all(clock)

    assert deliveries() == [("failed", 1, None)]
    assert "ConnectionRefusedError" in WebhookDelivery.objects.get().error


def test_what_does_not_speak_tls_is_a_failure(alert, clock, receiver):
    make_webhook(receiver.url.replace("http://", "https://"))
    tell(alert)
    send_all(clock)

    assert deliveries() == [("failed", 1, None)]
    assert receiver.received == []


@pytest.fixture
def certificate(tmp_path):
    """Make a certificate of this machine, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
            *("-keyout", key, "-out", certificate, "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


def address_by_tls(receiver):
    return receiver.url.replace("http://127.0.0.1", "https://localhost")


def test_a_receiver_behind_tls_is_told(alert, clock, certificate, monkeypatch):
    file, context = certificate
    trust = ssl.create_default_context(cafile=file)
    monkeypatch.setattr(posting, "_trust", lambda: trust)
    with receiving(tls=context) as receiver:
        make_webhook(address_by_tls(receiver))
        tell(alert)
        send_all(clock)

        assert deliveries() == [("sent", 1, 200)]
        assert len(receiver.received) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(alert, clock, certificate):
    with receiving(tls=certificate[1]) as receiver:
        make_webhook(address_by_tls(receiver))
        tell(alert)
        send_all(clock)

        assert deliveries() == [("failed", 1, None)]
        assert "CERTIFICATE_VERIFY_FAILED" in WebhookDelivery.objects.get().error
        assert receiver.received == []


def test_an_endless_answer_is_read_up_to_a_kilobyte(webhook, alert, clock, receiver):
    written = []

    def pour(handler):
        handler.send_response(400)
        handler.end_headers()
        handler.wfile.write(b"Wrong signature\0" + b"x" * 1_008)
        written.append(1)
        hang(handler)

    receiver.answer = pour
    tell(alert)
    began = time.monotonic()
    send_all(clock)

    # The rest is not waited for.
    assert time.monotonic() - began < posting.TIMEOUT_SECONDS / 2
    assert written == [1]
    assert deliveries() == [("failed", 1, 400)]
    error = WebhookDelivery.objects.get().error
    assert error.startswith("Wrong signature�xxx")
    assert len(error) == 200


@pytest.mark.parametrize(
    ("text", "answered"),
    [(b"nonsense\r\n\r\n", "BadStatusLine"), (b"", "RemoteDisconnected")],
    ids=["nonsense", "nothing"],
)
def test_no_http_is_a_failure(webhook, alert, clock, receiver, text, answered):
    def speak(handler):
        handler.wfile.write(text)
        handler.close_connection = True

    receiver.answer = speak
    tell(alert)
    send_all(clock)

    assert deliveries() == [("failed", 1, None)]
    assert answered in WebhookDelivery.objects.get().error


# Workers ------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_send_the_same_version_twice(webhook, receiver):
    election = make_election()
    tell(*(make_alert(election=election) for _ in range(12)))
    start = threading.Barrier(3)

    def work():
        try:
            start.wait(DEADLINE_SECONDS)
            send_all(Clock())
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)

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


# Inwards ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1"),  # noqa: S104
        *("192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1"),
        *("255.255.255.255", "240.0.0.1", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::127.0.0.1", "2002:7f00:1::", "64:ff9b::10.0.0.1"),
        "2001:db8::1",
    ],
)
def test_an_address_inside_is_told_from_one_outside(address):
    assert posting.is_public(address) is False


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "93.184.216.34",
        "2606:4700::1111",
        "64:ff9b::8.8.8.8",
        "::ffff:8.8.8.8",
    ],
)
def test_the_internet_is_outside(address):
    assert posting.is_public(address) is True


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"]
)
def test_a_private_address_is_refused(alert, clock, receiver, settings, host):
    settings.WEBHOOK_PRIVATE_HOSTS = False
    make_webhook(receiver.url.replace("127.0.0.1", host))
    tell(alert)
    send_all(clock)

    assert deliveries() == [("failed", 1, None)]
    error = WebhookDelivery.objects.get().error
    assert "ELECTION_MONITOR_WEBHOOK_PRIVATE_HOSTS is off" in error
    assert receiver.received == []


def test_a_name_that_leads_inwards_at_the_moment_of_sending_is_refused(
    alert, clock, receiver, settings, monkeypatch
):
    settings.WEBHOOK_PRIVATE_HOSTS = False
    port = int(receiver.url.rpartition(":")[2].partition("/")[0])
    asked = []

    def look_up(host, *_, **__):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    make_webhook(f"http://hooks.example.org:{port}/")
    tell(alert)
    send_all(clock)

    # Once: a second answer could be another one.
    assert asked == ["hooks.example.org"]
    assert deliveries() == [("failed", 1, None)]
    assert receiver.received == []


def test_where_it_is_allowed_a_private_address_is_reached(
    webhook, alert, clock, receiver
):
    tell(alert)
    send_all(clock)

    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.org/", "file:///etc/passwd", "example.org", "http://"),
        *(
            "http://a b/",
            "https://example.org/\r\nX: y",
            "http://[::1",
            "http://a:99999/",
        ),
        "https://user:password@example.org/",
    ],
)
def test_what_nothing_can_be_sent_to_is_refused(db, url):
    webhook = Webhook(name="Desk", url=url, secret="x", created_at=NOW)  # noqa: S106

    with pytest.raises(ValidationError, match="url"):
        webhook.full_clean()


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://example.org",
            "http://receiver:8080/alerts",
            "https://[2606:4700::1]/",
        ),
        "https://пример.рф/путь?а=б",
    ],
    ids=["bare", "of compose", "IPv6", "cyrillic"],
)
def test_any_address_of_the_web_is_taken(db, url):
    Webhook(name="Desk", url=url, secret="x", created_at=NOW).full_clean()  # noqa: S106


def test_names_and_paths_of_any_script_are_sent_as_the_web_writes_them(
    alert, clock, receiver, monkeypatch
):
    port = int(receiver.url.rpartition(":")[2].partition("/")[0])
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    make_webhook(f"http://пример.рф:{port}/путь")
    tell(alert)
    send_all(clock)

    [request] = receiver.received
    assert request.path == "/%D0%BF%D1%83%D1%82%D1%8C"
    assert request.headers["Host"] == f"xn--e1afmkfd.xn--p1ai:{port}"


# The admin ----------------------------------------------------------------------------

FORM = {
    "name": "Newsroom",
    "url": "https://hooks.example.org/em",
    "election": "",
    "least_severity": "warning",
    "is_on": "on",
}


def add(client, **fields):
    return client.post("/admin/anomalies/webhook/add/", {**FORM, **fields})


def test_a_new_webhook_shows_its_secret_once(db):
    client = staff_client()

    page = add(client)

    webhook = Webhook.objects.get()
    assert len(webhook.secret) >= 40
    assert webhook.secret in text_of(page)
    assert "no-store" in page["Cache-Control"]
    assert webhook.secret not in text_of(client.get(page_of(webhook)))
    assert webhook.secret not in text_of(client.get(list_of(Webhook)))


def test_a_wrong_address_makes_no_webhook(db):
    page = add(staff_client(), url="ftp://example.org/")

    assert "Use https://host/path" in text_of(page)
    assert not Webhook.objects.exists()


def test_editing_a_webhook_keeps_its_secret(webhook):
    client = staff_client()

    client.post(page_of(webhook), {**FORM, "name": "Renamed"})

    before, after = webhook.secret, Webhook.objects.get()
    assert (after.name, after.secret) == ("Renamed", before)


def test_a_new_secret_ends_the_old_one(webhook, alert, receiver):
    client = staff_client()

    page = client.post(
        list_of(Webhook),
        {"action": "rotate_secret", "_selected_action": [webhook.pk]},
    )

    secret = Webhook.objects.get().secret
    assert secret != webhook.secret
    assert secret in text_of(page)
    tell(alert)
    send_all(timezone.now)
    [request] = receiver.received
    assert is_genuine()(request.headers, request.body, secret)
    assert not is_genuine()(request.headers, request.body, webhook.secret)


def test_the_secrets_of_two_webhooks_are_not_shown_on_one_page(webhook, receiver):
    other = make_webhook(receiver)

    messages = run_action(staff_client(), "rotate_secret", webhook, other)

    assert messages == ["Choose one webhook: its secret is shown once."]
    assert Webhook.objects.get(pk=webhook.pk).secret == webhook.secret


def test_a_test_is_sent_and_signed(webhook, receiver):
    messages = run_action(staff_client(), "send_test", webhook)
    send_all(timezone.now)

    [request] = receiver.received
    assert "A test is on its way" in messages[0]
    assert json.loads(request.body) == {"event": "test", "webhook": webhook.name}
    assert is_genuine()(request.headers, request.body, webhook.secret)


def test_a_webhook_that_is_off_is_sent_no_test(receiver):
    webhook = make_webhook(receiver, is_on=False)

    messages = run_action(staff_client(), "send_test", webhook)

    assert messages == [f"{webhook} is off: nothing is sent to it."]
    assert not WebhookDelivery.objects.exists()


def test_a_webhook_that_was_told_of_something_is_kept(webhook, alert):
    tell(alert)
    client = staff_client()

    page = client.get(f"/admin/anomalies/webhook/{webhook.pk}/delete/")

    assert "switch it off instead" in text_of(page)


def test_deliveries_show_why_they_failed_and_are_sent_again(
    webhook, alert, clock, receiver
):
    receiver.answer = 500
    tell(alert)
    tell(alert, change=Change.CHANGED)
    send_all(clock)
    client, delivery = staff_client(), WebhookDelivery.objects.get()

    text = text_of(client.get(list_of(WebhookDelivery)))
    detail = text_of(client.get(page_of(delivery)))
    messages = run_action(client, "send_again", delivery)

    assert "failed" in text
    assert "&quot;event&quot;:&quot;alert&quot;" in detail
    assert messages == ["1 deliveries are due again."]
    assert deliveries() == [("pending", 0, 500)]


@pytest.mark.parametrize(
    ("role", "may_look", "may_add"),
    [
        ("viewer", False, False),
        ("analyst", True, False),
        ("operator", True, True),
    ],
)
def test_operators_make_webhooks_and_analysts_look_at_them(
    client, webhook, role, may_look, may_add
):
    client.force_login(make_user(role, is_staff=True))

    assert (client.get(list_of(Webhook)).status_code == 200) is may_look
    assert (client.get(list_of(WebhookDelivery)).status_code == 200) is may_look
    assert (add(client).status_code == 200) is may_add


def test_an_analyst_sends_nothing_again(client, webhook, alert):
    tell(alert)
    WebhookDelivery.objects.update(status="dead")
    client.force_login(make_user("analyst", is_staff=True))

    client.post(
        list_of(WebhookDelivery),
        {
            "action": "send_again",
            "_selected_action": [WebhookDelivery.objects.get().pk],
        },
    )

    assert WebhookDelivery.objects.get().status == "dead"


# The end ------------------------------------------------------------------------------


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
