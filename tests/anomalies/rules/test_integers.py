"""P01 agrees with worked examples, with chance, and with what was published."""

import csv
import gzip
import json

import numpy as np
import pytest

from anomalies.rules.integers import Stations, chances, integer_excess, is_integer
from tests.shared_data import FORENSICS, needs_forensics

COLUMNS = ("voters", "given", "received", "leader")


def one(function, count, total):
    return function(np.array([count]), np.array([total]))[0]


@pytest.mark.parametrize(
    ("count", "total", "expected"),
    [
        (700, 1000, True),
        # 64.9109 %.
        (801, 1234, False),
        # 64.95 % and 65.05 %: on the edge, which belongs to it.
        (1299, 2000, True),
        (1301, 2000, True),
        (1298, 2000, False),
        (0, 100, True),
    ],
)
def test_what_is_an_integer_percentage(count, total, expected):
    assert one(is_integer, count, total) == expected


def test_chances_of_worked_examples():
    assert one(chances, 700, 1000) == pytest.approx(0.1, abs=1e-9)
    assert one(chances, 801, 1234) == pytest.approx(0.107571, abs=1e-6)
    # Nobody, or everybody: there is nothing that could vary.
    assert one(chances, 0, 100) == 1
    assert one(chances, 100, 100) == 1


def test_chances_stay_in_their_order():
    counts, totals = np.array([801, 700, 801, 5]), np.array([1234, 1000, 1234, 150])

    found = chances(counts, totals)

    assert found == pytest.approx(
        [one(chances, c, t) for c, t in zip(counts, totals, strict=True)]
    )


def stations_by_chance(rng, number=40_000):
    voters = rng.integers(300, 2500, number)
    given = rng.binomial(voters, rng.uniform(0.3, 0.8, number))
    leader = rng.binomial(given, rng.uniform(0.2, 0.7, number))
    return Stations(voters, given, given, leader)


def test_what_chance_makes_is_no_excess():
    scores = [
        found.score
        for seed in range(4)
        for found in integer_excess(
            stations_by_chance(np.random.default_rng(seed))
        ).values()
    ]

    assert max(map(abs, scores)) < 3.1


def test_rounded_results_are_found():
    stations = stations_by_chance(np.random.default_rng(1))
    # One in a hundred was given a turnout of 70 %.
    given = stations.given.copy()
    given[:400] = stations.voters[:400] * 7 // 10
    rounded = Stations(
        stations.voters, given, given, np.minimum(stations.leader, given)
    )

    found = integer_excess(rounded)

    assert found["turnout"].score > 4
    assert found["turnout"].excess == pytest.approx(360, abs=150)


def test_stations_that_say_nothing_are_left_out():
    stations = Stations(
        voters=np.array([99, 100, 1000, 1000, 0]),
        given=np.array([50, 50, 995, 500, 0]),
        received=np.array([50, 50, 995, 0, 0]),
        leader=np.array([20, 20, 500, 0, 0]),
    )

    assert integer_excess(stations)["any"].stations == 1


def test_no_stations_are_no_excess():
    nothing = np.array([], dtype=np.int64)

    found = integer_excess(Stations(nothing, nothing, nothing, nothing))

    assert (found["any"].observed, found["any"].score) == (0, 0)


@needs_forensics
@pytest.mark.parametrize(
    "year", ["2004", "2007", "2011", "2012", "2016", "2018", "2021"]
)
def test_it_is_what_was_published(year):
    known = json.loads((FORENSICS / "expected.json").read_text())
    published = known["integer_anomaly"][year]
    with gzip.open(FORENSICS / published["file"], "rt") as file:
        rows = list(csv.DictReader(file))
    columns = (np.array([int(row[name] or 0) for row in rows]) for name in COLUMNS)

    found = integer_excess(Stations(*columns))

    for name, exact in published["exact"].items():
        assert found[name].stations == exact["n"]
        # Stations on the very edge: there the published numbers went by the last digit.
        assert found[name].observed == pytest.approx(exact["observed"], abs=1)
        assert found[name].expected == pytest.approx(exact["expected"], abs=1)
        assert found[name].deviation == pytest.approx(exact["sd"], abs=0.01)
        # His are means of a thousand simulations.
        error = 4 * published["mc_sd"][name] / np.sqrt(1000)
        assert found[name].excess == pytest.approx(
            published["published_excess"][name], abs=error
        )
