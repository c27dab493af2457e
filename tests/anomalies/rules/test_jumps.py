"""S17 sees the whole election jump within five minutes, and nothing that has a reason."""

import numpy as np
import pytest

from anomalies.rules.jumps import BINS, comparable_hours, jumps
from tests.anomalies.rules.panels import panel

HOURS = 30
RNG_SEED = 17


def election(**fields):
    """Return a panel of ten constituencies that are open and told all the time."""
    return panel(np.full((10, HOURS), 100), voters=np.full(10, 9000), **fields)


def flow(level=4000.0):
    """Return counts per five minutes, as restless as those of the vote of 2026."""
    rng = np.random.default_rng(RNG_SEED)
    return rng.poisson(level * rng.lognormal(0, 0.05, HOURS * BINS)).astype(float)


def at(hour, number):
    return hour * BINS + number


def events(issued, among=None):
    return jumps({"bulletins_issued": issued}, among or election())


def test_a_jump_by_half_is_one_event_with_its_figures():
    counts = flow()
    counts[at(12, 4) : at(12, 6)] *= 1.75

    [[jump, *_]] = events(counts)

    assert jump.place == at(12, 4)
    assert jump.counted == counts[at(12, 4)]
    assert jump.expected == np.median(counts[at(12, 1) : at(12, 4)])
    assert jump.z > 6


def test_a_flow_as_restless_as_usual_has_none():
    assert events(flow()) == []


def test_two_jumps_of_one_morning_are_two_events():
    counts = flow()
    for hour in (12, 14):
        counts[at(hour, 4)] *= 1.9

    assert [event[0].place for event in events(counts)] == [at(12, 4), at(14, 4)]


def test_votes_that_follow_their_bulletins_are_the_same_event():
    issued, cast = flow(), flow()
    issued[at(12, 4)] *= 1.9
    cast[at(12, 5)] *= 1.9

    [event] = jumps({"bulletins_issued": issued, "votes_cast": cast}, election())

    assert {jump.series for jump in event} == {"bulletins_issued", "votes_cast"}


def test_an_opening_is_no_jump():
    counts = flow()
    counts[at(12, 0) : at(12, 6)] *= 5
    opens = np.array([12] * 3 + [0] * 7)

    assert events(counts, election(opens=opens)) == []
    assert len(events(counts)) == 1


def test_files_that_come_again_are_no_jump():
    counts = flow()
    counts[at(11, 0) : at(12, 0)] /= 2
    is_known = np.ones((10, HOURS), bool)
    is_known[:5, 11] = False
    among = election(is_known=is_known)

    assert events(counts, among) == []
    assert not comparable_hours(among)[11:13].any()
    assert len(events(counts)) == 1


def test_files_that_end_with_the_vote_are_no_gap():
    """Half of the constituencies close at ten, and publish nothing from then on."""
    counts = flow()
    counts[at(12, 4)] *= 1.9
    closes = np.array([10] * 5 + [HOURS] * 5)
    is_known = np.ones((10, HOURS), bool)
    is_known[:5, 11:] = False

    among = election(closes=closes, is_known=is_known)

    assert [event[0].place for event in events(counts, among)] == [at(12, 4)]


def test_a_rise_that_nobody_would_notice_is_none_however_calm_the_flow():
    counts = flow()
    counts[:] = 4000
    counts[at(12, 4)] *= 1.24
    counts[at(20, 4)] *= 1.3

    assert [event[0].place for event in events(counts)] == [at(20, 4)]


def test_a_handful_of_ballots_jumps_by_chance():
    counts = flow(level=12.0)
    counts[at(12, 4)] = 36

    assert events(counts) == []


def test_the_first_hours_tell_nothing_yet():
    counts = flow()
    counts[at(2, 4)] *= 3

    assert events(counts) == []


def test_counts_that_do_not_cover_the_hours_are_refused():
    with pytest.raises(ValueError, match="twelve counts"):
        events(flow()[:-1])
