"""P01 agrees with worked examples, with chance, and with what was published."""

from dataclasses import replace

import numpy as np
import pytest

from anomalies.rules import integers
from anomalies.rules.integers import (
    chances,
    integer_excess,
    integer_findings,
    is_integer,
)
from anomalies.rules.stations import Stations
from tests.anomalies.published import YEARS, expected, russia
from tests.anomalies.rules.worlds import clean_election
from tests.shared_data import needs_forensics


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
@pytest.mark.parametrize("year", YEARS)
def test_it_is_what_was_published(year):
    published = expected()["integer_anomaly"][year]

    found = integer_excess(russia(year))

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


def test_large_totals_have_the_same_chances_near_by(monkeypatch):
    counts, totals = np.array([0, 1, 600, 1499, 1500]), np.full(5, 1500)
    all_added = chances(counts, totals)

    monkeypatch.setattr(integers, "LARGE_TOTAL", 1000)

    assert chances(counts, totals) == pytest.approx(all_added, abs=1e-12)


def test_only_the_region_that_rounds_is_flagged():
    stations = clean_election(1)
    here = stations.regions.codes == 7
    given = stations.given.copy()
    given[here] = np.where(
        np.arange(here.sum()) < 200, stations.voters[here] * 7 // 10, given[here]
    )
    rounded = replace(
        stations,
        given=given,
        received=given,
        leader=np.minimum(stations.leader, given),
    )

    found = integer_findings(rounded)

    assert [each.name for each in found.regions if each.is_flagged] == ["region 7"]
    assert found.regions[0].name == "region 7"
    assert len(found.regions) == 10
    assert (
        sum(each.excess.observed for each in found.regions)
        == found.national["any"].observed
    )


def test_a_clean_election_is_not_flagged_nor_are_its_regions():
    found = integer_findings(clean_election(2))

    assert not found.is_flagged
    assert not any(each.is_flagged for each in found.regions)


@pytest.mark.parametrize(("factor", "is_flagged"), [(1, True), (4, False)])
def test_small_stations_are_not_flagged_for_the_same_excess(factor, is_flagged):
    rng = np.random.default_rng(0)
    # Multiples of 400, so that a quarter of a station has integer percentages too.
    voters = 400 * rng.integers(3, 6, 5000) // factor
    given = voters // 2

    found = integer_findings(Stations(voters, given, given, given // 3))

    assert found.national["any"].score > 3.09
    assert (found.median_ballots >= 300) is is_flagged
    assert found.is_flagged is is_flagged


@needs_forensics
@pytest.mark.parametrize("year", YEARS)
def test_every_election_of_russia_here_is_flagged(year):
    found = integer_findings(russia(year))

    assert found.is_flagged
    assert any(each.is_flagged for each in found.regions)
