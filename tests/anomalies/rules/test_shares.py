"""S11, S12 and H13 are right about chance, and see a share that is not the peers'."""

import numpy as np
import pytest
from scipy import stats

from anomalies.rules import betabinomial
from anomalies.rules.counts import beta_binomial_tails
from anomalies.rules.shares import abandonment, rejection_rate, turnout


def shares(trials, *, rate, rho, seed=1):
    """Return successes by chance: districts differ as a beta distribution."""
    rng = np.random.default_rng(seed)
    strength = 1 / rho - 1
    rates = rng.beta(rate * strength, (1 - rate) * strength, len(trials))
    return rng.binomial(trials, rates)


def sizes(constituencies, *, seed=2):
    rng = np.random.default_rng(seed)
    return rng.lognormal(8.5, 1.2, constituencies).clip(200, 150_000).astype(int)


def alone(constituencies):
    """Return one group, in which every constituency has people of its own."""
    return {
        "groups": np.zeros(constituencies, int),
        "electorates": np.arange(constituencies),
    }


def not_cast(issued, missing, **peers):
    return abandonment(
        issued=issued, cast=issued - missing, **(peers or alone(len(issued)))
    )


@pytest.mark.parametrize("trials", [1, 64, 65, 200, 3_000, 150_000])
@pytest.mark.parametrize(
    ("rate", "rho"), [(0.0226, 0.0003), (0.0064, 0.0005), (0.62, 0.004), (0.944, 0.002)]
)
def test_tails_are_those_of_the_full_sum(trials, rate, rho):
    deviation = np.sqrt(trials * rate * (1 - rate) * (1 + (trials - 1) * rho))
    places = trials * rate + deviation * np.array([-9, -3, -0.5, 0, 0.5, 3, 9])
    successes = np.clip(np.rint(places), 0, trials)

    lower, upper = betabinomial.tails(successes, trials, rate=rate, rho=rho)

    known = [beta_binomial_tails(int(k), trials, rate=rate, rho=rho) for k in successes]
    assert np.column_stack([lower, upper]) == pytest.approx(np.array(known), rel=1e-4)


@pytest.mark.parametrize(
    ("missing", "side", "expected"),
    [(600, 1, 5.276e-32), (10, 0, 5.65e-30), (200, 1, 0.218)],
)
def test_bulletins_that_were_not_cast(missing, side, expected):
    """The 1.87e-11 of the catalogue for 600 is the noise of one minus a lower tail."""
    tails = betabinomial.tails(missing, 8000, rate=0.0226, rho=0.0003)

    assert tails[side] == pytest.approx(expected, rel=0.005)


def test_chance_alone_would_be_far_too_sure():
    _, upper = betabinomial.tails(30, 500, rate=0.017, rho=0.002)

    assert upper == pytest.approx(1.2e-4, rel=0.05)
    assert stats.binom.sf(29, 500, 0.017) == pytest.approx(5.1e-9, rel=0.02)


@pytest.mark.parametrize(("votes", "expected"), [(3200, 1.582e-10), (2900, 2.713e-4)])
def test_turnout_beside_that_of_peers(votes, expected):
    """The catalogue has 1.559e-10 for 3,200, which is the same noise."""
    _, upper = betabinomial.tails(votes, 4000, rate=0.62, rho=0.004)

    assert upper == pytest.approx(expected, rel=1e-3)


def test_calls_that_were_rejected():
    _, upper = betabinomial.tails(9, 300, rate=0.005, rho=1e-9)

    assert upper == pytest.approx(2.550e-5, rel=1e-3)


@pytest.mark.parametrize("peers", [28, 500])
@pytest.mark.parametrize(("rate", "rho"), [(0.0226, 0.0005), (0.0064, 0.005)])
def test_bulletins_not_cast_are_called_surprising_as_often_as_it_says(peers, rate, rho):
    p = [
        not_cast(issued, shares(issued, rate=rate, rho=rho, seed=seed)).p
        for seed in range(5_000 // peers)
        for issued in [sizes(peers, seed=seed)]
    ]

    for level in (0.05, 0.01, 0.001):
        assert np.mean(np.array(p) <= level) <= 1.5 * level
    assert np.mean(np.array(p) <= 0.05) >= 0.02


@pytest.mark.parametrize("peers", [28, 500])
@pytest.mark.parametrize(("rate", "rho"), [(0.62, 0.004), (0.944, 0.002)])
def test_turnout_is_called_surprising_as_often_as_it_says(peers, rate, rho):
    p = [
        turnout(cast=votes, voters=voters, **alone(peers)).p
        for seed in range(5_000 // peers)
        for voters in [sizes(peers, seed=seed)]
        for votes in [shares(voters, rate=rate, rho=rho, seed=seed)]
    ]

    for level in (0.05, 0.01, 0.001):
        assert np.mean(np.array(p) <= level) <= 1.5 * level
    assert np.mean(np.array(p) <= 0.05) >= 0.02


def test_seven_peers_of_other_groups_habits_raise_no_false_alarms():
    """Ten groups of seven; districts differ ten times as much as was assumed."""
    groups = np.repeat(np.arange(10), 7)
    p = [
        not_cast(issued, missing, groups=groups, electorates=np.arange(70)).p
        for seed in range(100)
        for issued in [sizes(70, seed=seed)]
        for missing in [shares(issued, rate=0.0226, rho=0.005, seed=seed)]
    ]

    assert np.mean(np.array(p) <= 0.001) <= 0.001


@pytest.mark.parametrize("share", [0.08, 0.0])
def test_a_district_in_which_votes_do_not_arrive_or_all_do_is_found(share):
    issued = sizes(60)
    issued[7] = 8000
    missing = shares(issued, rate=0.0226, rho=0.0003)
    missing[7] = share * 8000

    found = not_cast(issued, missing)

    assert found.p[7] < 1e-7
    assert np.sign(found.excess[7]) == np.sign(share - 0.0226)
    assert np.delete(found.p, 7).min() > 1e-4


def test_the_largest_of_all_cannot_hide_itself():
    issued = sizes(20)
    issued[7] = 20 * issued.sum()
    missing = shares(issued, rate=0.0226, rho=0.0003)
    missing[7] = 0.08 * issued[7]

    found = not_cast(issued, missing)

    assert found.p[7] < 1e-9
    assert found.rate[7] == pytest.approx(0.0226, rel=0.1)
    # Nor does it make the others look odd.
    assert np.delete(found.p, 7).min() > 1e-3


def test_a_few_cannot_hide_each_other():
    issued = sizes(300)
    missing = shares(issued, rate=0.0226, rho=0.0005)
    missing[:15] = shares(issued[:15], rate=0.08, rho=0.0005)

    found = not_cast(issued, missing)

    assert (found.upper[:15] < 1e-5).mean() > 0.9
    assert found.p[15:].min() > 1e-4


def test_ballots_of_one_district_are_no_peers_of_one_another():
    """Both of a district are odd; nobody else has people of theirs."""
    issued = np.repeat(sizes(20), 2)
    issued[:2] = 8000
    missing = np.repeat(shares(issued[::2], rate=0.0226, rho=0.0003), 2)
    missing[:2] = 640
    districts = np.repeat(np.arange(20), 2)

    found = not_cast(issued, missing, groups=np.zeros(40, int), electorates=districts)

    assert found.rate[:2] == pytest.approx(0.0226, rel=0.1)
    assert (found.p[:2] < 1e-7).all()


def test_groups_have_rates_of_their_own():
    issued = sizes(80)
    groups = np.repeat([0, 1], 40)
    missing = np.concatenate(
        [
            shares(issued[:40], rate=0.0237, rho=0.0005),
            shares(issued[40:], rate=0.0074, rho=0.0005),
        ]
    )

    apart = not_cast(issued, missing, groups=groups, electorates=np.arange(80))

    assert apart.p.min() > 1e-4
    assert apart.rate[[0, 79]] == pytest.approx([0.0237, 0.0074], rel=0.1)


def opening_hours(*, constituencies=200, hours=4, seed=3):
    """Return issues and votes so far after each hour; votes follow a delay later.

    Median 90 s, 3 % over an hour; 2 % never. Half of the constituencies come late in the
    hour, so that many of their votes are on their way.
    """
    rng = np.random.default_rng(seed)
    issued, cast = np.zeros((2, hours, constituencies))
    for row, size in enumerate(rng.integers(300, 5_000, constituencies)):
        moments = np.concatenate(
            [hour + rng.beta(1, rng.uniform(1, 3), size) for hour in range(hours)]
        )
        delay = 90 / 3600 * rng.lognormal(0, np.log(40) / 1.881, len(moments))
        arrives = np.where(rng.random(len(moments)) < 0.02, np.inf, moments + delay)
        for hour in range(hours):
            issued[hour, row] = np.count_nonzero(moments <= hour + 1)
            cast[hour, row] = np.count_nonzero(arrives <= hour + 1)
    return issued, cast


def test_votes_that_are_still_on_their_way_are_no_alarm():
    issued, cast = opening_hours()

    for handed_out, arrived in zip(issued, cast, strict=True):
        p = abandonment(issued=handed_out, cast=arrived, **alone(200)).p
        assert p.min() > 1e-5
        assert (p <= 0.001).sum() <= 1
    # The rate of the end of the day would call them odd, one and all.
    lag = issued[0] - cast[0]
    _, upper = betabinomial.tails(lag, issued[0], rate=0.02, rho=0.0005)
    assert (upper <= 0.001).mean() > 0.5


def test_votes_that_stop_arriving_in_the_opening_hours_are_found():
    issued, cast = opening_hours()
    cast[1, 7] = cast[0, 7] + 0.5 * (cast[1, 7] - cast[0, 7])

    p = abandonment(issued=issued[1], cast=cast[1], **alone(200)).p

    assert p[7] < 1e-6


def test_votes_beyond_the_issues_are_nothing_missing():
    issued = sizes(30)
    missing = shares(issued, rate=0.0226, rho=0.0005)
    none, beyond = missing.copy(), missing.copy()
    none[7], beyond[7] = 0, -50

    assert not_cast(issued, beyond).p[7] == not_cast(issued, none).p[7]


def test_two_hundred_issues_are_the_fewest_that_tell():
    issued = sizes(30)
    issued[7], issued[8] = 199, 200

    found = not_cast(issued, shares(issued, rate=0.0226, rho=0.0005))

    assert np.isnan(found.p[7])
    assert not np.isnan(found.p[8])


def test_a_district_where_too_many_vote_is_found_with_its_points():
    voters = sizes(60)
    voters[7] = 4000
    votes = shares(voters, rate=0.62, rho=0.004)
    votes[7] = 3600

    found = turnout(cast=votes, voters=voters, **alone(60))

    assert found.p[7] < 1e-7
    assert found.points[7] == pytest.approx(28, abs=1.5)
    assert found.upper[7] < found.lower[7]


def test_turnout_says_nothing_before_a_third_of_the_vote():
    voters = sizes(30)
    votes = shares(voters, rate=0.4, rho=0.004)

    early, later = (
        turnout(cast=votes, voters=voters, elapsed=elapsed, **alone(30)).p
        for elapsed in (0.29, 0.30)
    )

    assert np.isnan(early).all()
    assert not np.isnan(later).any()


@pytest.mark.parametrize("register", [np.nan, 0, 100])
def test_a_register_that_is_unknown_null_or_too_small_is_not_judged(register):
    voters = sizes(30).astype(float)
    votes = shares(voters.astype(int), rate=0.62, rho=0.004)
    usual = turnout(cast=votes[1:], voters=voters[1:], **alone(29)).p
    voters[0], votes[0] = register, 101

    found = turnout(cast=votes, voters=voters, **alone(30))

    assert np.isnan(found.p[0])
    # And is nobody's peer.
    assert found.p[1:] == pytest.approx(usual)


def test_a_contract_without_a_vote_has_no_turnout_and_is_nobodys_peer():
    voters = sizes(30).astype(float)
    votes = shares(voters.astype(int), rate=0.62, rho=0.004)
    usual = turnout(cast=votes[1:], voters=voters[1:], **alone(29)).p
    votes[0] = 0

    found = turnout(cast=votes, voters=voters, **alone(30))

    assert np.isnan(found.p[0])
    assert found.p[1:] == pytest.approx(usual)


def test_an_hour_in_which_calls_are_rejected_is_found():
    calls = np.full(60, 300)
    rejected = shares(calls, rate=0.005, rho=0.0005)
    rejected[7] = 12

    found = rejection_rate(rejected=rejected, accepted=calls - rejected, **alone(60))

    assert found.p[7] < 1e-4
    assert np.delete(found.p, 7).min() > 1e-4


def test_no_rejection_is_no_alarm_and_the_first_is_no_wonder():
    rejected = np.zeros(60)
    rejected[7] = 1

    p = rejection_rate(rejected=rejected, accepted=np.full(60, 300), **alone(60)).p

    assert p[0] == 1
    assert p[7] > 0.001


@pytest.mark.parametrize("peers", [1, 5])
def test_too_few_peers_say_nothing(peers):
    issued = np.full(peers, 5000)

    assert np.isnan(not_cast(issued, np.full(peers, 100)).p).all()


@pytest.mark.parametrize("issued", [0.0, np.nan])
def test_without_any_figure_nothing_is_said(issued):
    figures = np.full(30, issued)

    assert np.isnan(abandonment(issued=figures, cast=figures, **alone(30)).p).all()
    assert np.isnan(turnout(cast=figures, voters=figures, **alone(30)).p).all()


@pytest.mark.parametrize("missing", [0.0, 1.0])
def test_shares_without_a_middle_are_like_one_another(missing):
    issued = sizes(30)

    p = not_cast(issued, missing * issued).p

    assert (p > 0.01).all()
