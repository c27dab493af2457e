"""What lies inside hours: chance raises no alarm, and what is put in does."""

import numpy as np
import pytest
from scipy import special, stats

from anomalies.evaluation.moments import HOUR_MS, moments_of
from anomalies.rules.flow import flow
from anomalies.rules.regularity import dispersion_lower
from anomalies.rules.within import (
    FIGURES,
    Moments,
    bursts,
    equal_runs,
    even_gaps,
    evenness,
    shared_share,
    silences,
)
from tests.anomalies.rules.panels import panel


def moments_by_hours(rows):
    """Return Moments of lists (constituency, hour) of milliseconds, one ballot each."""
    shape = (len(rows), len(rows[0]))
    grids = np.full((len(FIGURES), *shape), np.nan)
    for row, hours in enumerate(rows):
        for hour, times in enumerate(hours):
            counted = moments_of([(int(ms), 1) for ms in times])
            grids[:, row, hour] = [
                np.nan if counted[name] is None else counted[name] for name in FIGURES
            ]
    return Moments(*grids)


def by_chance(rng, rows, hours, *, in_hour):
    return [
        [rng.integers(0, HOUR_MS, rng.poisson(in_hour)) for _ in range(hours)]
        for _ in range(rows)
    ]


def panel_of(rows, **others):
    counts = [[len(times) for times in hours] for hours in rows]
    return panel(counts, voters=np.full(len(rows), 4000), **others)


def judged(rows):
    return moments_by_hours(rows), panel_of(rows)


def minutes(counts):
    """Return Moments of arrays (constituency, hour, minute), only as S06 needs them."""
    blocks = counts.reshape(*counts.shape[:2], 6, 10).astype(float)
    ballots = blocks.sum(axis=3)
    is_full = ballots >= 20
    index = 10 * (blocks**2).sum(axis=3) / np.maximum(ballots, 1) - ballots
    figures = dict.fromkeys(FIGURES, np.full(counts.shape[:2], np.nan)) | {
        "ballots": ballots.sum(axis=2),
        "dispersion": np.where(is_full, index, 0).sum(axis=2),
        "freedom": 9.0 * is_full.sum(axis=2),
    }
    hours = counts.sum(axis=2)
    return Moments(**figures), panel(hours, voters=np.full(len(hours), 4000))


def half_by_a_bot(rng, rows, hours, *, per_minute):
    """Return minutes of which half come at one spacing, from a phase of its own."""
    phase = rng.random((rows, 1))
    moments = np.arange(hours * 60 + 1) * per_minute / 2 + phase
    even = np.diff(np.floor(moments), axis=1).astype(int)
    people = rng.poisson(per_minute / 2, even.shape)
    return (even + people).reshape(rows, hours, 60)


def test_the_index_of_one_hour_is_that_of_its_blocks():
    found = evenness(*minutes(np.array([[[9, 10, 11, 10, 10] * 12]])))

    assert found.dispersion[0, 0, 0] == pytest.approx(2.4)
    assert found.freedom[0, 0, 0] == 54
    assert found.p_by_window[0, 0, 0] == pytest.approx(special.chdtr(54, 2.4))
    # The worked example compares all minutes with one mean: 59 degrees of freedom.
    assert dispersion_lower([9, 10, 11, 10, 10] * 12) == pytest.approx(
        1.409e-30, rel=1e-3
    )


def test_hours_add_up_in_their_windows():
    rng = np.random.default_rng(4)
    found = evenness(*minutes(rng.poisson(10, (2, 8, 60))))

    assert found.freedom[:, 0, 7].tolist() == [54, 162, 324]
    assert found.dispersion[2, :, 7] == pytest.approx(
        found.dispersion[0, :, 2:8].sum(axis=1)
    )


@pytest.mark.parametrize("per_minute", [2, 3, 10, 40])
def test_minutes_by_chance_are_not_too_even(per_minute):
    rng = np.random.default_rng(6)

    p = evenness(*minutes(rng.poisson(per_minute, (1_500, 8, 60)))).p
    told = p[~np.isnan(p)]

    assert len(told) > 10_000
    assert np.mean(told <= 0.01) < 0.013
    assert np.mean(told <= 1e-3) < 2e-3
    assert told.min() > 1e-6


def test_rushes_only_hide_evenness():
    """An opening that falls by half within the hour, and five minutes of four times."""
    rng = np.random.default_rng(7)
    shape = np.linspace(1.4, 0.6, 60)
    shape[25:30] *= 4

    p = evenness(*minutes(rng.poisson(10 * shape, (1_500, 8, 60)))).p

    assert np.mean(p <= 0.01) < 1e-3


@pytest.mark.parametrize("per_minute", [10, 30, 100])
def test_a_bot_that_makes_half_of_the_flow_is_always_found(per_minute):
    rng = np.random.default_rng(8)

    p = evenness(*minutes(half_by_a_bot(rng, 1_000, 8, per_minute=per_minute))).p

    # Far below what is asked of one test among 5,000 constituencies and eleven tests.
    assert (p.min(axis=1) < 1e-7).all()


def test_one_hour_of_it_is_not_enough():
    rng = np.random.default_rng(9)

    p = evenness(*minutes(half_by_a_bot(rng, 1_000, 1, per_minute=10))).p

    assert np.median(p) == pytest.approx(1e-3, rel=0.9)


def test_hours_with_few_ballots_are_not_compared():
    found = evenness(*minutes(np.ones((1, 3, 60), int)))

    assert np.isnan(found.p).all()


def test_a_burst_in_one_second_is_found():
    rng = np.random.default_rng(10)
    rows = by_chance(rng, 2, 2, in_hour=360)
    rows[1][1] = np.concatenate([rows[1][1], 1_234_000 + np.arange(12)])

    moments, flat = judged(rows)
    p = bursts(moments, flat)

    assert moments.burst_second[1, 1] == 1_234
    assert moments.burst_acts[1, 1] >= 12
    assert p[1, 1] < 1e-12
    assert p[0].min() > 1e-3
    # As a reader computes it from the evidence.
    rate = moments.burst_rate[1, 1]
    of_second = stats.poisson.sf(moments.burst_acts[1, 1] - 1, rate)
    assert p[1, 1] == pytest.approx(3600 * of_second, rel=1e-6)


def test_seconds_by_chance_are_no_bursts():
    rng = np.random.default_rng(11)
    rows = by_chance(rng, 150, 2, in_hour=300)
    for hours in rows:
        # A jump: five minutes with as many as half of the hour.
        hours[1] = np.concatenate([hours[1], rng.integers(0, 300_000, 150)])

    p = bursts(*judged(rows))

    assert p.min() > 1e-3
    assert np.mean(p < 0.05) < 0.05


def test_a_quiet_hour_says_nothing_of_its_seconds():
    rows = [[np.arange(20)]]

    assert np.isnan(bursts(*judged(rows))).all()


def test_time_stamps_of_blocks_are_recognised():
    rng = np.random.default_rng(12)
    rows = by_chance(rng, 4, 2, in_hour=200)
    blocks = [[times // 5_000 * 5_000 for times in hours] for hours in rows]

    assert shared_share(moments_by_hours(rows)) < 0.001
    assert shared_share(moments_by_hours(blocks)) > 0.1
    assert shared_share(moments_by_hours([[[]]])) == 0


def test_even_gaps_are_told_and_others_are_not():
    rng = np.random.default_rng(13)
    rows = by_chance(rng, 100, 3, in_hour=150)
    rows[7][1] = np.arange(61) * 59_000
    rows[8][1] = np.arange(40) * 59_000

    found = even_gaps(*judged(rows))

    assert np.argwhere(found).tolist() == [[7, 1]]


def test_even_blocks_are_no_even_gaps():
    rows = [[np.repeat(np.arange(60) * 60_000, 3)]]

    assert not even_gaps(*judged(rows)).any()


def run_panel(counts, **others):
    return panel([counts], voters=[4000], **others)


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ([90, 100, 100, 100, 100, 90], [(1, 4, 100)]),
        ([100, 100, 100, 90, 100], []),
        ([20, 20, 20, 20, 9], []),
        ([9, 20, 20, 20, 20, 20], [(1, 5, 20)]),
        ([19] * 6, []),
        ([100] * 4 + [50] * 4, [(0, 3, 100), (4, 7, 50)]),
    ],
    ids=["four", "three", "too_likely", "five", "too_small", "two_runs"],
)
def test_hours_with_equal_numbers(counts, found):
    runs = equal_runs(run_panel(counts))

    assert [(run.start, run.end, run.count) for run in runs] == found


def test_equal_hours_that_nobody_knows_are_none():
    known = np.array([[True, True, True, False, True]])

    assert equal_runs(run_panel([100] * 5, is_known=known)) == []


def test_a_rare_run_has_the_probability_of_the_example():
    [run] = equal_runs(run_panel([100, 100, 100, 100]))

    assert run.p == pytest.approx(3.180e-5, rel=1e-3)


@pytest.fixture(scope="module")
def flat():
    """A hundred constituencies with forty ballots an hour, by chance."""
    return by_chance(np.random.default_rng(14), 100, 12, in_hour=40)


def silent(rows):
    moments, whole = judged(rows)
    return silences(moments, flow(whole), whole)


def without(rows, places, start, end):
    """Return the rows without what came in some minutes."""
    found = [list(hours) for hours in rows]
    for row, hour in places:
        times = np.asarray(found[row][hour])
        is_gone = (times >= start * 60_000) & (times < end * 60_000)
        found[row][hour] = times[~is_gone]
    return found


def test_a_silence_within_an_hour_is_found(flat):
    found = silent(without(flat, [(3, 8)], 10, 42))

    assert np.argwhere(found.is_flagged).tolist() == [[3, 8]]
    assert not found.is_of_all.any()


def test_its_number_can_be_computed_again(flat):
    rows = without(flat, [(3, 8)], 10, 42)
    found, moments = silent(rows), moments_by_hours(rows)

    r, v = found.expected[3, 8], found.spread[3, 8]
    arrivals = r * moments.longest_gap_ms[3, 8] / HOUR_MS
    number = (r + 1) * (1 + v * arrivals) ** (-1 / v)
    assert found.number[3, 8] == pytest.approx(number, rel=1e-9)


def test_flows_by_chance_have_no_silence(flat):
    found = silent(flat)

    assert np.count_nonzero(~np.isnan(found.number)) > 900
    assert not found.is_flagged.any()


def test_a_platform_that_is_silent_strikes_all():
    rows = by_chance(np.random.default_rng(15), 40, 6, in_hour=120)

    found = silent(without(rows, [(row, 4) for row in range(40)], 10, 45))

    assert np.flatnonzero(found.is_of_all).tolist() == [4]


def test_the_hours_of_opening_and_close_have_no_silence(flat):
    rows = without(flat, [(3, 0), (3, 11)], 10, 50)
    moments, whole = moments_by_hours(rows), panel_of(rows)
    whole.closes[:] = 11

    found = silences(moments, flow(whole), whole)

    assert np.isnan(found.number[:, [0, 11]]).all()
    assert not found.is_flagged.any()


@pytest.mark.parametrize(("hour", "is_flagged"), [(8, True), (11, False)])
def test_a_gap_to_the_end_counts_only_where_ballots_follow(flat, hour, is_flagged):
    """Nobody knows the close of this election, and it has twelve hours so far."""
    found = silent(without(flat, [(3, hour)], 28, 60))

    assert found.is_flagged[3, hour] == is_flagged
    assert np.count_nonzero(found.is_flagged) == is_flagged
