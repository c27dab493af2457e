"""MinuteStats: kept equal to the ledger for the minutes inside the retention."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from django.db import connection
from django.db.models import Exists, OuterRef, Q

from elections.locks import NotInTransaction
from elections.models import Constituency
from metrics.models import MinuteStats
from metrics.services.pruning import delete_in_pieces
from metrics.sql import statements
from transactions.deltas import MinuteDelta, minutes_written_since


class MinuteStatsService:
    """Keeps MinuteStats equal to the group-by of the ledger, as long as minutes last."""

    def apply(self, minutes: Sequence[MinuteDelta]) -> int:
        """Add `minutes` to what is stored; return the number of minutes touched.

        Runs in the transaction that inserted the ledger rows: both commit or neither.

        Raises:
            NotInTransaction: no transaction is open.
        """
        _refuse_outside_transaction()
        if minutes:
            # One JSON text: an array per column costs the driver five times as much.
            text = orjson.dumps(list(minutes)).decode()
            with connection.cursor() as cursor:
                cursor.execute(statements["add_to_minutes"], {"minutes": text})
        return len(minutes)

    def recount(
        self,
        constituency_ids: Sequence[int],
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        now: datetime,
    ) -> int:
        """Count minutes of the retention again; return how many differed and were written.

        The caller holds the locks of the constituencies. A period that ends before the
        retention begins, and constituencies that were quiet since, cost next to nothing.

        Raises:
            NotInTransaction: no transaction is open, so no locks are held.
        """
        _refuse_outside_transaction()
        since = minutes_written_since(now)
        if end is not None and end <= since:
            return 0
        lively = _with_minutes(constituency_ids, since)
        if not lively:
            return 0
        values: dict[str, Any] = {
            "constituency_ids": lively,
            "since": since,
            "start": start,
            "end": end,
        }
        with connection.cursor() as cursor:
            cursor.execute(statements["recount_minutes"], values)
            return int(cursor.rowcount)

    def prune(self, now: datetime) -> int:
        """Delete the minutes that are older than the retention; return how many."""
        since = minutes_written_since(now)
        return delete_in_pieces(statements["prune_minutes"], since=since)


def _refuse_outside_transaction() -> None:
    if not connection.in_atomic_block:
        raise NotInTransaction("Write minutes in the transaction of their rows.")


def _with_minutes(constituency_ids: Sequence[int], since: datetime) -> list[int]:
    """Return those with anything since then in the ledger, or in the minutes."""
    stored = MinuteStats.objects.filter(constituency=OuterRef("pk"), minute__gte=since)
    lively = Constituency.objects.filter(
        Q(last_transaction_at__gte=since) | Exists(stored), id__in=constituency_ids
    )
    return list(lively.order_by("id").values_list("id", flat=True))
