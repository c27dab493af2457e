"""P04 finds the core, and what lies beyond it."""

import numpy as np
import pytest

from anomalies.rules.excess import densest_core, excess_votes
from tests.anomalies.published import expected, russia
from tests.anomalies.rules.worlds import clean_election, table, with_added_votes
from tests.shared_data import needs_forensics


def test_what_the_ratio_of_the_core_does_not_explain_is_excess():
    # At 50 % one vote for the leader per vote for others, at 80 % three.
    stations = table(*[(1000, 500, 500, 250)] * 10, *[(1000, 800, 800, 600)] * 2)

    found = excess_votes(stations)

    assert found is not None
    assert (found.core_turnout, found.ratio) == (50, 1)
    # 600 − 1 · 200, twice.
    assert found.excess == 800
    assert (found.leader[50], found.others[50], found.leader[80]) == (2500, 2500, 1200)


def test_a_clean_election_has_little_excess_and_added_votes_are_found():
    clean = clean_election()
    changed = with_added_votes(clean, 0.2)
    added = int((changed.leader - clean.leader).sum())

    found = excess_votes(changed)

    assert abs(excess_votes(clean).excess) < 0.01 * clean.leader.sum()
    assert found.excess == pytest.approx(added, rel=0.15)


def test_one_large_station_of_remote_voting_is_not_the_core():
    paper = np.tile([1000, 380, 380, 150], (2000, 1)) + np.arange(2000)[:, None] % 5
    remote = (171_000, 164_200, 164_200, 60_000)

    found = excess_votes(table(*map(tuple, paper), remote))

    assert found.core_turnout == 38


def test_a_core_near_full_turnout_is_no_clean_one():
    assert not excess_votes(table(*[(1000, 900, 900, 450)] * 10)).has_clean_core
    assert excess_votes(table(*[(1000, 500, 500, 250)] * 10)).has_clean_core


def test_a_turnout_above_a_hundred_per_cent_counts_as_a_hundred():
    found = excess_votes(table(*[(1000, 500, 500, 250)] * 10, (100, 150, 150, 150)))

    assert (found.leader[100], found.excess) == (150, 150)


def test_where_nobody_voted_for_others_there_is_no_ratio():
    assert excess_votes(table()) is None
    assert excess_votes(table((1000, 500, 500, 500))) is None


def test_the_densest_core_is_that_of_most_voters():
    rng = np.random.default_rng(0)
    # Sixty per cent of voters near (.4, .3), the others scattered at high turnout.
    turnout = np.concatenate([rng.normal(0.4, 0.02, 600), rng.uniform(0.5, 1, 400)])
    share = np.concatenate([rng.normal(0.3, 0.02, 600), rng.uniform(0.4, 1, 400)])
    given = (10_000 * turnout).astype(int)
    leader = (given * share).astype(int)
    rows = np.stack([np.full(1000, 10_000), given, given, leader], axis=1)

    found = densest_core(table(*map(tuple, rows)))

    assert (found.turnout, found.share) == pytest.approx((0.4, 0.3), abs=0.01)


def test_voters_weigh_and_not_stations():
    rng = np.random.default_rng(0)
    sizes = np.concatenate([np.full(300, 10_000), np.full(700, 200)])
    given = (sizes * np.where(sizes > 200, rng.normal(0.6, 0.01, 1000), 0.3)).astype(
        int
    )
    rows = np.stack([sizes, given, given, given // 2], axis=1)

    assert densest_core(table(*map(tuple, rows))).turnout == pytest.approx(
        0.6, abs=0.01
    )


def test_few_stations_have_no_core_and_equal_ones_do():
    assert densest_core(table(*[(1000, 500, 500, 250)] * 9)) is None
    assert densest_core(table(*[(1000, 500, 500, 250)] * 10)).turnout == 0.5


@needs_forensics
def test_the_core_of_2021_is_what_was_published():
    published = expected()["mcd_core"]["2021"]

    found = densest_core(russia("2021"))

    ours = (100 * found.turnout, 100 * found.share)
    assert ours == pytest.approx(published["published_pct"], abs=published["tol_pp"])
    assert ours == pytest.approx(published["ours_pct"], abs=0.05)


@needs_forensics
@pytest.mark.parametrize(
    ("year", "millions", "core"),
    [("2011", 14.4, 52), ("2016", 12.6, 37), ("2018", 10.6, 61), ("2021", 14.9, 38)],
)
def test_the_excess_is_what_is_documented(year, millions, core):
    found = excess_votes(russia(year))

    assert found.core_turnout == core
    # Which bins and which ratio were taken for the document is not known.
    assert found.excess / 1e6 == pytest.approx(millions, abs=0.4)


def test_the_turnout_of_the_core_itself_has_no_excess():
    stations = table(*[(1000, 500, 500, 200)] * 10, *[(1000, 510, 510, 310)] * 10)

    found = excess_votes(stations)

    # Both are near the core: (2000 + 3100) / (3000 + 2000).
    assert (found.core_turnout, found.ratio) == (50, pytest.approx(1.02))
    # Above it 3100 − 1.02 · 2000.
    assert found.excess == pytest.approx(1060)
