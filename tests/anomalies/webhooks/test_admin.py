"""Operators make webhooks in the admin, see what became of deliveries, and send again."""

import json

import pytest
from django.utils import timezone

from anomalies.models import Webhook, WebhookDelivery
from anomalies.services.webhooks import Change
from tests.admin_site import list_of, page_of, run_action, staff_client, text_of
from tests.anomalies.webhooks.deliveries import (
    deliveries,
    is_genuine,
    make_webhook,
    send_all,
    tell,
)
from tests.factories import make_user

pytestmark = [
    pytest.mark.django_db,
    # Tests run before the static files have been collected.
    pytest.mark.filterwarnings("ignore:No directory at"),
]


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
