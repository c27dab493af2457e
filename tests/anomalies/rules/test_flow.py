"""S01 and S02 are right about chance, and see what is more than chance."""

import numpy as np
import pytest

from anomalies.rules.baseline import Assumptions
from anomalies.rules.counts import negative_binomial_score
from anomalies.rules.flow import flow, two_sided
from anomalies.rules.panels import Panel
from tests.anomalies.rules.panels import CURVE, changed, election, panel

OPENING, MORNING, EVENING = 0, 5, 11


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_chance_is_called_surprising_as_often_as_it_says(seed):
    p = flow(election(seed=seed, constituencies=300)).p

    told = p[~np.isnan(p)]

    for level in (0.05, 0.01, 0.001):
        assert (told <= level).mean() <= 1.5 * level
    assert (told <= 0.05).mean() >= 0.02


def test_small_constituencies_raise_no_more_alarms_than_large_ones():
    p = flow(election(voters=120, constituencies=400)).p

    assert np.nanmean(p <= 0.001) <= 0.0015


def test_opening_hours_that_differ_by_habit_are_no_alarm():
    plain = election(constituencies=200, seed=5)
    habits = np.random.default_rng(5).lognormal(0, 0.4, 200)
    counts = plain.counts.copy()
    counts[:, OPENING] = counts[:, OPENING] * habits

    p = flow(panel(counts, voters=plain.voters)).p

    assert (p[:, OPENING] <= 0.001).sum() <= 2


@pytest.mark.parametrize("by", [+160, -90])
def test_a_burst_and_a_drop_are_seen_in_their_hour_and_nowhere_else(by):
    usual = election()
    struck = changed(usual, row=7, hour=EVENING, by=by)

    before, after = flow(usual), flow(struck)

    assert before.p[7, EVENING] > 0.001
    assert after.p[7, EVENING] < 1e-5
    assert np.sign(after.scores[0, 7, EVENING]) == np.sign(by)
    others = np.arange(len(usual.counts)) != 7
    assert np.nanmin(after.p[others, EVENING]) > 1e-5


def test_an_anomaly_does_not_teach_what_is_normal():
    usual = election()
    struck = changed(usual, row=7, hour=MORNING, to=usual.counts[7, MORNING] * 20)

    after = flow(struck)

    assert after.mean[7, MORNING + 1] == pytest.approx(
        flow(usual).mean[7, MORNING + 1], rel=0.1
    )


def test_a_rise_too_small_for_any_hour_is_seen_over_many():
    usual = election(voters=20_000)
    counts = usual.counts.copy()
    counts[7, 24:36] = counts[7, 24:36] * 1.45

    found = flow(panel(counts, voters=usual.voters))

    assert found.p[7, 35] < 1e-6
    assert two_sided(found.scores[0, 7, 24:36]).min() > 1e-5


def test_a_night_is_added_up_from_midnight():
    usual = election()
    counts = usual.counts.copy()
    counts[7, 16:22] += 12

    found = flow(panel(counts, voters=usual.voters))

    # Opening at 8: midnight is hour 16.
    assert np.isnan(found.night_p[7, 15])
    assert found.night_p[7, 21] < 1e-6
    assert np.isnan(found.night_p[7, 22])
    assert np.nanmedian(found.night_p[:, 21]) > 0.1


def test_a_reader_can_compute_a_score_from_what_is_shown():
    found = flow(changed(election(), row=7, hour=EVENING, by=200))

    again = negative_binomial_score(
        found.counted[2, 7, EVENING],
        mean=found.expected[2, 7, EVENING],
        variance=found.variances[2, 7, EVENING],
    )

    assert found.scores[2, 7, EVENING] == again / found.scale[2, EVENING]


def test_hours_that_the_feed_has_not_told_are_no_drop():
    usual = election()
    is_known = usual.is_known.copy()
    is_known[7, EVENING] = False

    found = flow(panel(usual.counts, voters=usual.voters, is_known=is_known))

    assert np.isnan(found.p[7, EVENING])
    # The windows after it leave it out instead of taking it for a zero.
    assert found.p[7, EVENING + 1] > 0.001


def test_a_contract_without_a_ballot_is_no_drop_but_one_that_stops_is():
    usual = election()
    silent = usual.counts.copy()
    silent[7] = 0
    stopped = usual.counts.copy()
    stopped[7, MORNING:] = 0

    assert np.isnan(flow(panel(silent, voters=usual.voters)).p[7]).all()
    assert flow(panel(stopped, voters=usual.voters)).p[7, MORNING + 1] < 1e-6


def test_without_peers_nothing_is_said():
    lonely = flow(panel([[40, 30, 20, 10]], voters=[500]))
    two_zones = flow(
        panel([[40, 30, 20, 10], [5, 9, 9, 9]], voters=[500, 90], groups=[0, 1])
    )

    assert np.isnan(lonely.p).all()
    assert np.isnan(two_zones.p).all()


def test_hours_without_any_ballot_are_calm():
    counts = np.zeros((30, 6), int)
    counts[:, 0] = 20

    found = flow(panel(counts, voters=np.full(30, 100)))

    assert (found.p[:, 1:] > 0.05).all()


def test_the_first_ballot_after_an_empty_hour_among_few_peers_is_no_alarm():
    counts = np.zeros((25, 8), int)
    counts[:, 0:3] = [[30, 10, 3]]
    counts[4, 7] = 2

    assert flow(panel(counts, voters=np.full(25, 100))).p[4, 7] > 1e-4


@pytest.mark.parametrize("silent", [1, 2, 5])
def test_after_hours_without_any_ballot_the_flow_is_judged_as_before(silent):
    usual, morning = election(), MORNING + 1
    counts = usual.counts.copy()
    counts[:, morning - silent : morning] = 0
    struck = counts.copy()
    struck[7, morning] = 3 * struck[7, morning] + 20

    calm, alarmed = (flow(panel(c, voters=usual.voters)).p for c in (counts, struck))

    assert not np.isnan(calm[:, morning:]).any()
    assert (calm[:, morning] < 0.001).mean() < 0.02
    assert alarmed[7, morning] < 1e-4


def test_a_constituency_without_a_register_is_compared_by_its_own_past():
    usual = election()
    voters = usual.voters.copy()
    voters[7] = np.nan
    # Five times the usual size, which nobody knows.
    counts = usual.counts.copy()
    counts[7] *= 5
    struck = counts.copy()
    struck[7, EVENING] *= 4

    calm, alarmed = (flow(panel(c, voters=voters)).p[7] for c in (counts, struck))

    assert (calm > 0.001).all()
    assert alarmed[EVENING] < 1e-4
    assert not np.isnan(calm).any()


def test_an_election_without_any_register_is_compared_by_shape():
    usual = election()
    struck = changed(usual, row=7, hour=EVENING, by=500)

    found = flow(panel(struck.counts, voters=np.full(len(struck.counts), np.nan)))

    assert found.p[7, EVENING] < 1e-4
    assert np.nanmean(np.delete(found.p, 7, axis=0) <= 0.001) < 0.004


def test_another_zone_is_no_peer():
    """The same flow two hours later, judged among its own."""
    usual = election(constituencies=80)
    late = np.zeros((20, len(CURVE)), int)
    late[:, 2:] = election(constituencies=20, seed=9).counts[:, :-2]
    counts = np.concatenate([usual.counts, late])
    voters = np.concatenate([usual.voters, election(constituencies=20, seed=9).voters])
    groups, opens = np.repeat([0, 1], [80, 20]), np.repeat([0, 2], [80, 20])

    apart = flow(panel(counts, voters=voters, groups=groups, opens=opens)).p
    mixed = flow(panel(counts, voters=voters, opens=opens)).p

    assert np.nanmean(apart <= 0.001) < 0.002
    assert np.nanmean(mixed <= 0.001) > 0.05


def test_a_common_jump_is_not_laid_to_the_constituencies():
    usual = election()
    counts = usual.counts.copy()
    counts[:, EVENING] = counts[:, EVENING] * 1.5

    found = flow(panel(counts, voters=usual.voters))

    assert (found.p[:, EVENING] <= 0.001).mean() < 0.01


def test_the_dispersion_is_learnt_from_the_peers():
    calm = flow(election(dispersion=0.001, constituencies=200)).dispersion
    wild = flow(election(dispersion=0.10, constituencies=200)).dispersion

    assert calm[0, -1] < 0.01
    assert wild[0, -1] == pytest.approx(0.10, rel=0.4)


def test_dispersion_starts_from_what_is_assumed():
    few = panel([[3, 2, 1]] * 3, voters=[20] * 3)

    found = flow(few, assumptions=Assumptions(dispersion=0.2))

    assert found.dispersion[0, 2] == pytest.approx(0.2, rel=0.01)


def test_arrays_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match="one value of each kind"):
        panel([[1, 2]], voters=[10, 20])
    with pytest.raises(ValueError, match="differ in shape"):
        Panel(
            counts=np.ones((2, 3), int),
            is_known=np.ones((2, 2), bool),
            voters=np.ones(2),
            groups=np.zeros(2, int),
            electorates=np.zeros(2, int),
            opens=np.zeros(2, int),
            closes=np.zeros(2, int),
            first_clock=np.zeros(2, int),
        )
