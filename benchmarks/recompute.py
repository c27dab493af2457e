"""Counting all hours again, held against one bare GROUP BY of the ledger."""

from collections.abc import Iterator

import numpy as np
from django.db import connection
from django.utils import timezone

from benchmarks import databases, ledgers
from benchmarks.measure import Figure, at_most, seconds
from benchmarks.progress import say
from benchmarks.sizes import Sizes
from metrics.services import HourlyStatsService

BARE = """
SELECT
    constituency_id,
    date_trunc('hour', "timestamp"),
    sum(quantity) FILTER (WHERE operation = 1 AND outcome = 1),
    count(*) FILTER (WHERE operation = 2 AND counted),
    count(*) FILTER (WHERE operation = 2 AND outcome = 1 AND NOT counted),
    count(*),
    count(*) FILTER (WHERE outcome = 2)
FROM transactions_transaction
WHERE NOT rolled_back
GROUP BY 1, 2
"""


def run(sizes: Sizes, *, pristine: str) -> Iterator[Figure]:
    rows = sizes.recompute_rows
    figure = Figure(
        "recompute", f"recompute of {rows:,} rows", "GROUP BY", "s", at_most(1.5)
    )
    with databases.temporary("bench_recompute", template=pristine):
        ledgers.fill(np.random.default_rng(3), rows)
        databases.vacuum()
        for number in range(sizes.pairs + 1):
            pair = seconds(_recompute), seconds(_group)
            say(f"recompute {number}: {pair[0]:.2f} s, GROUP BY {pair[1]:.2f} s")
            if number:
                figure.add(*pair)
    yield figure


def _recompute() -> None:
    HourlyStatsService().aggregate_hourly_stats_for_election(
        ledgers.ELECTION, now=timezone.now()
    )


def _group() -> None:
    with connection.cursor() as cursor:
        cursor.execute(BARE)
        cursor.fetchall()
