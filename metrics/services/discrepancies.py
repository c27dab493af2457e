"""Published figures that were found to differ: alarms, kept until they are right again."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from metrics.services.verification import Difference
from metrics.sql import statements


def record_differences(
    differences: Iterable[Difference], *, found_by: str, now: datetime
) -> int:
    """Keep `differences` as open discrepancies; return how many there are.

    A figure has one open discrepancy: what is found again is seen again, whoever found
    it first. Differences of contracts that are gone are left out.
    """
    found = list(differences)
    if not found:
        return 0
    values = _arrays(found) | {
        "counted": [difference.counted for difference in found],
        "stored": [difference.stored for difference in found],
    }
    return _execute("record_differences", values, found_by=found_by, now=now)


def resolve_discrepancies(
    differences: Iterable[Difference],
    *,
    checked: Collection[str],
    found_by: str,
    now: datetime,
) -> int:
    """Resolve what is right again; return how many discrepancies that were.

    `checked` are the contracts that were looked at in whole, `differences` all that was
    found in them. Only discrepancies that `found_by` found itself: another one has
    looked at something else.
    """
    values = _arrays(list(differences)) | {"checked": list(checked)}
    return _execute("resolve_discrepancies", values, found_by=found_by, now=now)


def _arrays(differences: Sequence[Difference]) -> dict[str, Any]:
    return {
        "contract_ids": [difference.contract_id for difference in differences],
        "hours": [difference.hour for difference in differences],
        "figures": [difference.what for difference in differences],
    }


def _execute(name: str, values: dict[str, Any], *, found_by: str, now: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statements[name], values | {"found_by": found_by, "now": now})
        return len(cursor.fetchall())
