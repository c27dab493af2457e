"""What is derived is written, and totals are held against the sums of their hours."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import connection
from django.db.models import F

from elections.locks import lock_constituencies
from elections.models import Constituency
from elections.queries import TOTALS
from metrics.services.discrepancies import record_differences, resolve_discrepancies
from metrics.services.hourly_stats import UnknownConstituency
from metrics.services.verification import Difference
from metrics.sql import statements

logger = structlog.get_logger(__name__)

FOUND_BY = "refresh"


@dataclass(frozen=True, slots=True)
class Refresh:
    """What refreshing a constituency found."""

    contract_id: str
    # Totals that are not the sum of their hours; they are left as they are.
    differences: tuple[Difference, ...]
    resolved_count: int
    anomaly_count: int
    # False: nothing that anybody looks at has changed.
    is_changed: bool


def refresh(constituency_id: int, *, now: datetime) -> Refresh:
    """Do what `ConstituencyMetricsService.refresh` says."""
    if not lock_constituencies([constituency_id]):
        raise UnknownConstituency(str(constituency_id))
    # Only now: a sum read before the lock could be older than what it overwrites.
    totals = _compare_totals(constituency_id)
    is_changed = totals.anomaly_count != totals.stored_anomaly_count
    Constituency.objects.filter(pk=constituency_id).update(
        anomaly_count=totals.anomaly_count,
        metrics_updated_at=now,
        version=F("version") + int(is_changed),
    )
    return Refresh(
        contract_id=totals.contract_id,
        differences=totals.differences,
        resolved_count=_raise_alarm(totals, now=now),
        anomaly_count=totals.anomaly_count,
        is_changed=is_changed,
    )


@dataclass(frozen=True, slots=True)
class _ComparedTotals:
    contract_id: str
    differences: tuple[Difference, ...]
    anomaly_count: int
    stored_anomaly_count: int
    has_open_discrepancy: bool


def _compare_totals(constituency_id: int) -> _ComparedTotals:
    values: dict[str, Any] = {"constituency_id": constituency_id, "figures": TOTALS}
    with connection.cursor() as cursor:
        cursor.execute(statements["compare_totals"], values)
        contract_id, wrong, *others = cursor.fetchone()
    differences = tuple(Difference(contract_id, None, *figure) for figure in wrong)
    return _ComparedTotals(contract_id, differences, *others)


def _raise_alarm(totals: _ComparedTotals, *, now: datetime) -> int:
    """Keep and log what differs; return how many earlier alarms are over."""
    for difference in totals.differences:
        logger.error(
            "Total differs from hourly statistics",
            contract_id=difference.contract_id,
            figure=difference.what,
            stored=difference.stored,
            counted=difference.counted,
        )
    record_differences(totals.differences, found_by=FOUND_BY, now=now)
    if not totals.has_open_discrepancy:
        return 0
    return resolve_discrepancies(
        totals.differences, checked=[totals.contract_id], found_by=FOUND_BY, now=now
    )
