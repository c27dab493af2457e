"""What is derived is written, and totals are held against the sums of their hours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import connection

from elections.locks import lock_constituencies
from elections.queries import TOTALS
from metrics.services.discrepancies import record_differences, resolve_discrepancies
from metrics.services.verification import Difference
from metrics.sql import statements

logger = structlog.get_logger(__name__)

FOUND_BY = "refresh"


@dataclass(frozen=True, slots=True)
class Refresh:
    """What refreshing a constituency found."""

    constituency_id: int
    election_id: int
    contract_id: str
    # Totals that are not the sum of their hours; they are left as they are.
    differences: tuple[Difference, ...]
    anomaly_count: int
    # False: nothing that anybody looks at has changed.
    is_changed: bool
    # By an earlier refresh, and not resolved when this one began.
    has_open_discrepancy: bool


def refresh(constituency_ids: Iterable[int], *, now: datetime) -> list[Refresh]:
    """Do what `ConstituencyMetricsService.refresh_many` says."""
    locked = lock_constituencies(constituency_ids)
    # Only now: a sum read before the lock could be older than what it overwrites.
    refreshed = _refresh_totals(locked, now=now)
    _raise_alarms(refreshed, now=now)
    return refreshed


def _refresh_totals(constituency_ids: Sequence[int], *, now: datetime) -> list[Refresh]:
    values: dict[str, Any] = {
        "constituency_ids": constituency_ids,
        "figures": TOTALS,
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(statements["refresh_totals"], values)
        return [
            Refresh(
                constituency_id,
                election_id,
                contract_id,
                tuple(Difference(contract_id, None, *figure) for figure in wrong),
                *others,
            )
            for constituency_id, election_id, contract_id, wrong, *others in cursor
        ]


def _raise_alarms(refreshed: Sequence[Refresh], *, now: datetime) -> None:
    """Keep and log what differs, and resolve earlier alarms that are over."""
    differences = [difference for one in refreshed for difference in one.differences]
    for difference in differences:
        logger.error(
            "Total differs from hourly statistics",
            contract_id=difference.contract_id,
            figure=difference.what,
            stored=difference.stored,
            counted=difference.counted,
        )
    record_differences(differences, found_by=FOUND_BY, now=now)
    alarmed = [one.contract_id for one in refreshed if one.has_open_discrepancy]
    if alarmed:
        resolve_discrepancies(differences, checked=alarmed, found_by=FOUND_BY, now=now)
