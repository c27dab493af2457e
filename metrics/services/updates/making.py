"""Making what was claimed: done, put off or failed, each without harm to the others."""

import random
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from elections.clock import Clock
from elections.database import is_away
from elections.locks import Lock, alone
from metrics.models import UpdateStatus
from metrics.services.updates.claims import ClaimedUpdate, finish, hold, in_hand
from metrics.services.updates.handlers import (
    HandlerOfMany,
    NotNow,
    handler_of,
    takes_long,
)
from metrics.services.wake_up import wake_worker

logger = structlog.get_logger(__name__)

# How long to wait for a lock that somebody holds: longer than a chunk is loaded, shorter
# than anybody should wait for those that are locked already.
LOCK_SECONDS = 1.0
# Where it was waited for already, together with others.
AGAIN_LOCK_SECONDS = 0.1
# What took long to compute is not lightly thrown away.
LONG_TRIES, LONG_PAUSE_SECONDS = 15, 1.0
LOCKED = NotNow("What it needs is locked.", seconds=2.0)
TAKEN = NotNow("Another worker is at something that takes long.", seconds=1.0)


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


def make(updates: Sequence[ClaimedUpdate], clock: Clock) -> Processed:
    """Do the work and mark it as done, both or neither, for all of them together.

    Of what takes long one process makes one at a time: the others stay free for what is
    live.
    """
    if not takes_long(updates[0]):
        return _make(updates, clock, LOCK_SECONDS)
    with alone(Lock.LONG_UPDATE) as is_only:
        if not is_only:
            return put_off(updates, TAKEN, clock)
        # What is due soon may have been left to this process.
        wake_worker()
        return _make(updates, clock, LOCK_SECONDS, tries=LONG_TRIES)


def _make(
    updates: Sequence[ClaimedUpdate],
    clock: Clock,
    lock_seconds: float,
    *,
    tries: int = 1,
) -> Processed:
    try:
        commit = partial(
            _commit, updates, handler_of(updates, clock), clock, lock_seconds
        )
        for _ in range(tries - 1):
            try:
                return commit()
            except OperationalError as error:
                if not _is_locked(error):
                    raise
            # Whoever needs what this one had locked already has it meanwhile.
            time.sleep(LONG_PAUSE_SECONDS)
        return commit()
    except NotNow as reason:
        return put_off(updates, reason, clock)
    except Exception as error:
        if is_away(error) and not connection.is_usable():
            raise
        # Else a deadlock or a time-out: the server is there, these failed.
        fault = error
    if len(updates) == 1:
        return _give_back(updates[0], fault, clock)
    # Whose fault it was shows when each is alone.
    logger.warning(
        "Updates failed together",
        scopes=[update.scope for update in updates],
        exc_info=fault,
    )
    processed = Processed()
    for update in updates:
        again = AGAIN_LOCK_SECONDS if _is_locked(fault) else LOCK_SECONDS
        processed += _make([update], clock, again)
    return processed


def _commit(
    updates: Sequence[ClaimedUpdate],
    handler: HandlerOfMany,
    clock: Clock,
    lock_seconds: float,
) -> Processed:
    with transaction.atomic(durable=True):
        _wait_no_longer_than(lock_seconds)
        held = hold(updates)
        if held:
            handler(held, clock())
        finish(held, clock())
    return _told_of(updates, held)


def _is_locked(fault: Exception) -> bool:
    return isinstance(fault.__cause__, LockNotAvailable)


def _give_back(update: ClaimedUpdate, fault: Exception, clock: Clock) -> Processed:
    if _is_locked(fault):
        logger.warning("Update waits for a lock", scope=update.scope)
        return put_off([update], LOCKED, clock)
    _fail(update, fault, clock())
    return Processed(failed=[update.scope])


def put_off(
    updates: Sequence[ClaimedUpdate], reason: NotNow, clock: Clock
) -> Processed:
    """Let what cannot be made now be begun a bit later, as if it never was."""
    # By full seconds, so that those that wait for the same are claimed together, and the
    # most urgent is first.
    due_at = (clock() + timedelta(seconds=reason.seconds)).replace(microsecond=0)
    for update in updates:
        in_hand(update).update(
            # Never back to pending: a successor may be.
            status=UpdateStatus.FAILED,
            attempts=update.attempts - 1,
            lease_token=None,
            available_at=due_at,
            error=str(reason),
        )
    return Processed(done=len(updates))


def _fail(update: ClaimedUpdate, error: Exception, now: datetime) -> None:
    is_last = update.attempts >= settings.UPDATE_ATTEMPTS
    logger.error(
        "Update is dead" if is_last else "Update failed",
        scope=update.scope,
        attempts=update.attempts,
        exc_info=error,
    )
    in_hand(update).update(
        status=UpdateStatus.DEAD if is_last else UpdateStatus.FAILED,
        lease_token=None,
        finished_at=now if is_last else None,
        available_at=now + _pause(update.attempts),
        error=_storable("".join(traceback.format_exception(error))),
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


def _wait_no_longer_than(seconds: float) -> None:
    """Give up, in this transaction, where others hold a lock for longer.

    Whoever is locked already would wait with those that are not yet.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = {int(seconds * 1_000)}")


def _storable(text: str) -> str:
    """Return a text that may quote anything without what PostgreSQL cannot hold."""
    whole = text.encode("utf-8", "backslashreplace").decode()
    return whole.replace("\0", "\\0")


def _pause(attempts: int) -> timedelta:
    """Return the pause after a number of failures, with jitter."""
    seconds = settings.UPDATE_BACKOFF_SECONDS * 2 ** (attempts - 1)
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
