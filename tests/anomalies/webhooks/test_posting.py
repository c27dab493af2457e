"""Requests are signed, end at a deadline whatever the receiver does, and never lead inwards."""

import hashlib
import hmac
import shutil
import socket
import ssl
import subprocess
import time
from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from anomalies.models import Webhook, WebhookDelivery
from anomalies.services import posting
from anomalies.services.webhooks import new_secret
from tests.anomalies.factories import make_alert
from tests.anomalies.webhooks.deliveries import (
    DEADLINE_SECONDS,
    NOW,
    Clock,
    deliveries,
    is_genuine,
    make_webhook,
    send_all,
    tell,
)
from tests.anomalies.webhooks.receiver import receiving

pytestmark = pytest.mark.django_db


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


# Receivers of all kinds ---------------------------------------------------------------


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
