"""S15 sees ballots of one district that come apart, however few there are."""

import numpy as np
import pytest

from anomalies.rules.ballots import electorates, gaps
from anomalies.rules.flow import flow
from tests.anomalies.rules.panels import changed, election, panel

EVENING = 11


def judged(counts):
    return gaps(counts, flow(counts))


@pytest.mark.parametrize("voters", [150, 4000])
@pytest.mark.parametrize("twins", [2, 3])
def test_ballots_together_are_no_alarm(twins, voters):
    found = judged(election(twins=twins, voters=voters, constituencies=240))

    assert np.nanmin(found.p) > 1e-5
    assert np.nanmean(found.p <= 0.001) < 0.001


@pytest.mark.parametrize("twins", [2, 3])
def test_a_burst_too_small_for_the_peers_is_seen_beside_the_twin(twins):
    usual = election(twins=twins, voters=300)
    by = 9
    struck = changed(usual, row=twins * 4, hour=EVENING, by=by)

    found = judged(struck)

    assert flow(struck).p[twins * 4, EVENING] > 1e-4
    assert found.p[twins * 4, EVENING] < 1e-6
    assert found.apart[0, twins * 4, EVENING] == pytest.approx(by, abs=2)


@pytest.mark.parametrize("by", [+400, -300])
def test_of_two_the_odd_one_is_named(by):
    usual = election(twins=2, voters=10_000)
    struck = changed(usual, row=8, hour=EVENING, by=by)

    found = judged(struck)

    assert found.p[8, EVENING] < 1e-9
    # Not now, and not while the hour stays in the windows.
    assert found.p[9, EVENING : EVENING + 12].min() > 0.05


def test_habits_of_ballots_are_learnt():
    """Up to 3 % of the votes of each ballot are left out, all day long."""
    usual = election(twins=2, voters=20_000)
    habits = np.random.default_rng(4).uniform(0.96, 0.99, (len(usual.counts), 1))
    counts = np.rint(usual.counts * habits)

    found = judged(panel(counts, voters=usual.voters, electorates=usual.electorates))

    assert np.nanmin(found.p) > 1e-4


def test_who_has_no_twin_is_not_compared():
    found = judged(election(twins=1))

    assert np.isnan(found.p).all()


def test_a_gap_in_the_feed_of_one_is_no_gap_between_them():
    usual = election(twins=2)
    is_known = usual.is_known.copy()
    is_known[8, EVENING] = False

    found = judged(
        panel(
            usual.counts,
            voters=usual.voters,
            electorates=usual.electorates,
            is_known=is_known,
        )
    )

    assert np.isnan(found.p[8:10, EVENING]).all()
    assert np.nanmin(found.p[8:10]) > 1e-3


def test_a_contract_without_a_ballot_has_no_twin():
    usual = election(twins=2)

    found = judged(changed(usual, row=8, hour=slice(None), to=0))

    assert np.isnan(found.p[8:10]).all()


def test_one_district_with_equal_registers_is_one_electorate():
    districts = np.array([5, 5, 5, 6, 6, 7])
    voters = np.array([1000, 1010, 1500, np.nan, np.nan, 1000])

    found = electorates(districts, voters)

    assert found[0] == found[1]
    assert len({*found.tolist()}) == 5
