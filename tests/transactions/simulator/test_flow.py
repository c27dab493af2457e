"""The shape of a vote, held against what real ones show (DOMAIN 6)."""

from datetime import timedelta

import numpy as np
import pytest

from tests.transactions.simulator.exports import world
from transactions.simulator.flow import NEVER, contract_flow, hourly_curve

HOUR = 3_600_000


@pytest.fixture(scope="module")
def election():
    return world(constituencies=150, transactions=400_000)


@pytest.fixture(scope="module")
def flows(election):
    """Every contract with people, with its flow."""
    pairs = [(item, contract_flow(election, item)) for item in election.contracts]
    return [(contract, flow) for contract, flow in pairs if len(flow.person)]


def from_opening(pairs):
    """Return the issue times of all contracts in hours after their opening."""
    return np.concatenate(
        [(flow.issued - contract.district.opens_ms) / HOUR for contract, flow in pairs]
    )


def test_days_have_their_shares(flows):
    hours = from_opening(flows)

    days = np.histogram(hours, bins=[0, 16, 40, 60])[0] / len(hours)
    assert days == pytest.approx([0.78, 0.13, 0.09], abs=0.03)


def test_nights_carry_under_one_percent(flows):
    hours = from_opening(flows)

    night = np.isin(hours.astype(int), [*range(16, 22), *range(40, 46)])
    assert 0 < night.mean() < 0.01


def test_the_first_hour_differs_from_district_to_district(flows):
    shares = [
        (flow.issued < contract.district.opens_ms + HOUR).mean()
        for contract, flow in flows
        if len(flow.issued) > 500
    ]

    assert np.median(shares) == pytest.approx(0.19, abs=0.04)
    assert min(shares) > 0.07
    assert max(shares) < 0.45
    assert np.std(np.log(shares)) == pytest.approx(0.35, abs=0.12)


def test_turnout_of_the_list_lies_in_its_range(flows):
    shares = [
        len(flow.person) / contract.district.voters
        for contract, flow in flows
        if contract.district.voters > 200
    ]

    assert np.mean(shares) == pytest.approx(0.90, abs=0.01)
    assert 0.855 < min(shares) < max(shares) < 0.945


def test_a_few_bulletins_are_never_cast(flows):
    shares = [
        (flow.cast != NEVER).mean() for _, flow in flows if len(flow.cast) > 1_000
    ]

    assert np.mean(shares) == pytest.approx(0.975, abs=0.01)
    assert 0.95 < min(shares) < max(shares) < 1


def test_a_vote_comes_after_its_issue_and_soon_enough(flows):
    for contract, flow in flows:
        voted = flow.cast != NEVER
        assert (flow.cast[voted] > flow.issued[voted]).all()
        assert (flow.issued >= contract.district.opens_ms).all()
        assert (flow.issued < contract.district.closes_ms).all()
        assert (flow.cast < contract.district.closes_ms + HOUR / 4).all()


def test_the_delay_has_its_median_and_its_tail(flows):
    delays = np.concatenate(
        [
            (flow.cast - flow.issued)[flow.cast != NEVER]
            for contract, flow in flows
            if contract.ballot == 1
        ]
    )

    assert np.median(delays) / 1000 == pytest.approx(92, rel=0.05)
    assert (delays > HOUR).mean() == pytest.approx(0.03, abs=0.006)


def test_removals_are_nine_in_a_thousand_and_by_day(flows):
    voters = sum(contract.district.voters for contract, _ in flows)
    removed = np.concatenate(
        [flow.removed_at - contract.district.opens_ms for contract, flow in flows]
    )

    assert len(removed) / voters == pytest.approx(0.009, rel=0.1)
    assert (removed / HOUR % 24 < 12).all()


def test_who_is_removed_takes_no_bulletin(flows):
    for _, flow in flows:
        people = np.concatenate([flow.person, flow.removed, flow.idle])
        assert len(np.unique(people)) == len(people)


def test_ballots_of_a_district_go_to_the_same_people_together(flows):
    by_ballot = {(item.district.index, item.ballot): flow for item, flow in flows}

    second = [key for key in by_ballot if key[1] == 2]
    for district, ballot in second:
        first, other = by_ballot[district, 1], by_ballot[district, ballot]
        assert (first.person == other.person).all()
        assert (abs(other.issued - first.issued) < 1_000).all()


def test_common_jumps_show_in_their_five_minutes(election, flows):
    assert all(1.39 <= factor <= 1.57 for _, factor in election.jumps)
    assert 3 <= len(election.jumps) <= 5
    start, factor = election.jumps[0]
    step = timedelta(minutes=5) // timedelta(milliseconds=1)

    calm = sum(
        ((flow.issued >= at) & (flow.issued < at + step)).sum() / 2
        for _, flow in flows
        for at in (start - step, start + step)
    )
    jump = sum(
        ((flow.issued >= start) & (flow.issued < start + step)).sum()
        for _, flow in flows
    )

    # Within what so few events allow.
    assert abs(jump - factor * calm) < 4 * np.sqrt(factor * calm) + 0.15 * calm


@pytest.mark.parametrize("days", [1, 2, 3, 7])
def test_the_curve_covers_the_vote_and_adds_up(days):
    curve = hourly_curve(days)

    assert len(curve) == 24 * (days - 1) + 12
    assert curve.sum() == pytest.approx(1)


def test_in_an_outage_no_vote_arrives_and_all_do_after_it():
    plain, disturbed = world(), world(faults={"outage"})
    start, end = disturbed.outage

    for before, after in zip(plain.contracts, disturbed.contracts, strict=True):
        was, now = (
            contract_flow(plain, before).cast,
            contract_flow(disturbed, after).cast,
        )
        assert not ((now >= start) & (now < end)).any()
        held = (was >= start) & (was < end)
        assert (now[held] < end + HOUR).all()
        assert (now[~held] == was[~held]).all()
