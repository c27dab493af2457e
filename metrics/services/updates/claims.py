"""Updates in the hand of a worker: taken with a lease, held while it works, marked as done."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from metrics.models import MetricsUpdate, UpdateStatus
from metrics.sql import statements

logger = structlog.get_logger(__name__)

# Somebody who claims at the same time and comes too late has a row locked for a moment.
HOLD_TRIES, HOLD_PAUSE_SECONDS = 5, 0.02
WORKER_KILLED = "The worker was killed while it worked on this, at every attempt."


class LeaseLost(RuntimeError):
    """Begun later than the lease allows: another worker has it now."""


@dataclass(frozen=True, slots=True)
class ClaimedUpdate:
    """An update that this worker has in hand until its lease ends."""

    id: int
    scope: str
    trigger: str
    priority: int
    hours: Sequence[datetime]
    attempts: int
    lease_token: uuid.UUID

    @property
    def kind(self) -> str:
        return self.scope.partition(":")[0]

    @property
    def key(self) -> str:
        return self.scope.partition(":")[2]


def claim(*, limit: int, now: datetime) -> list[ClaimedUpdate]:
    """Take updates that are due, in a short transaction of its own."""
    values: dict[str, Any] = {
        "token": uuid.uuid4(),
        "now": now,
        "limit": limit,
        "lease_seconds": settings.UPDATE_LEASE_SECONDS,
        "ageing_seconds": settings.UPDATE_AGEING_SECONDS,
        "backoff_seconds": settings.UPDATE_BACKOFF_SECONDS,
    }
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(statements["claim_updates"], values)
        return [ClaimedUpdate(*row) for row in cursor.fetchall()]


def clear_up(now: datetime) -> None:
    """Merge what was left behind into its successors, and give up what kills workers."""
    lease: dict[str, Any] = {
        "now": now,
        "lease_seconds": settings.UPDATE_LEASE_SECONDS,
    }
    burial: dict[str, Any] = {
        "attempts": settings.UPDATE_ATTEMPTS,
        "reason": WORKER_KILLED,
    }
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(statements["absorb_updates"], lease)
        cursor.execute(statements["bury_updates"], lease | burial)
        for (scope,) in cursor.fetchall():
            logger.error("Update is dead", scope=scope, reason=WORKER_KILLED)


def in_hand(update: ClaimedUpdate) -> "QuerySet[MetricsUpdate]":
    """Return the row of an update, unless another worker has it meanwhile."""
    return MetricsUpdate.objects.filter(
        pk=update.id, status=UpdateStatus.PROCESSING, lease_token=update.lease_token
    )


def hold(updates: Sequence[ClaimedUpdate]) -> list[ClaimedUpdate]:
    """Lock the rows while this worker lives: others pass them by, however long it takes.

    Returns those that this worker still has.
    """
    held = _lock(updates)
    for _ in range(HOLD_TRIES):
        missed = [update for update in updates if update.id not in held]
        if not missed:
            break
        time.sleep(HOLD_PAUSE_SECONDS)
        held |= _lock(missed)
    return [update for update in updates if update.id in held]


def _lock(updates: Sequence[ClaimedUpdate]) -> set[int]:
    """Lock the rows that nobody else has locked; return their ids."""
    values: dict[str, Any] = {
        "ids": [update.id for update in updates],
        "tokens": [update.lease_token for update in updates],
    }
    with connection.cursor() as cursor:
        cursor.execute(statements["hold_updates"], values)
        return {row[0] for row in cursor.fetchall()}


@transaction.atomic
def refuse_lost(update: ClaimedUpdate) -> None:
    """Spare the computation of what another worker has meanwhile.

    Raises:
        LeaseLost: another worker has it.
    """
    if not hold([update]):
        raise LeaseLost([update.scope])


@transaction.atomic
def renew(update: ClaimedUpdate, now: datetime) -> None:
    """Begin the lease anew, unless somebody else has the row locked just now."""
    if _lock([update]):
        in_hand(update).update(locked_at=now)


def finish(updates: Sequence[ClaimedUpdate], now: datetime) -> None:
    """Mark updates as done, in the transaction that made them.

    Raises:
        LeaseLost: another worker has one of them.
    """
    made = [
        {
            "id": update.id,
            "lease_token": update.lease_token,
            "hours": update.hours,
        }
        for update in updates
    ]
    values: dict[str, Any] = {"made": orjson.dumps(made).decode(), "now": now}
    with connection.cursor() as cursor:
        cursor.execute(statements["finish_updates"], values)
        if len(cursor.fetchall()) < len(made):
            raise LeaseLost([update.scope for update in updates])
