"""The outbox: what has to be updated is a row, and whoever is killed, the row remains."""

import random
import traceback
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum
from functools import partial
from typing import Any

import orjson
import structlog
from django.conf import settings
from django.db import connection, transaction

from elections.locks import NotInTransaction
from metrics.models import MetricsUpdate, UpdateStatus, UpdateTrigger
from metrics.services.wake_up import wake_worker
from metrics.sql import statements
from transactions.deltas import HourDelta
from transactions.loader.patience import DATABASE_AWAY, patiently

logger = structlog.get_logger(__name__)

WORKER_KILLED = "The worker was killed while it worked on this, at every attempt."


class Priority(IntEnum):
    """The smaller the sooner."""

    MANUAL = 0
    NEW_TRANSACTION = 1
    SCHEDULED = 2


PRIORITIES = {
    UpdateTrigger.MANUAL: Priority.MANUAL,
    UpdateTrigger.NEW_TRANSACTION: Priority.NEW_TRANSACTION,
    UpdateTrigger.SCHEDULED: Priority.SCHEDULED,
}


class UnknownScope(ValueError):
    """No handler is registered for this kind of scope."""


class LeaseLost(RuntimeError):
    """It was begun later than the lease allows, and another worker has it now."""


@dataclass(frozen=True, slots=True)
class Request:
    """A wish for an update: what, which hours changed, and how long it may wait."""

    scope: str
    hours: Sequence[datetime] = ()
    delay_seconds: float = 0


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


@dataclass(slots=True)
class Processed:
    """What one round of work did; scopes that failed among them."""

    done: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return self.done + len(self.failed)

    def __iadd__(self, other: "Processed") -> "Processed":
        self.done += other.done
        self.failed += other.failed
        return self


# Called inside a database transaction that also marks the update as done: both or neither.
Handler = Callable[[ClaimedUpdate, datetime], None]
_handlers: dict[str, Handler] = {}


def register(kind: str, handler: Handler) -> None:
    """Let `handler` do the updates whose scope begins with `kind` and a colon."""
    _handlers[kind] = handler


class MetricsUpdateService:
    """Asks for updates, and makes those that are due."""

    def enqueue_changes(self, deltas: Sequence[HourDelta], *, now: datetime) -> None:
        """Ask for a refresh of all constituencies that a chunk changed.

        The last statement of the chunk's transaction.

        Raises:
            NotInTransaction: no transaction is open.
        """
        _refuse_outside_transaction()
        hours = [
            {"constituency_id": delta.constituency_id, "hour": delta.hour}
            for delta in deltas
        ]
        values: dict[str, Any] = {
            "deltas": orjson.dumps(hours).decode(),
            "priority": Priority.NEW_TRANSACTION,
            "now": now,
        }
        with connection.cursor() as cursor:
            cursor.execute(statements["enqueue_changes"], values)

    def enqueue(
        self, requests: Iterable[Request], *, trigger: UpdateTrigger, now: datetime
    ) -> list[int]:
        """Ask for updates; return the ids of their pending rows, in the order of scopes.

        A pending row of the scope takes the request up: the more urgent trigger and time
        hold, hours are united.

        Raises:
            NotInTransaction: no transaction is open.
        """
        _refuse_outside_transaction()
        values: dict[str, Any] = {
            "requests": orjson.dumps(list(requests)).decode(),
            "trigger": trigger,
            "priority": PRIORITIES[trigger],
            "now": now,
        }
        with connection.cursor() as cursor:
            cursor.execute(statements["enqueue_updates"], values)
            return [row[0] for row in cursor.fetchall()]

    def request_by_hand(
        self, requests: Iterable[Request], *, now: datetime
    ) -> list[int]:
        """Ask for updates that go before all others, and wake a worker for them.

        Returns the ids of their pending rows, in the order of scopes.
        """
        with transaction.atomic():
            ids = self.enqueue(requests, trigger=UpdateTrigger.MANUAL, now=now)
            transaction.on_commit(wake_worker, robust=True)
        return ids

    def process(
        self, *, limit: int, clock: Callable[[], datetime], claim_size: int = 20
    ) -> Processed:
        """Make up to `limit` updates that are due and return what came of them.

        One that fails is tried again later, and never holds up the others.

        Raises:
            OperationalError: the database stayed away; what is in hand is due again at
                the end of its lease.
        """
        processed = Processed()
        patiently(lambda: self._clear_up(clock()))
        while processed.count < limit:
            size = min(claim_size, limit - processed.count)
            claimed = patiently(partial(self._claim_at, clock, size))
            if not claimed:
                break
            for update in claimed:
                if patiently(partial(self._make, update, clock)):
                    processed.done += 1
                else:
                    processed.failed.append(update.scope)
        return processed

    def claim(self, *, limit: int, now: datetime) -> list[ClaimedUpdate]:
        """Take updates that are due, in a short transaction of its own."""
        values: dict[str, Any] = {
            "token": uuid.uuid4(),
            "now": now,
            "limit": limit,
            "lease_seconds": settings.UPDATE_LEASE_SECONDS,
            "ageing_seconds": settings.UPDATE_AGEING_SECONDS,
        }
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(statements["claim_updates"], values)
            return [ClaimedUpdate(*row) for row in cursor.fetchall()]

    def _claim_at(
        self, clock: Callable[[], datetime], limit: int
    ) -> list[ClaimedUpdate]:
        return self.claim(limit=limit, now=clock())

    def retry(self, update_ids: Collection[int], *, now: datetime) -> int:
        """Make failed and dead updates due at once, with all their attempts before them.

        Returns how many of them were either.
        """
        given_up = [UpdateStatus.FAILED, UpdateStatus.DEAD]
        with transaction.atomic():
            count = MetricsUpdate.objects.filter(
                pk__in=update_ids, status__in=given_up
            ).update(
                # Never back to pending: a successor may be.
                status=UpdateStatus.FAILED,
                attempts=0,
                trigger=UpdateTrigger.MANUAL,
                priority=Priority.MANUAL,
                available_at=now,
                finished_at=None,
            )
            transaction.on_commit(wake_worker, robust=True)
        return count

    def prune(self, *, finished_before: datetime) -> int:
        """Remove updates that were done before a time; return how many."""
        done = MetricsUpdate.objects.filter(
            status=UpdateStatus.DONE, finished_at__lt=finished_before
        )
        return done.delete()[0]

    def _clear_up(self, now: datetime) -> None:
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

    def _make(self, update: ClaimedUpdate, clock: Callable[[], datetime]) -> bool:
        """Do the work and mark it as done, both or neither; return whether it is done."""
        try:
            handler = _handler_of(update)
            with transaction.atomic(durable=True):
                _hold(update)
                handler(update, clock())
                _finish(update, clock())
        except LeaseLost:
            # Whoever has it now does it again: all work is safe to repeat.
            logger.warning("Lease of an update was lost", scope=update.scope)
            return False
        except DATABASE_AWAY as error:
            if not connection.is_usable():
                raise
            # A deadlock or a time-out: the server is there, this one failed.
            self._fail(update, error, clock())
            return False
        except Exception as error:  # noqa: BLE001 - any fault of one scope stays with it
            self._fail(update, error, clock())
            return False
        return True

    def _fail(self, update: ClaimedUpdate, error: Exception, now: datetime) -> None:
        is_last = update.attempts >= settings.UPDATE_ATTEMPTS
        logger.error(
            "Update is dead" if is_last else "Update failed",
            scope=update.scope,
            attempts=update.attempts,
            exc_info=error,
        )
        _of_lease(update).update(
            status=UpdateStatus.DEAD if is_last else UpdateStatus.FAILED,
            lease_token=None,
            finished_at=now if is_last else None,
            available_at=now + _pause(update.attempts),
            error=_storable("".join(traceback.format_exception(error))),
        )


def _refuse_outside_transaction() -> None:
    if not connection.in_atomic_block:
        raise NotInTransaction("Ask for an update in the transaction that needs it.")


def _handler_of(update: ClaimedUpdate) -> Handler:
    try:
        return _handlers[update.kind]
    except KeyError:
        raise UnknownScope(f"Nobody knows how to update “{update.scope}”.") from None


def _of_lease(update: ClaimedUpdate) -> Any:
    return MetricsUpdate.objects.filter(
        pk=update.id, status=UpdateStatus.PROCESSING, lease_token=update.lease_token
    )


def _hold(update: ClaimedUpdate) -> None:
    """Lock the row while this worker lives: others pass it by, however long it takes."""
    held = _of_lease(update).select_for_update(no_key=True).order_by()
    if not held.values_list("pk"):
        raise LeaseLost(update.scope)


def _finish(update: ClaimedUpdate, now: datetime) -> None:
    values: dict[str, Any] = {
        "id": update.id,
        "lease_token": update.lease_token,
        "hours": list(update.hours),
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(statements["finish_update"], values)
        if cursor.fetchone() is None:
            raise LeaseLost(update.scope)


def _storable(text: str) -> str:
    """Return a text that may quote anything without what PostgreSQL cannot hold."""
    whole = text.encode("utf-8", "backslashreplace").decode()
    return whole.replace("\0", "\\0")


def _pause(attempts: int) -> timedelta:
    """Return the pause after a number of failures, with jitter."""
    seconds = settings.UPDATE_BACKOFF_SECONDS * 2 ** (attempts - 1)
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
