"""S03 to S05 see what strikes many at once, and call chance by its name."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from anomalies.rules.flow import flow
from anomalies.rules.system import (
    above_limit_probability,
    dispersion_shock,
    regional_sync,
    robust_score,
    total_flow,
)
from tests.anomalies.rules.panels import CURVE, election, panel

EVENING = 11
# Third day of a vote, in the afternoon.
LATE = 54


def long_vote(*, constituencies=100, seed=1, hours=70, shock=0.003):
    """Return a vote of three days, with shocks that all have in common."""
    rng = np.random.default_rng(seed)
    days = np.concatenate([part * CURVE[:24] for part in (1, 0.4, 0.25)])[:hours]
    voters = rng.lognormal(8.3, 0.9, constituencies)
    common = rng.gamma(1 / shock, shock, hours)
    own = rng.gamma(1 / 0.03, 0.03, (constituencies, hours))
    counts = rng.poisson(voters[:, None] * days * common * own)
    return panel(counts, voters=voters.astype(int))


def struck(before, *, hour, factor, rows=slice(None)):
    counts = before.counts.copy()
    counts[rows, hour] = np.rint(counts[rows, hour] * factor)
    return panel(
        counts,
        voters=before.voters,
        electorates=before.electorates,
        is_known=before.is_known,
    )


def untold(before, *, hour, rows):
    is_known = before.is_known.copy()
    is_known[rows, hour] = False
    return panel(before.counts, voters=before.voters, is_known=is_known)


def test_a_robust_score_is_not_masked_by_what_it_judges():
    hours = [38, 41, 44, 39, 42, 40, 37, 43]

    # The catalogue shows nine hours; three more of the middle change nothing.
    score = robust_score(np.array([*hours, 38, 44, 41, 120.0]))

    assert score == pytest.approx(0.6745 * 79 / 2.5)
    assert np.std([*hours, 120], ddof=1) * 3 > 120 - np.mean([*hours, 120])


def test_a_robust_score_needs_twelve_hours():
    values = np.arange(12.0)

    assert not np.isnan(robust_score(values))
    assert np.isnan(robust_score(values[1:]))
    assert np.isnan(robust_score(np.append(values[1:], np.nan)))
    assert np.isnan(robust_score(np.zeros(12)))


def test_totals_are_compared_from_the_second_day_on():
    z = total_flow(long_vote()).z

    # The day, three hours for a median, and the last of twelve residuals.
    assert np.flatnonzero(~np.isnan(z))[0] == 24 + 3 + 11


def test_totals_by_chance_raise_few_alarms():
    z = np.array([total_flow(long_vote(seed=seed)).z for seed in range(60)])

    told = z[~np.isnan(z)]

    assert (np.abs(told) > 3.5).mean() <= 0.02


@pytest.mark.parametrize("factor", [1.7, 0.5])
def test_what_strikes_all_is_seen_once_and_with_its_size(factor):
    usual = long_vote()
    before, after = total_flow(usual), total_flow(struck(usual, hour=40, factor=factor))

    assert not before.is_flagged.any()
    # And not the other way round on the day after, at hour 64.
    assert np.flatnonzero(after.is_flagged).tolist() == [40]
    assert np.sign(after.z[40]) == np.sign(factor - 1)
    assert after.counted[40] / after.expected[40] == pytest.approx(factor, rel=0.25)


def test_peers_are_blind_to_what_strikes_all():
    after = struck(long_vote(), hour=LATE, factor=1.7)

    assert (flow(after).p[:, LATE] <= 0.001).sum() <= 2
    assert total_flow(after).is_flagged[LATE]


def test_a_vote_that_stops_everywhere_is_a_drop_and_breaks_nothing():
    after = total_flow(struck(long_vote(), hour=LATE, factor=0))

    assert after.z[LATE] < -3.5
    assert np.flatnonzero(after.is_flagged).tolist() == [LATE]


def test_hours_that_nobody_knows_are_no_drop():
    usual = long_vote()

    found = total_flow(untold(usual, hour=LATE, rows=slice(None)))

    assert np.isnan(found.z[LATE])
    assert not found.is_flagged.any()


def test_gaps_in_the_feed_of_some_are_no_drop():
    usual = long_vote()

    found = total_flow(untold(usual, hour=LATE, rows=slice(0, 40)))

    assert found.residual[LATE] == pytest.approx(
        total_flow(usual).residual[LATE], abs=0.1
    )
    assert not found.is_flagged.any()


def test_the_total_of_a_minority_is_not_judged():
    found = total_flow(untold(long_vote(), hour=LATE, rows=slice(0, 95)))

    assert np.isnan(found.z[LATE])


def test_a_day_is_not_measured_by_the_one_before():
    """The third day brings .63 of the second, which brought .4 of the first."""
    z = total_flow(long_vote(shock=0.0005, constituencies=1000)).z

    assert np.isnan(z[48:51]).all()
    assert np.abs(z[51:]).max() < 3.5


def test_days_begin_with_the_first_opening():
    usual = long_vote(hours=72)
    counts = np.concatenate([np.zeros((100, 2), int), usual.counts], axis=1)
    late = panel(counts, voters=usual.voters, opens=np.full(100, 2))

    assert total_flow(late).z[2:] == pytest.approx(total_flow(usual).z, nan_ok=True)


@pytest.mark.parametrize("last_to_close", [0.02, 0.4])
def test_a_close_is_no_drop(last_to_close):
    """The east closes at hour 58, most at 62, the others at 63; only minutes are left then."""
    usual = long_vote()
    closes = np.full(100, 62)
    closes[:10], closes[100 - round(100 * last_to_close) :] = 58, 63
    counts = usual.counts.copy()
    for hour in range(58, 70):
        counts[closes == hour, hour] //= 10
        counts[closes < hour, hour] = 0

    closing = panel(counts, voters=usual.voters, closes=closes)
    found = total_flow(closing)

    assert not found.is_flagged.any()
    # Watched as long as most vote.
    assert np.flatnonzero(~np.isnan(found.z))[-1] == 61
    dropped = replace(closing, counts=np.where(np.arange(70) == 61, 0, counts))
    assert np.flatnonzero(total_flow(dropped).is_flagged).tolist() == [61]


def test_a_drop_is_seen_after_a_morning_that_swung():
    """The second morning has now an eighth, now all of what the first day brought."""
    usual = long_vote(hours=72)
    counts = usual.counts.copy()
    counts[:, 2:18:2] *= 8
    swung = panel(counts, voters=usual.voters)

    assert not total_flow(swung).is_flagged.any()
    assert total_flow(struck(swung, hour=LATE + 8, factor=0.4)).is_flagged[LATE + 8]


@pytest.mark.parametrize("factor", [0, 1])
def test_one_small_constituency_is_a_total_without_alarms(factor):
    usual = struck(long_vote(constituencies=1), hour=slice(None), factor=factor)

    assert not total_flow(usual).is_flagged.any()


def test_half_a_deviation_of_a_hundred_is_five_of_the_region():
    usual = election(constituencies=100)
    found = flow(usual)
    scores = np.full_like(found.scores, 0.5)

    sync = regional_sync(
        replace(found, scores=scores, mean=np.full_like(found.mean, 40)),
        usual,
        regions=np.zeros(100, int),
    )

    assert sync.z[0, 0] == pytest.approx(5.0)
    assert sync.members[0, 0] == 100
    assert sync.is_flagged[0, 0]
    assert sync.p[0, 0] / 2 == pytest.approx(2.87e-7, rel=0.002)


@pytest.mark.parametrize("twins", [1, 2])
def test_regions_by_chance_raise_no_alarm(twins):
    z = []
    for seed in range(12):
        usual = election(constituencies=300, seed=seed, twins=twins)
        regions = np.arange(300) // twins % 10
        z.append(regional_sync(flow(usual), usual, regions=regions).z)

    told = np.array(z)[~np.isnan(z)]

    assert told.std() < 1.1
    # .3 of 4,320 hours are to be expected.
    assert (np.abs(told) > 4).sum() <= 2


def test_ballots_of_one_district_would_be_two_observations_otherwise():
    usual = election(constituencies=300, twins=2)
    found, regions = flow(usual), np.arange(300) // 2 % 10

    together = regional_sync(found, usual, regions=regions)
    apart = regional_sync(
        found, replace(usual, electorates=np.arange(300)), regions=regions
    )

    assert together.members[0, EVENING] == 15
    assert np.nanstd(apart.z * apart.scale) > 1.3 * np.nanstd(together.z)


def test_a_rise_of_a_region_is_seen_where_none_of_its_constituencies_is():
    usual = election(constituencies=400)
    regions = np.arange(400) // 40
    risen = struck(usual, hour=EVENING, factor=1.3, rows=slice(0, 40))
    found = flow(risen)

    sync = regional_sync(found, risen, regions=regions)

    assert (found.p[:40, EVENING] <= 1e-4).sum() == 0
    assert sync.z[0, EVENING] > 4
    assert not sync.is_flagged[1:, EVENING].any()
    assert not regional_sync(flow(usual), usual, regions=regions).is_flagged.any()


def test_a_region_with_shocks_of_its_own_is_measured_by_them():
    usual = election(constituencies=400)
    rng = np.random.default_rng(6)
    counts = usual.counts.copy()
    counts[:40] = np.rint(counts[:40] * rng.lognormal(0, 0.3, len(CURVE)))
    habit = panel(counts, voters=usual.voters)

    sync = regional_sync(flow(habit), habit, regions=np.arange(400) // 40)

    assert sync.scale[0, -1] > 2
    assert not sync.is_flagged[0, 24:].any()
    assert sync.scale[1, -1] < 1.5


def test_one_constituency_is_no_region():
    usual = election(constituencies=100)
    regions = np.minimum(np.arange(100), 1)

    sync = regional_sync(flow(usual), usual, regions=regions)

    assert np.isnan(sync.z[0]).all()
    assert not np.isnan(sync.z[1]).all()


def test_so_many_above_their_own_limit_are_no_chance():
    counts = np.arange(1, 40)

    p = above_limit_probability(counts, 500)

    assert p[counts == 20] == pytest.approx(2.77e-7, rel=0.005)
    assert p == pytest.approx(stats.binom.sf(counts - 1, 500, 0.01))
    assert counts[(p <= 1e-5).argmax()] == 18
    assert above_limit_probability(0, 500) == 1


def test_a_spread_is_measured_in_deviations_of_chance():
    usual = election(constituencies=100)
    found = flow(usual)
    scores = np.full_like(found.scores, 0.6745 * 1.3)
    scores[:, ::2] *= -1

    shock = dispersion_shock(
        replace(
            found,
            scores=scores,
            mean=np.full_like(found.mean, 40),
            scale=np.ones_like(found.scale),
        ),
        usual,
    )

    assert shock.spread[0] == pytest.approx(1.3)
    assert shock.z[0] == pytest.approx(0.3 / 1.166 * 10)


def test_a_spread_by_chance_raises_no_alarm():
    shocks = []
    for seed in range(15):
        usual = election(constituencies=300, seed=seed)
        shocks.append(dispersion_shock(flow(usual), usual))

    z = np.array([shock.z for shock in shocks])
    above = np.array([shock.above_p for shock in shocks])

    # Of 540 hours .7 are to be expected.
    assert np.nansum(z > 3) <= 2
    assert np.nanmin(above) > 1e-5


def test_many_that_move_are_seen_whatever_their_direction():
    usual = election(constituencies=300, seed=4)
    rng = np.random.default_rng(4)
    moved = rng.random(300) < 0.35
    factor = np.where(rng.random(300) < 0.5, 1.5, 0.6)[moved]
    after = struck(usual, hour=EVENING, factor=factor, rows=moved)

    shock = dispersion_shock(flow(after), after)

    assert shock.is_flagged[EVENING]
    assert not shock.is_flagged[EVENING + 1 :].any()


def test_a_tenth_that_doubles_is_seen_by_how_many_are_above_their_limit():
    usual = election(constituencies=300, seed=4)
    after = struck(usual, hour=EVENING, factor=2.2, rows=slice(0, 300, 10))

    shock = dispersion_shock(flow(after), after)

    assert not shock.is_flagged[EVENING]
    assert shock.above[EVENING] >= 20
    assert shock.above_p[EVENING] < 1e-8


@pytest.mark.parametrize("constituencies", [1, 19])
def test_few_constituencies_have_no_spread(constituencies):
    usual = election(constituencies=constituencies)

    shock = dispersion_shock(flow(usual), usual)

    assert np.isnan(shock.z).all()
    assert np.isnan(shock.above_p).all()


def test_hours_without_ballots_are_not_judged():
    usual = struck(election(constituencies=100), hour=slice(None), factor=0)
    found = flow(usual)

    assert np.isnan(regional_sync(found, usual, regions=np.arange(100) % 5).z).all()
    assert np.isnan(dispersion_shock(found, usual).z).all()
    assert not total_flow(usual).is_flagged.any()
