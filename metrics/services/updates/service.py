"""The queue as its users see it: ask for updates, have them made, retry them."""

import time
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import orjson
from django.db import connection, transaction

from elections.clock import Clock
from elections.locks import NotInTransaction
from metrics.models import MetricsUpdate, UpdateStatus, UpdateTrigger
from metrics.services.updates import claims
from metrics.services.updates.asking import PRIORITIES, Priority, Request
from metrics.services.updates.claims import ClaimedUpdate
from metrics.services.updates.handlers import NotNow, groups
from metrics.services.updates.making import Processed, make, put_off
from metrics.services.wake_up import wake_worker
from metrics.sql import statements
from transactions.deltas import HourDelta
from transactions.loader.patience import patiently

# After so long a round begins nothing more.
ROUND_SECONDS = 30.0
ROUND_IS_OVER = NotNow("Its round was over before its turn.", seconds=0)


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

    def process(self, *, limit: int, clock: Clock, claim_size: int = 20) -> Processed:
        """Make up to `limit` updates that are due and return what came of them.

        One that fails is tried again later, and never holds up the others. After half a
        minute nothing more is begun.

        Raises:
            OperationalError: the database stayed away; what is in hand is due again at
                the end of its lease.
        """
        processed, ends_at = Processed(), time.monotonic() + ROUND_SECONDS
        patiently(lambda: claims.clear_up(clock()))
        while processed.count < limit and time.monotonic() < ends_at:
            size = min(claim_size, limit - processed.count)
            claimed = patiently(partial(self._claim_at, clock, size))
            if not claimed:
                return processed
            for group in groups(claimed):
                if time.monotonic() < ends_at:
                    processed += patiently(partial(make, group, clock))
                else:
                    patiently(partial(put_off, group, ROUND_IS_OVER, clock))
        processed.is_cut = True
        return processed

    def claim(self, *, limit: int, now: datetime) -> list[ClaimedUpdate]:
        """Take updates that are due, in a short transaction of its own."""
        return claims.claim(limit=limit, now=now)

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

    def _claim_at(self, clock: Clock, limit: int) -> list[ClaimedUpdate]:
        return self.claim(limit=limit, now=clock())


def _refuse_outside_transaction() -> None:
    if not connection.in_atomic_block:
        raise NotInTransaction("Ask for an update in the transaction that needs it.")
