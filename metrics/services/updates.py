"""The outbox: what has to be updated is a row, and whoever is killed, the row remains."""

import random
import time
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
from django.db.models import QuerySet
from psycopg.errors import LockNotAvailable

from elections.locks import NotInTransaction
from metrics.models import MetricsUpdate, UpdateStatus, UpdateTrigger
from metrics.services.lease import kept
from metrics.services.wake_up import wake_worker
from metrics.sql import statements
from transactions.deltas import HourDelta
from transactions.loader.patience import DATABASE_AWAY, patiently

logger = structlog.get_logger(__name__)

# How long to wait for a lock that somebody holds, all together: longer than a chunk is
# loaded, shorter than anybody should wait for them.
TOGETHER_LOCK_SECONDS = 1.0
# One by one, and at least: a process that waits does nothing else.
ALONE_LOCK_SECONDS, LEAST_LOCK_SECONDS = 5.0, 0.1
# What took long to compute is not lightly thrown away.
LONG_LOCK_SECONDS = 30.0
# Then others have as much time again.
LOCKED_PAUSE_SECONDS = 5.0
# After so long a round begins nothing more.
ROUND_SECONDS = 30.0
# Somebody who claims at the same time and comes too late has a row locked for a moment.
HOLD_TRIES, HOLD_PAUSE_SECONDS = 5, 0.02
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


class NotNow(Exception):
    """Another worker is at it, or at something like it."""

    def __init__(self, reason: str, *, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


LOCKED = NotNow("What it needs is locked.", seconds=LOCKED_PAUSE_SECONDS)
ROUND_IS_OVER = NotNow("Its round was over before its turn.", seconds=0)


class LeaseLost(RuntimeError):
    """Begun later than the lease allows: another worker has it now."""


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
    """What one round of work did; scopes that failed among them.

    What was put off counts as done: it failed in nothing.
    """

    done: int = 0
    failed: list[str] = field(default_factory=list)
    # It was ended by its limit, so more may be due.
    is_cut: bool = False

    @property
    def count(self) -> int:
        return self.done + len(self.failed)

    def __iadd__(self, other: "Processed") -> "Processed":
        self.done += other.done
        self.failed += other.failed
        return self


# Called inside a database transaction that also marks its updates as done: both or
# neither.
Handler = Callable[[ClaimedUpdate, datetime], None]
HandlerOfMany = Callable[[Sequence[ClaimedUpdate], datetime], None]
# Called outside any transaction, for what takes long to compute, with a lease that is
# renewed meanwhile; returns what writes the result, which is then called as a handler is.
Preparation = Callable[[ClaimedUpdate, datetime], Handler]
_handlers: dict[str, Handler] = {}
_preparations: dict[str, Preparation] = {}
_handlers_of_many: dict[str, HandlerOfMany] = {}
# Kinds that keep nobody waiting who was claimed with them.
_last: set[str] = set()


def register(kind: str, handler: Handler, *, takes_long: bool = False) -> None:
    """Let `handler` do the updates whose scope begins with `kind` and a colon.

    What takes long comes after the others that were claimed with it.
    """
    _handlers[kind] = handler
    if takes_long:
        _last.add(kind)


def register_prepared(kind: str, prepare: Preparation) -> None:
    """As `register`, for work that is computed first and written in a short transaction."""
    _preparations[kind] = prepare
    _last.add(kind)


def register_for_many(kind: str, handler: HandlerOfMany) -> None:
    """As `register`, for work that is much cheaper for many at once than one by one.

    It is also called with a single update: after many together failed, each is done
    alone, so that the fault of one stays with it.
    """
    _handlers_of_many[kind] = handler


class MetricsUpdateService:
    """Asks for updates, and makes those that are due."""

    def enqueue_changes(self, deltas: Sequence[HourDelta], *, now: datetime) -> None:
        """Ask for a refresh of all constituencies that a chunk changed.

        The last statement of the chunk's transaction.

        Raises:
            NotInTransaction: no transaction is open.
        """
        _refuse_outside_transaction()
        changed: dict[int, list[datetime]] = {}
        for delta in deltas:
            changed.setdefault(delta.constituency_id, []).append(delta.hour)
        asked = [
            {"constituency_id": constituency_id, "hours": sorted(hours)}
            for constituency_id, hours in changed.items()
        ]
        values: dict[str, Any] = {
            "changed": orjson.dumps(asked).decode(),
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

        One that fails is tried again later, and never holds up the others. After half a
        minute nothing more is begun.

        Raises:
            OperationalError: the database stayed away; what is in hand is due again at
                the end of its lease.
        """
        processed, ends_at = Processed(), time.monotonic() + ROUND_SECONDS
        patiently(lambda: self._clear_up(clock()))
        while processed.count < limit and time.monotonic() < ends_at:
            size = min(claim_size, limit - processed.count)
            claimed = patiently(partial(self._claim_at, clock, size))
            if not claimed:
                return processed
            for group in _groups(claimed):
                if time.monotonic() < ends_at:
                    processed += patiently(partial(self._make, group, clock))
                else:
                    patiently(partial(self._put_off, group, ROUND_IS_OVER, clock))
        processed.is_cut = True
        return processed

    def claim(self, *, limit: int, now: datetime) -> list[ClaimedUpdate]:
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

    def _claim_at(
        self, clock: Callable[[], datetime], limit: int
    ) -> list[ClaimedUpdate]:
        return self.claim(limit=limit, now=clock())

    def retry(self, update_ids: Collection[int], *, now: datetime) -> int:
        """Make failed and dead updates due at once, with all their attempts before them.

        Returns how many of them were either.
        """
        given_up = MetricsUpdate.objects.filter(
            pk__in=update_ids, status__in=[UpdateStatus.FAILED, UpdateStatus.DEAD]
        )
        with transaction.atomic():
            # Those that wait for the same would hand on their attempts and pause. Locked in
            # the order of whoever asks for updates, so that the two cannot deadlock.
            waiting = MetricsUpdate.objects.filter(
                scope__in=given_up.values("scope"),
                status__in=[UpdateStatus.PENDING, UpdateStatus.FAILED],
            ).order_by("scope", "id")
            ids = list(waiting.select_for_update().values_list("id", flat=True))
            afresh: dict[str, Any] = {
                "attempts": 0,
                "trigger": UpdateTrigger.MANUAL,
                "priority": Priority.MANUAL,
                "available_at": now,
            }
            # Never back to pending: a successor may be.
            count = given_up.update(
                **afresh, status=UpdateStatus.FAILED, finished_at=None
            )
            MetricsUpdate.objects.filter(pk__in=ids).update(**afresh)
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

    def _make(
        self,
        updates: Sequence[ClaimedUpdate],
        clock: Callable[[], datetime],
        *,
        lock_seconds: float | None = None,
    ) -> Processed:
        """Do the work and mark it as done, both or neither, for all of them together."""
        fault: Exception | None = None
        held: Sequence[ClaimedUpdate] = []
        try:
            handler = _handler_of(updates, clock)
            with transaction.atomic(durable=True):
                _wait_no_longer_than(lock_seconds or _patience(updates))
                held = _hold(updates)
                if held:
                    handler(held, clock())
                _finish(held, clock())
        except NotNow as reason:
            return self._put_off(updates, reason, clock)
        except Exception as error:
            if isinstance(error, DATABASE_AWAY) and not connection.is_usable():
                raise
            # Else a deadlock or a time-out: the server is there, these failed.
            fault = error
        if fault is None:
            return _told_of(updates, held)
        if len(updates) == 1:
            return self._give_back(updates[0], fault, clock)
        # Whose fault it was shows when each is alone.
        logger.warning(
            "Updates failed together",
            scopes=[update.scope for update in updates],
            exc_info=fault,
        )
        processed, waits_until = Processed(), time.monotonic() + ALONE_LOCK_SECONDS
        for update in updates:
            # All of them wait no longer than one would.
            left = max(LEAST_LOCK_SECONDS, waits_until - time.monotonic())
            processed += self._make([update], clock, lock_seconds=left)
        return processed

    def _give_back(
        self, update: ClaimedUpdate, fault: Exception, clock: Callable[[], datetime]
    ) -> Processed:
        if isinstance(fault.__cause__, LockNotAvailable):
            logger.warning("Update waits for a lock", scope=update.scope)
            return self._put_off([update], LOCKED, clock)
        self._fail(update, fault, clock())
        return Processed(failed=[update.scope])

    def _put_off(
        self,
        updates: Sequence[ClaimedUpdate],
        reason: NotNow,
        clock: Callable[[], datetime],
    ) -> Processed:
        """Let what cannot be made now be begun a bit later, as if it never was."""
        now = clock()
        for update in updates:
            _in_hand(update).update(
                # Never back to pending: a successor may be.
                status=UpdateStatus.FAILED,
                attempts=update.attempts - 1,
                lease_token=None,
                available_at=now + timedelta(seconds=reason.seconds),
                error=str(reason),
            )
        return Processed(done=len(updates))

    def _fail(self, update: ClaimedUpdate, error: Exception, now: datetime) -> None:
        is_last = update.attempts >= settings.UPDATE_ATTEMPTS
        logger.error(
            "Update is dead" if is_last else "Update failed",
            scope=update.scope,
            attempts=update.attempts,
            exc_info=error,
        )
        _in_hand(update).update(
            status=UpdateStatus.DEAD if is_last else UpdateStatus.FAILED,
            lease_token=None,
            finished_at=now if is_last else None,
            available_at=now + _pause(update.attempts),
            error=_storable("".join(traceback.format_exception(error))),
        )


def _refuse_outside_transaction() -> None:
    if not connection.in_atomic_block:
        raise NotInTransaction("Ask for an update in the transaction that needs it.")


def _in_hand(update: ClaimedUpdate) -> "QuerySet[MetricsUpdate]":
    return MetricsUpdate.objects.filter(
        pk=update.id, status=UpdateStatus.PROCESSING, lease_token=update.lease_token
    )


def _told_of(
    updates: Sequence[ClaimedUpdate], held: Sequence[ClaimedUpdate]
) -> Processed:
    """Say which were not in hand any more; all work is safe to repeat.

    Another worker has them, or they are done and the answer to their commit was lost.
    """
    gone = [update.scope for update in updates if update not in held]
    if gone:
        logger.warning("Updates were no longer in hand", scopes=gone)
    return Processed(done=len(held), failed=gone)


def _patience(updates: Sequence[ClaimedUpdate]) -> float:
    """Return how many seconds to wait for each lock that the making of these needs."""
    if len(updates) > 1:
        return TOGETHER_LOCK_SECONDS
    return LONG_LOCK_SECONDS if updates[0].kind in _last else ALONE_LOCK_SECONDS


def _wait_no_longer_than(seconds: float) -> None:
    """Give up, in this transaction, where others hold a lock for longer.

    Whoever is locked already would wait with those that are not yet.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {int(seconds * 1_000)}")


def _groups(claimed: Sequence[ClaimedUpdate]) -> list[list[ClaimedUpdate]]:
    """Return what is made together: the most urgent first, what takes long last."""
    groups: dict[str | int, list[ClaimedUpdate]] = {}
    for update in claimed:
        group = update.kind if update.kind in _handlers_of_many else update.id
        groups.setdefault(group, []).append(update)
    return sorted(groups.values(), key=lambda group: group[0].kind in _last)


def _handler_of(
    updates: Sequence[ClaimedUpdate], clock: Callable[[], datetime]
) -> HandlerOfMany:
    """Return what makes these updates; what takes long to compute is computed here."""
    kind = updates[0].kind
    if kind in _handlers_of_many:
        return _handlers_of_many[kind]
    if kind in _preparations:
        _refuse_lost(updates[0])
        # Whoever took it meanwhile would lose it in the same way: it would never be done.
        with kept(lambda: _renew(updates[0], clock())):
            return _each(_preparations[kind](updates[0], clock()))
    if kind in _handlers:
        return _each(_handlers[kind])
    raise UnknownScope(f"Nobody knows how to update “{updates[0].scope}”.")


def _each(handler: Handler) -> HandlerOfMany:
    def handle(updates: Sequence[ClaimedUpdate], now: datetime) -> None:
        for update in updates:
            handler(update, now)

    return handle


def _hold(updates: Sequence[ClaimedUpdate]) -> list[ClaimedUpdate]:
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
def _refuse_lost(update: ClaimedUpdate) -> None:
    """Spare the computation of what another worker has meanwhile."""
    if not _hold([update]):
        raise LeaseLost([update.scope])


@transaction.atomic
def _renew(update: ClaimedUpdate, now: datetime) -> None:
    """Begin the lease anew, unless somebody else has the row locked just now."""
    if _lock([update]):
        _in_hand(update).update(locked_at=now)


def _finish(updates: Sequence[ClaimedUpdate], now: datetime) -> None:
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


def _storable(text: str) -> str:
    """Return a text that may quote anything without what PostgreSQL cannot hold."""
    whole = text.encode("utf-8", "backslashreplace").decode()
    return whole.replace("\0", "\\0")


def _pause(attempts: int) -> timedelta:
    """Return the pause after a number of failures, with jitter."""
    seconds = settings.UPDATE_BACKOFF_SECONDS * 2 ** (attempts - 1)
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
