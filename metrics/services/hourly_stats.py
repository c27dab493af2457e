"""HourlyStats and the totals of constituencies: kept equal to the ledger."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
import structlog
from django.db import connection, transaction

from elections.locks import NotInTransaction, lock_constituencies
from elections.models import Constituency, Election
from metrics.models import HourlyStats, UpdateTrigger
from metrics.services.freshness import forget_constituencies
from metrics.services.groups import WORK_MEMORY, in_groups
from metrics.services.minutes import MinuteStatsService
from metrics.services.updates import MetricsUpdateService, Request
from metrics.sql import statements
from transactions.deltas import HourDelta, minutes_exact_since

logger = structlog.get_logger(__name__)

ONE_HOUR = timedelta(hours=1)


class UnknownConstituency(ValueError):
    """No constituency has this contract id; register it first."""

    def __init__(self, contract_id: str) -> None:
        super().__init__(f"Constituency not found: {contract_id}")


class UnknownElection(ValueError):
    """No election has this slug."""

    def __init__(self, slug: str) -> None:
        super().__init__(f"Election not found: {slug}")


@dataclass(slots=True)
class Aggregation:
    """What counting again found."""

    # Hours whose figures differed from the ledger and were written.
    hours_changed: int = 0
    # Minutes of the retention, likewise.
    minutes_changed: int = 0
    constituencies_changed: int = 0
    # Contract id and reason of what could not be counted.
    failed: dict[str, str] = field(default_factory=dict)

    def __iadd__(self, other: "Aggregation") -> "Aggregation":
        self.hours_changed += other.hours_changed
        self.minutes_changed += other.minutes_changed
        self.constituencies_changed += other.constituencies_changed
        self.failed |= other.failed
        return self


class HourlyStatsService:
    """Keeps HourlyStats equal to the group-by of the ledger at every commit."""

    def apply(self, deltas: Sequence[HourDelta], *, now: datetime) -> int:
        """Add `deltas` to their hours and totals; return the number of hours touched.

        Runs in the transaction that inserted the ledger rows: both commit or neither.

        Raises:
            NotInTransaction: no transaction is open.
        """
        if not connection.in_atomic_block:
            raise NotInTransaction("Apply deltas in the transaction of their rows.")
        # One JSON text: an array per column costs the driver five times as much.
        values: dict[str, Any] = {
            "now": now,
            "deltas": orjson.dumps(list(deltas)).decode(),
        }
        with connection.cursor() as cursor:
            cursor.execute(statements["add_to_hours"], values)
            cursor.execute(statements["add_to_totals"], values)
        return len(deltas)

    def aggregate_hourly_stats(
        self, constituency: str, hour: datetime, *, now: datetime
    ) -> HourlyStats | None:
        """Count one hour again from the ledger; return its row, None if it never held one.

        `constituency` is the contract id, `hour` the start of the hour. Safe while
        loaders run.

        Raises:
            UnknownConstituency: nobody registered this contract.
        """
        known = self._known([constituency])
        if not known:
            logger.error("Constituency not found", contract_id=constituency)
            raise UnknownConstituency(constituency)
        self._recount(known, start=hour, end=hour + timedelta(hours=1), now=now)
        return HourlyStats.objects.filter(constituency=known[0], hour=hour).first()

    def aggregate_hourly_stats_for_timerange(
        self,
        constituencies: Iterable[str],
        start: datetime | None,
        end: datetime | None,
        *,
        now: datetime,
    ) -> Aggregation:
        """Count the hours of a half-open period again, of all constituencies given.

        Unknown contract ids are logged and returned in `failed`; the others are counted.
        """
        wanted = list(dict.fromkeys(constituencies))
        known = self._known(wanted)
        result = self._recount(known, start=start, end=end, now=now)
        for contract_id in sorted(set(wanted) - {c.contract_id for c in known}):
            logger.error("Constituency not found", contract_id=contract_id)
            result.failed[contract_id] = str(UnknownConstituency(contract_id))
        return result

    def aggregate_hourly_stats_for_election(
        self,
        election: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        now: datetime,
    ) -> Aggregation:
        """Count all constituencies of the election with this slug again.

        Raises:
            UnknownElection: there is none.
        """
        if not Election.objects.filter(slug=election).exists():
            logger.error("Election not found", slug=election)
            raise UnknownElection(election)
        members = Constituency.objects.filter(election__slug=election)
        return self._recount(
            list(members.order_by("id")), start=start, end=end, now=now
        )

    def _known(self, contract_ids: list[str]) -> list[Constituency]:
        known = Constituency.objects.filter(contract_id__in=contract_ids)
        return list(known.order_by("id"))

    def _recount(
        self,
        constituencies: list[Constituency],
        *,
        start: datetime | None,
        end: datetime | None,
        now: datetime,
    ) -> Aggregation:
        result = Aggregation()
        period: dict[str, Any] = {"start": start, "end": end, "now": now}
        for group in in_groups(constituencies):
            with transaction.atomic(), connection.cursor() as cursor:
                ids: dict[str, Any] = {
                    "constituency_ids": lock_constituencies(c.pk for c in group)
                }
                cursor.execute(WORK_MEMORY)
                cursor.execute(statements["recount_hours"], ids | period)
                # Without an hour: the newest ledger time was another one.
                written = cursor.fetchall()
                cursor.execute(statements["recount_totals"], ids)
                differing = {pk for (pk,) in cursor}
                differing.update(pk for pk, hour in written if hour is None)
                hours = [(pk, hour) for pk, hour in written if hour is not None]
                minutes = MinuteStatsService().recount(
                    ids["constituency_ids"], start=start, end=end, now=now
                )
                result += Aggregation(
                    hours_changed=len(hours),
                    constituencies_changed=len(differing),
                    minutes_changed=minutes,
                )
                if written or differing or minutes:
                    forget_constituencies(ids["constituency_ids"])
                _ask_for_refresh(hours, now=now)
                if minutes:
                    _ask_for_series({c.election_id for c in group}, now=now)
        return result


def _ask_for_refresh(written: Iterable[tuple[int, datetime]], *, now: datetime) -> None:
    """Let what depends on the hours that were wrong follow them."""
    hours: defaultdict[int, list[datetime]] = defaultdict(list)
    for constituency_id, hour in written:
        hours[constituency_id].append(hour)
    MetricsUpdateService().enqueue(
        [Request(f"constituency:{pk}", changed) for pk, changed in hours.items()],
        trigger=UpdateTrigger.SCHEDULED,
        now=now,
    )


def _ask_for_series(election_ids: Iterable[int], *, now: datetime) -> None:
    """Let the series of elections be counted again, as far as minutes are kept."""
    since = minutes_exact_since(now).replace(minute=0)
    hours = [since + n * ONE_HOUR for n in range((now - since) // ONE_HOUR + 1)]
    MetricsUpdateService().enqueue(
        [Request(f"series:{pk}", hours) for pk in election_ids],
        trigger=UpdateTrigger.SCHEDULED,
        now=now,
    )
