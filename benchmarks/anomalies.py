"""The rules: S01 over a country, and one whole evaluation with everything it reads."""

from collections.abc import Iterator

import numpy as np
from django.db import connection, transaction
from django.utils import timezone

from anomalies.rules.flow import flow
from anomalies.rules.panels import Panel
from anomalies.services import AnomalyService
from benchmarks import databases, ledgers
from benchmarks.measure import Figure, at_most, seconds
from benchmarks.progress import say
from benchmarks.rows import make_places
from benchmarks.sizes import Sizes
from elections.models import Election
from transactions.simulator.flow import hourly_curve

CONSTITUENCIES, HOURS = 5_000, 70
# What a tick may take, ANOMALIES 5 and the issue of the rules.
FLOW_SECONDS, TICK_SECONDS = 2.0, 10.0
# Each constituency of the ledger has its first and last hour in this vote.
SPREAD = """
UPDATE elections_constituency
SET issue_opens_at = %s, voting_closes_at = NULL, stated_registered_voters = 5000
"""


def run(sizes: Sizes, *, pristine: str) -> Iterator[Figure]:
    yield _flow(sizes)
    with databases.temporary("bench_anomalies", template=pristine):
        make_places(ledgers.ELECTION, CONSTITUENCIES)
        ledgers.fill(np.random.default_rng(3), sizes.recompute_rows)
        databases.vacuum()
        yield _tick(sizes)


def _flow(sizes: Sizes) -> Figure:
    name = f"S01 over {CONSTITUENCIES:,} × {HOURS} hours"
    figure = Figure("anomalies", name, "2 s", "s", at_most(1))
    panel = _country(np.random.default_rng(1))
    for number in range(sizes.pairs + 1):
        taken = seconds(lambda: flow(panel))
        say(f"S01 {number}: {taken:.2f} s")
        if number:
            figure.add(taken, FLOW_SECONDS)
    return figure


def _country(rng: np.random.Generator) -> Panel:
    sizes = np.clip(350 * np.exp(1.95 * rng.standard_normal(CONSTITUENCIES)), 1, 1.5e5)
    curve = np.resize(hourly_curve(3), HOURS)
    means = sizes[:, None] * 0.9 * curve * rng.gamma(33, 0.03, (CONSTITUENCIES, HOURS))
    counts = rng.poisson(means)
    return Panel(
        counts=counts,
        is_known=np.ones(counts.shape, bool),
        voters=np.floor(sizes),
        groups=np.arange(CONSTITUENCIES) % 11,
        electorates=np.arange(CONSTITUENCIES) // 2,
        opens=np.zeros(CONSTITUENCIES, dtype=np.int64),
        closes=np.full(CONSTITUENCIES, HOURS),
        first_clock=np.full(CONSTITUENCIES, 8),
    )


def _tick(sizes: Sizes) -> Figure:
    name = f"evaluation of {CONSTITUENCIES:,} constituencies"
    figure = Figure("anomalies", name, "10 s", "s", at_most(1))
    election = Election.objects.get(slug=ledgers.ELECTION)
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(hour) FROM metrics_hourlystats")
        cursor.execute(SPREAD, cursor.fetchone())
    for number in range(sizes.pairs + 1):
        taken = seconds(lambda: _evaluate(election))
        say(f"evaluation {number}: {taken:.2f} s")
        if number:
            figure.add(taken, TICK_SECONDS)
    return figure


def _evaluate(election: Election) -> None:
    service, now = AnomalyService(), timezone.now()
    found = service.assess(election.pk, now=now)
    with transaction.atomic():
        service.write(found, now=now)
