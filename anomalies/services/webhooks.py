"""Webhooks: who is to be told of a change is a row, and a worker sends it.

Not through the update queue: a receiver that hangs would hold up the live figures, and its
waiting rows would answer the feed of votes with 429.
"""

import hashlib
import hmac
import secrets
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from enum import StrEnum

import orjson
import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from anomalies import queries
from anomalies.models import (
    TO_SEND,
    Alert,
    DeliveryStatus,
    Severity,
    Webhook,
    WebhookDelivery,
)
from anomalies.services import posting
from anomalies.services.announcing import alert_message
from anomalies.sql import statements
from elections.clock import Clock
from elections.locks import NotInTransaction
from metrics.services.pruning import delete_in_pieces
from metrics.services.wake_up import wake_worker

logger = structlog.get_logger(__name__)

SEND_DELIVERIES = "anomalies.send_deliveries"
# With the pauses below an hour and a half: longer than a receiver is restarted or moved.
ATTEMPTS = 10
FIRST_PAUSE_SECONDS = 10
# Of all that waits for a receiver that does not answer, one is tried in this time: each
# costs a worker the whole time-out.
REST_SECONDS = 30
# Longer than a name is looked up and a request takes.
LEASE_SECONDS = 120
GRAVITY = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
GONE = 410
WORKER_KILLED = "The worker was killed while it sent this, at the last attempt."
# Of an answer, as staff see it.
SHOWN_CHARACTERS = 200


class Change(StrEnum):
    """What happened to an alert, as receivers read it."""

    OPENED = "opened"
    CHANGED = "changed"
    CLEARED = "cleared"
    DECIDED = "decided"


def new_secret() -> str:
    """Return a secret that nobody can guess."""
    return secrets.token_urlsafe(32)


def signature(secret: str, timestamp: int, body: str) -> str:
    """Return what proves that a body comes from who knows the secret, at that time."""
    signed = f"{timestamp}.{body}".encode()
    return "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


class WebhookService:
    """Tells webhooks of alerts: asks for deliveries, and makes those that are due."""

    def tell(self, alerts: Collection[Alert], change: Change, *, now: datetime) -> int:
        """Ask for the delivery of these versions of alerts; return how many.

        Raises:
            NotInTransaction: no transaction is open.
        """
        if not connection.in_atomic_block:
            raise NotInTransaction("Tell webhooks in the transaction of the change.")
        if not alerts:
            return 0
        elections = {alert.election_id for alert in alerts}
        webhooks = list(
            Webhook.objects.filter(
                Q(election=None) | Q(election__in=elections), is_on=True
            ).order_by("id")
        )
        if not webhooks:
            return 0
        wanted = list(_deliveries(webhooks, alerts, change, now))
        # Whoever told of this version before has done it.
        WebhookDelivery.objects.bulk_create(wanted, ignore_conflicts=True)
        if wanted:
            transaction.on_commit(wake_sender, robust=True)
        return len(wanted)

    def send_test(self, webhook: Webhook, *, now: datetime) -> WebhookDelivery:
        """Ask for a delivery that tells of no alert."""
        with transaction.atomic():
            delivery = WebhookDelivery.objects.create(
                webhook=webhook,
                body=orjson.dumps({"event": "test", "webhook": webhook.name}).decode(),
                available_at=now,
                created_at=now,
            )
            transaction.on_commit(wake_sender, robust=True)
        return delivery

    def send_again(self, delivery_ids: Collection[int], *, now: datetime) -> int:
        """Make deliveries due at once, with all their attempts before them.

        Returns how many were; those that wait for their first attempt are due anyway.
        """
        with transaction.atomic():
            count = (
                WebhookDelivery.objects.filter(pk__in=delivery_ids)
                .exclude(status=DeliveryStatus.PENDING)
                .update(status=DeliveryStatus.PENDING, attempts=0, available_at=now)
            )
            transaction.on_commit(wake_sender, robust=True)
        return count

    def rotate_secret(self, webhook: Webhook) -> str:
        """Give a webhook a new secret and return it; the old one ends at once."""
        secret = new_secret()
        Webhook.objects.filter(pk=webhook.pk).update(secret=secret)
        return secret

    def send_next(self, *, clock: Clock) -> WebhookDelivery | None:
        """Send the delivery that is due the longest; return it, None where none is due.

        What fails is tried again later, and never holds up the others. At least once: a
        worker that is killed after the request has its delivery sent again.
        """
        delivery = self._claim(clock())
        if delivery is not None:
            self._send(delivery, clock)
        return delivery

    def prune(self, now: datetime) -> int:
        """Delete what was sent or given up longer ago than is kept; return how many."""
        before = now - timedelta(days=settings.WEBHOOK_RETENTION_DAYS)
        return delete_in_pieces(statements["prune_deliveries"], before=before)

    def _claim(self, now: datetime) -> WebhookDelivery | None:
        """Take a delivery until its lease ends, in a short transaction of its own."""
        to_send = WebhookDelivery.objects.filter(status__in=TO_SEND)
        due = to_send.filter(available_at__lte=now)
        with transaction.atomic(durable=True):
            # Else it would wait until the right clocks are as late.
            to_send.filter(_told_by_a_fast_clock(now)).update(available_at=now)
            due.filter(attempts__gte=ATTEMPTS).update(
                status=DeliveryStatus.DEAD, error=WORKER_KILLED
            )
            delivery = (
                due.filter(webhook__is_on=True)
                .select_related("webhook")
                .select_for_update(skip_locked=True, of=("self",), no_key=True)
                .order_by("available_at", "id")
                .first()
            )
            if delivery is not None:
                delivery.attempts += 1
                delivery.available_at = now + timedelta(seconds=LEASE_SECONDS)
                delivery.save(update_fields=["attempts", "available_at"])
        return delivery

    def _send(self, delivery: WebhookDelivery, clock: Clock) -> None:
        webhook = delivery.webhook
        timestamp = int(clock().timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Election-Monitor",
            "X-Election-Monitor-Delivery": str(delivery.pk),
            "X-Election-Monitor-Timestamp": str(timestamp),
            "X-Election-Monitor-Signature": signature(
                webhook.secret, timestamp, delivery.body
            ),
        }
        try:
            answer = posting.post(
                webhook.url,
                delivery.body.encode(),
                headers,
                may_be_private=settings.WEBHOOK_PRIVATE_HOSTS,
            )
        except posting.NoAnswer as error:
            self._fail(delivery, None, str(error), clock())
            self._let_rest(delivery, clock())
            return
        if answer.is_success:
            _in_hand(delivery).update(
                status=DeliveryStatus.SENT,
                sent_at=clock(),
                response_code=answer.status,
                error="",
            )
            return
        if answer.status == GONE:
            Webhook.objects.filter(pk=webhook.pk).update(is_on=False)
            logger.warning("Webhook switched off by its receiver", webhook=webhook.name)
        self._fail(delivery, answer.status, answer.text, clock())

    def _fail(
        self, delivery: WebhookDelivery, code: int | None, error: str, now: datetime
    ) -> None:
        is_last = delivery.attempts >= ATTEMPTS or code == GONE
        logger.warning(
            "Delivery is dead" if is_last else "Delivery failed",
            delivery_id=delivery.pk,
            webhook=delivery.webhook.name,
            response_code=code,
            attempts=delivery.attempts,
        )
        _in_hand(delivery).update(
            status=DeliveryStatus.DEAD if is_last else DeliveryStatus.FAILED,
            response_code=code,
            # PostgreSQL holds no NUL.
            error=error.replace("\0", "�")[:SHOWN_CHARACTERS],
            available_at=now + _pause(delivery.attempts),
        )

    def _let_rest(self, delivery: WebhookDelivery, now: datetime) -> None:
        """Put off all else that goes to a receiver that does not answer."""
        rested = now + timedelta(seconds=REST_SECONDS)
        WebhookDelivery.objects.filter(
            webhook=delivery.webhook_id, status__in=TO_SEND, available_at__lt=rested
        ).exclude(pk=delivery.pk).update(available_at=rested)


def wake_sender() -> None:
    """Tell a worker that deliveries wait; call it after the commit."""
    wake_worker(SEND_DELIVERIES)


def _deliveries(
    webhooks: Collection[Webhook],
    alerts: Collection[Alert],
    change: Change,
    now: datetime,
) -> Iterator[WebhookDelivery]:
    told = set(
        WebhookDelivery.objects.filter(webhook__in=webhooks, alert__in=alerts)
        .values_list("webhook_id", "alert_id")
        .distinct()
    )
    pks = [alert.pk for alert in alerts]
    for alert in queries.alerts().filter(pk__in=pks).order_by("id"):
        body = orjson.dumps(
            {"event": "alert", "change": change, "alert": alert_message(alert)}
        ).decode()
        for webhook in webhooks:
            is_known = (webhook.pk, alert.pk) in told
            if _is_for(webhook, alert, is_known=is_known):
                yield WebhookDelivery(
                    webhook=webhook,
                    alert=alert,
                    version=alert.version,
                    body=body,
                    available_at=now,
                    created_at=now,
                )


def _is_for(webhook: Webhook, alert: Alert, *, is_known: bool) -> bool:
    """Tell whether a webhook wants an alert; one that it was told of it follows to its end."""
    if webhook.election_id not in {None, alert.election_id}:
        return False
    least = GRAVITY[Severity(webhook.least_severity)]
    return is_known or GRAVITY[Severity(alert.severity)] >= least


def _in_hand(delivery: WebhookDelivery) -> "QuerySet[WebhookDelivery]":
    """Return the delivery, unless its lease was lost to another attempt."""
    return WebhookDelivery.objects.filter(
        pk=delivery.pk, attempts=delivery.attempts, status__in=TO_SEND
    )


def _told_by_a_fast_clock(now: datetime) -> Q:
    """Select what is put off for longer than its attempts allow.

    With a lease to spare.
    """
    latest = now + timedelta(seconds=LEASE_SECONDS)
    return Q(
        *(
            Q(attempts=attempts, available_at__gt=latest + _longest_wait(attempts))
            for attempts in range(ATTEMPTS + 1)
        ),
        _connector=Q.OR,
    )


def _longest_wait(attempts: int) -> timedelta:
    """Return how far ahead a right clock puts a delivery: in hand, or after a failure."""
    lease = timedelta(seconds=LEASE_SECONDS)
    # No pause follows the last attempt.
    return lease if attempts >= ATTEMPTS else max(lease, _pause(attempts))


def _pause(attempts: int) -> timedelta:
    """Return the pause after a number of failures."""
    return timedelta(seconds=FIRST_PAUSE_SECONDS * 2 ** (attempts - 1))
