"""What lies inside the hours: counted from the ledger once, and again where it changed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from django.db import connection, transaction

from anomalies import queries
from anomalies.rules.within import (
    BLOCK_MINUTES,
    FIGURES,
    LEAST_BALLOTS,
    LEAST_BLOCK,
    Moments,
)
from anomalies.services.panels import ONE_HOUR, Panels
from anomalies.sql import statements

SERIES = ("bulletins_issued", "votes_cast")
# For this statement alone. Its sorts stay in memory up to 1.3 million acts. It meets a ledger
# of which the planner knows nothing yet, just loaded: then it would compare each row with
# each hour, 11 s for 60,000 rows that take .7 s by hashing.
PLANNER = {"work_mem": "128MB", "enable_nestloop": "off"}


class HourMomentsService:
    """Keeps HourMoments equal to the ledger in the hours that are over."""

    def refresh(self, election_id: int, *, until: datetime) -> int:
        """Count the hours up to `until` that are new or changed; return how many.

        In a transaction of its own: two at once do the same work, and the newer stays. The
        versions are read before the ledger, so a change in between is counted again.
        """
        stale = queries.stale_moments(election_id, until=until, least=LEAST_BALLOTS)
        if stale:
            _count(stale)
        return len(stale)


def _count(stale: Sequence[tuple[int, datetime, int]]) -> None:
    constituencies, hours, versions = (
        list(column) for column in zip(*stale, strict=True)
    )
    values: dict[str, Any] = {
        "constituencies": constituencies,
        "hours": hours,
        "versions": versions,
        "ids": sorted(set(constituencies)),
        "first": min(hours),
        "last": max(hours) + ONE_HOUR,
        "block": BLOCK_MINUTES,
        "full": LEAST_BLOCK,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        for name, value in PLANNER.items():
            # Until the end of this transaction.
            cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
        cursor.execute(statements["write_moments"], values)


def moments(election_id: int, compared: Panels) -> dict[str, Moments]:
    """Return the moments of both series in the rows and columns of the panels."""
    rows = queries.hour_moments(election_id)
    shape = (len(compared.ids), compared.columns)
    grids = np.full((len(SERIES) * len(FIGURES), *shape), np.nan)
    place = {pk: row for row, pk in enumerate(compared.ids.tolist())}
    columns = [compared.column(row[1]) for row in rows]
    kept = [
        (place[row[0]], column, row[2:])
        for row, column in zip(rows, columns, strict=True)
        if row[0] in place and 0 <= column < compared.columns
    ]
    if kept:
        at, hours, figures = zip(*kept, strict=True)
        grids[:, list(at), list(hours)] = np.array(figures, dtype=float).T
    width = len(FIGURES)
    return {
        name: Moments(*grids[width * number : width * (number + 1)])
        for number, name in enumerate(SERIES)
    }
