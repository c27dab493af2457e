"""The federal vote of September 2026, replayed as an election without anomalies.

Only the national curve is real; 500 constituencies share it by their size, with the shocks
that hours of a district have.
"""

import csv
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from anomalies.rules.jumps import BIN_MINUTES, BINS
from anomalies.rules.panels import Panel
from anomalies.services.panels import Calls, Panels
from anomalies.services.statistical import Observed, StatisticalRules
from tests.shared_data import REAL, needs_real

pytestmark = needs_real

CONSTITUENCIES = 500
HOURS = 70
SHOCKS = 0.03
# Turnout of 28 regions in 2024: mean and deviation.
TURNOUT = 0.944, 0.0105
# Hours after midnight in Moscow in which the zones opened, from Kamchatka to Moscow.
OPENINGS = np.array([0, 4, 6, 8])
FIRST = datetime(2026, 9, 17, 21, tzinfo=UTC)


def national_bins():
    """Return issues and votes per five minutes of whole hours, from midnight in Moscow."""
    with (REAL / "deg2026_russia_5min.csv").open() as file:
        rows = list(csv.DictReader(file))
    bins = np.zeros((2, BINS * HOURS))
    for row in rows:
        since = datetime.fromisoformat(row["bucket_start"]) - FIRST
        place = since // timedelta(minutes=BIN_MINUTES)
        if place >= 0:
            bins[:, place] = int(row["ballots_issued"]), int(row["votes_cast"])
    return bins


def votes(handed_out, cast, rng):
    """Let whoever holds a bulletin vote, as likely as anybody else in the country."""
    voted, held = np.zeros_like(handed_out), np.zeros(CONSTITUENCIES, dtype=np.int64)
    for hour in range(HOURS):
        held += handed_out[:, hour]
        part = min(cast[hour] / max(held.sum(), 1), 1.0)
        voted[:, hour] = rng.binomial(held, part)
        held -= voted[:, hour]
    return voted


@pytest.fixture(scope="module")
def rules():
    bins = national_bins()
    issued, cast = bins.reshape(2, -1, BINS).sum(axis=2)
    rng = np.random.default_rng(2026)
    sizes = 2500 * rng.lognormal(0, 1.2, CONSTITUENCIES)
    shocks = rng.gamma(1 / SHOCKS, SHOCKS, (CONSTITUENCIES, len(issued)))
    everybody = np.arange(CONSTITUENCIES)
    opens = OPENINGS[everybody % len(OPENINGS)]
    could_come = sizes[:, None] * (np.arange(HOURS) >= opens[:, None])
    parts = could_come / could_come.sum(axis=0) * shocks
    handed_out = rng.poisson(parts * issued)
    voted = votes(handed_out, cast, rng)
    shared = {
        "is_known": np.ones(handed_out.shape, bool),
        "voters": np.ceil(
            handed_out.sum(axis=1) / rng.normal(*TURNOUT, CONSTITUENCIES)
        ),
        "groups": everybody % len(OPENINGS),
        "electorates": everybody,
        "opens": opens,
        "closes": np.full(CONSTITUENCIES, len(issued) - 1),
        "first_clock": np.zeros(CONSTITUENCIES, dtype=np.int64),
    }
    observed = Observed(
        election_id=1,
        panels=Panels(
            first_hour=FIRST,
            ids=everybody,
            regions=np.zeros(CONSTITUENCIES, dtype=np.int64),
            calls=Calls(*np.zeros((2, *voted.shape), dtype=np.int64)),
            panels={
                "bulletins_issued": Panel(counts=handed_out, **shared),
                "votes_cast": Panel(counts=voted, **shared),
            },
        ),
        five_minutes=dict(zip(("bulletins_issued", "votes_cast"), bins, strict=True)),
    )
    return StatisticalRules(observed)


def found(rules, rule):
    return [finding for finding in rules.findings if finding.rule == rule]


def test_the_night_without_votes_is_one_event_and_closed(rules):
    [outage] = found(rules, "S16")

    # 00:00 to 03:00 in Moscow.
    assert outage.started_hour == datetime(2026, 9, 17, 21, tzinfo=UTC)
    assert outage.ended_hour == datetime(2026, 9, 17, 23, tzinfo=UTC)
    assert re.match(r"Votes arrive again; 2,\d{3} of 4,\d{3} missing", outage.closed)
    assert outage.constituency is None


def test_each_jump_of_the_country_is_one_event(rules):
    found_at = [
        datetime.fromisoformat(jump.evidence["jumps"][0]["from"])
        for jump in found(rules, "S17")
    ]

    # In Moscow 16:25 on Friday, 09:35 and 11:20 on Saturday, 09:35 and 13:45 on Sunday.
    assert found_at == [
        datetime(2026, 9, 18, 13, 25, tzinfo=UTC),
        datetime(2026, 9, 19, 6, 35, tzinfo=UTC),
        datetime(2026, 9, 19, 8, 20, tzinfo=UTC),
        datetime(2026, 9, 20, 6, 35, tzinfo=UTC),
        datetime(2026, 9, 20, 10, 45, tzinfo=UTC),
    ]


def test_no_constituency_is_blamed_for_what_the_country_did(rules):
    hours = rules.flagged_rules()

    # 1 of 35,000 constituency-hours in this draw; the budget is .05 %, which is 17.
    assert (hours > 0).mean() <= 0.0005
    grave = [item for item in rules.findings if item.severity == "critical"]
    assert [item for item in grave if item.constituency is not None] == []
