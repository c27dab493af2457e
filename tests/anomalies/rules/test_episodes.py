"""Flagged hours become episodes, and an outage that was caught up is no spike."""

from types import SimpleNamespace

import numpy as np
import pytest

from anomalies.rules.ballots import gaps
from anomalies.rules.combining import benjamini_hochberg
from anomalies.rules.counts import negative_binomial_score, negative_binomial_tails
from anomalies.rules.episodes import (
    Episode,
    Excesses,
    Joint,
    catch_ups,
    episodes,
    flow_excesses,
    gap_excesses,
    hour_excesses,
    joint,
    night_excesses,
    severity,
)
from anomalies.rules.findings import Severity
from anomalies.rules.flow import Sums, flow
from tests.anomalies.rules.panels import changed, election, panel

EVENING = 11


def by_hours(q, ballots):
    """Return the episodes of one constituency, from windows of single hours."""
    return episodes(
        rule="S01",
        q=np.array([q], float),
        excesses=hour_excesses(np.array([ballots], float)),
    )


def episode(**known):
    given = {"q": 0.0001, "excess": 300.0, "start": 5, "end": 5}
    given.update(known)
    given.setdefault("since", given["start"])
    given.setdefault("until", given["end"])
    return Episode(rule="S01", constituency=0, **given)


def sums(counted, expected, *, dispersion=0.03):
    """Return sums of one constituency, of which nothing is unknown."""
    shape = (1, len(counted))
    return Sums(
        SimpleNamespace(
            counts=np.array([counted], float),
            base=np.array([expected], float),
            shocks=np.full(shape, dispersion),
            rate_unknown=np.zeros(shape),
            is_judged=np.ones(shape, bool),
            level=np.ones(shape),
            level_unknown=np.zeros(shape),
        )
    )


def judged(struck):
    """Return the episodes of S01 and S10, as a tick would find them."""
    found = flow(struck)
    q = benjamini_hochberg(found.p)
    listed = episodes(rule="S01", q=q, excesses=flow_excesses(found))
    return catch_ups(listed, found.sums)


def test_hours_with_two_calm_ones_between_are_one_episode():
    (found,) = by_hours([1, 0.01, 1, 1, 0.002, 1], [3, 40, 5, 5, 60, 2])

    assert (found.start, found.end, found.since) == (1, 4, 1)
    assert found.q == 0.002
    assert found.excess == 100


def test_hours_with_three_calm_ones_between_are_two():
    found = by_hours([0.01, 1, 1, 1, 0.002], [40, 5, 5, 5, 60])

    assert [(each.start, each.end) for each in found] == [(0, 0), (4, 4)]


def test_a_drop_and_a_spike_are_two():
    found = by_hours([0.01, 0.01, 0.01], [-50, -50, 98])

    assert [each.excess for each in found] == [-100, 98]


def test_constituencies_have_episodes_of_their_own():
    found = episodes(
        rule="S15",
        q=np.full((3, 1), 0.01),
        excesses=hour_excesses(np.array([[5.0], [np.nan], [-4.0]])),
    )

    assert [(each.constituency, each.rule) for each in found] == [
        (0, "S15"),
        (2, "S15"),
    ]


@pytest.mark.parametrize("q", [[0.06, 1], [np.nan, np.nan]])
def test_calm_and_unknown_hours_are_no_episode(q):
    assert by_hours(q, [50, 50]) == []


def by_windows(q, ballots, since):
    return episodes(
        rule="S01",
        q=np.array([q]),
        excesses=Excesses(np.array([ballots], float), np.array([since])),
    )


def test_windows_that_overlap_count_each_ballot_once():
    """+10 an hour from 0 to 4, seen by windows of up to 3 hours."""
    (found,) = by_windows(
        [1, 0.04, 0.01, 0.001, 0.01], [10, 20, 30, 30, 30], [0, 0, 0, 1, 2]
    )

    assert (found.start, found.end) == (1, 4)
    assert (found.since, found.until, found.excess) == (1, 3, 30)


def test_two_bursts_of_one_episode_are_added_up():
    (found,) = by_windows([0.001, 0.01, 0.0001], [40, 42, 60], [0, 0, 2])

    assert (found.since, found.until, found.excess) == (0, 2, 100)


def test_a_long_window_that_sees_an_old_burst_is_nothing_new():
    (found,) = by_windows(
        [0.001, 1, 1, 1, 1, 0.03], [40, 0, 0, 0, 0, 45], [0, 1, 2, 3, 4, 0]
    )

    assert (found.start, found.end) == (0, 5)
    assert (found.since, found.until, found.excess) == (0, 0, 40)


@pytest.mark.parametrize(
    ("q", "excess", "expected"),
    [
        (0.001, 200, Severity.CRITICAL),
        (0.001, 199, Severity.WARNING),
        (0.0011, 200, Severity.WARNING),
        (0.001, -5000, Severity.WARNING),
        (0.05, 50, Severity.WARNING),
        (0.05, -50, Severity.WARNING),
        (0.05, 49, Severity.INFO),
        (0.051, 500, Severity.INFO),
    ],
)
def test_severity_is_of_q_and_of_the_effect(q, excess, expected):
    assert severity(episode(q=q, excess=excess), voters=10_000) == expected


@pytest.mark.parametrize("voters", [np.nan, 0])
def test_without_a_register_nobody_knows_the_effect(voters):
    assert severity(episode(excess=9999), voters=voters) == Severity.INFO


@pytest.mark.parametrize(
    ("counted", "p", "expected"),
    [
        (148, 0.966, Severity.WARNING),
        # Missing even so: not all of them came.
        (90, 1e-4, Severity.WARNING),
        (300, 1e-4, Severity.CRITICAL),
    ],
)
def test_what_makes_up_for_an_outage_is_not_critical(counted, p, expected):
    together = Joint(counted=counted, expected=150, p=p)

    assert severity(episode(joint=together), voters=10_000) == expected


def test_an_outage_and_its_catch_up_are_what_was_expected():
    """0, 0, 148 where 50 each were expected."""
    variance = 50 + 0.03 * 50**2
    nothing = negative_binomial_tails(0, mean=50, variance=variance)[1]
    _, equal, above = negative_binomial_tails(148, mean=50, variance=variance)
    assert nothing == pytest.approx(5.4e-14, rel=0.01)
    assert above + equal == pytest.approx(1.5e-10, rel=0.04)

    of_both = sums([0, 0, 148], [50, 50, 50])
    counted, mean, variance = of_both.between(
        np.array([0]), np.array([0]), np.array([2])
    )
    found = joint(of_both, row=0, start=0, ends=np.array([2]))

    assert (counted, mean) == (148, 150)
    assert np.sqrt(variance) == pytest.approx(19.4, abs=0.05)
    assert found.p == pytest.approx(0.966, abs=0.001)
    assert found.is_usual


def pair(counted, *, spike, gap=0):
    """Return a drop of the hours 0 and 1 and a spike, compared together."""
    drop = episode(start=0, end=1, excess=-100)
    return catch_ups(
        [drop, episode(start=spike[0] + gap, end=spike[1] + gap, excess=98)],
        sums(counted, [50] * len(counted)),
    )


def test_both_episodes_are_marked():
    found = pair([0, 0, 148], spike=(2, 2))

    assert [each.is_catch_up for each in found] == [True, True]


def test_a_spike_that_is_too_high_with_the_outage_stays_one():
    found = pair([0, 0, 260], spike=(2, 2))

    assert not found[1].is_catch_up
    assert found[1].joint.is_surplus
    assert severity(found[1], voters=1000) == Severity.CRITICAL


def test_a_backlog_may_take_hours():
    found = pair([0, 0, 100, 100, 52], spike=(2, 4))

    assert found[1].is_catch_up


def test_a_surplus_is_not_lost_in_the_calm_hours_after_it():
    calm = [50] * 20

    found = pair([0, 0, 260, *calm], spike=(2, 22))

    assert found[1].joint.is_surplus


@pytest.mark.parametrize(("gap", "is_pair"), [(0, True), (2, True), (3, False)])
def test_what_follows_up_to_two_hours_later_belongs_to_it(gap, is_pair):
    counted = [0, 0, *[50] * gap, 148]

    found = pair(counted, spike=(2, 2), gap=gap)

    assert (found[1].joint is not None) == is_pair


def test_a_spike_before_a_drop_or_elsewhere_is_no_catch_up():
    spike = episode(start=0, end=0, excess=98)
    drop = episode(start=1, end=2, excess=-98)
    elsewhere = Episode(
        rule="S01",
        constituency=1,
        start=3,
        end=3,
        since=3,
        until=3,
        q=0.001,
        excess=98,
    )

    found = catch_ups([spike, drop, elsewhere], sums([148, 0, 0, 50], [50] * 4))

    assert found == [spike, drop, elsewhere]


def test_nothing_flagged_is_nothing_to_pair():
    assert catch_ups([], sums([50], [50])) == []


def test_a_burst_is_one_episode_with_its_size():
    usual = election(constituencies=200)
    (found,) = judged(changed(usual, row=7, hour=EVENING, by=400))

    assert found.constituency == 7
    assert (found.start, found.since, found.until) == (EVENING, EVENING, EVENING)
    assert found.excess == pytest.approx(400, rel=0.25)
    assert severity(found, voters=usual.voters[7]) == Severity.CRITICAL


def test_a_clean_election_has_hardly_an_episode():
    found = [judged(election(constituencies=200, seed=seed)) for seed in range(10)]

    assert sum(len(each) for each in found) <= 2


def test_a_slow_rise_begins_before_it_is_seen():
    usual = election(voters=20_000)
    counts = usual.counts.copy()
    counts[7, 24:36] = counts[7, 24:36] * 1.5
    surplus = (counts - usual.counts)[7].sum()

    (found,) = judged(panel(counts, voters=usual.voters))

    assert found.since < found.start
    assert abs(found.since - 24) <= 5
    assert found.excess == pytest.approx(surplus, rel=0.3)


@pytest.mark.parametrize("seed", range(1, 7))
def test_an_outage_of_a_platform_that_is_caught_up_is_known_as_one(seed):
    usual = election(constituencies=200, seed=seed)
    counts = usual.counts.copy()
    counts[7, 13] = counts[7, 11:14].sum()
    counts[7, 11:13] = 0

    drop, spike = judged(panel(counts, voters=usual.voters))

    assert (drop.since, drop.until) == (11, 12)
    assert (spike.since, spike.until) == (13, 13)
    assert drop.excess < 0 < spike.excess
    assert drop.is_catch_up
    assert spike.is_catch_up
    assert severity(spike, voters=usual.voters[7]) == Severity.WARNING


def test_an_outage_with_a_surplus_after_it_stays_a_spike():
    usual = election(constituencies=200)
    counts = usual.counts.copy()
    counts[7, 13] = counts[7, 11:14].sum() + 500
    counts[7, 11:13] = 0

    _, spike = judged(panel(counts, voters=usual.voters))

    assert not spike.is_catch_up
    assert severity(spike, voters=usual.voters[7]) == Severity.CRITICAL


def test_a_night_is_counted_from_midnight():
    usual = election()
    counts = usual.counts.copy()
    counts[7, 16:22] += 12
    found = flow(panel(counts, voters=usual.voters))

    (night,) = episodes(
        rule="S02",
        q=benjamini_hochberg(found.night_p),
        excesses=night_excesses(found, usual.first_clock),
    )

    assert (night.constituency, night.since, night.end) == (7, 16, 21)
    assert night.excess == pytest.approx(72, rel=0.25)


def test_ballots_apart_are_an_episode_with_their_number():
    usual = election(twins=2, voters=10_000)
    struck = changed(usual, row=8, hour=EVENING, by=400)
    found = gaps(struck, flow(struck))

    (apart,) = episodes(
        rule="S15",
        q=benjamini_hochberg(found.p),
        excesses=gap_excesses(found),
    )

    assert (apart.constituency, apart.start) == (8, EVENING)
    assert apart.excess == pytest.approx(400, rel=0.1)


def test_windows_are_those_with_the_largest_scores():
    found = flow(election())

    excesses = flow_excesses(found)

    strongest = np.nanargmax(np.abs(found.scores[:, 7, EVENING]))
    window = found.windows[strongest]
    assert excesses.since[7, EVENING] == EVENING + 1 - window
    counted, mean, variance = found.sums.between(
        np.array([7]), excesses.since[7, [EVENING]], np.array([EVENING])
    )
    assert excesses.ballots[7, EVENING] == (counted - mean)[0]
    score = negative_binomial_score(counted, mean=mean, variance=variance)
    assert found.scores[strongest, 7, EVENING] == pytest.approx(
        score[0] / found.scale[strongest, EVENING]
    )


def test_one_constituency_and_unknown_hours_have_no_episode():
    assert judged(panel([[40, 30, 20, 10]], voters=[500])) == []
    untold = np.zeros((30, 4), bool)
    lost = panel(np.full((30, 4), 9), voters=np.full(30, 90), is_known=untold)
    assert judged(lost) == []
    assert judged(panel(np.zeros((30, 4), int), voters=np.full(30, 90))) == []
