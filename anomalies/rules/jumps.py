"""S17: the whole election jumps within five minutes.

In the federal vote of 2026 the flow rose by 75 to 110 % from one five minutes to the next,
five times, without an opening. No constituency stands out then: all of them jump.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from anomalies.rules.counts import Floats
from anomalies.rules.panels import Panel, Truths
from anomalies.rules.system import coverage, robust_score

BIN_MINUTES = 5
BINS = 60 // BIN_MINUTES
# Bins before, whose median is what to expect; its variance among three, for one of 1.
BEFORE = 3
MEDIAN_VARIANCE = 0.449
# Below, a jump by half is chance.
LEAST_EXPECTED = 20.0
# Robust deviations, and part of what was expected. Of the 831 five minutes of 2026 none but
# the five jumps and the openings is beyond 6.
LIMIT = 6.0
LEAST_RISE = 0.25
# What has come over a day tells how restless five minutes are; three hours at least.
DAY_OF_BINS = 24 * BINS
LEAST_BINS = 3 * BINS
# Parts of the registers: so many have to be told, and so many make an opening.
LEAST_TOLD = 0.95
OPENING = 0.01
# Five-minute bins up to which two are one event: votes follow their bulletins.
SAME_EVENT = 6


@dataclass(frozen=True, slots=True)
class Jump:
    """One series in one five minutes."""

    series: str
    # Five minutes since the first hour of the panel.
    place: int
    counted: float
    expected: float
    z: float


def jumps(counts: Mapping[str, Floats], panel: Panel) -> list[Sequence[Jump]]:
    """Return the events, each with its jumps, the first one first.

    `counts` are those of the whole election per five minutes, from the first hour of the
    panel on.

    Raises:
        ValueError: the counts do not cover the hours of the panel.
    """
    judged = np.repeat(comparable_hours(panel), BINS)
    if any(values.shape != judged.shape for values in counts.values()):
        raise ValueError("Each hour of the panel needs twelve counts.")
    found = [
        jump
        for series, values in counts.items()
        for jump in _jumps(series, values, judged)
    ]
    return _events(sorted(found, key=lambda jump: jump.place))


def comparable_hours(panel: Panel) -> Truths:
    """Tell which hours continue the hour before: both are told, and nothing opens."""
    hours = np.arange(panel.counts.shape[1])
    could_vote = (hours >= panel.opens[:, None]) & (hours <= panel.closes[:, None])
    is_told = coverage(panel, could_vote & panel.is_known, could_vote) >= LEAST_TOLD
    opens = coverage(panel, hours == panel.opens[:, None], could_vote) >= OPENING
    before = np.concatenate([[False], is_told[:-1]])
    found: Truths = is_told & before & ~opens
    return found


def _jumps(series: str, counts: Floats, judged: Truths) -> list[Jump]:
    expected = _medians_before(counts)
    judged = judged & (expected > 0)
    usual = np.where(expected > 0, expected, 1.0)
    rise = np.where(judged, np.log((counts + 0.5) / (usual + 0.5)), np.nan)
    chance = np.sqrt(1 / (counts + 0.5) + MEDIAN_VARIANCE / (usual + 0.5))
    notable = (rise >= np.log1p(LEAST_RISE)) & (expected >= LEAST_EXPECTED)
    found = []
    for place in np.flatnonzero(notable).tolist():
        past = slice(max(0, place - DAY_OF_BINS), place + 1)
        if np.count_nonzero(judged[past]) <= LEAST_BINS:
            continue
        z = robust_score(rise[past], chance[past])
        if z >= LIMIT:
            found.append(
                Jump(series, place, float(counts[place]), float(expected[place]), z)
            )
    return found


def _medians_before(counts: Floats) -> Floats:
    found = np.full(counts.shape, np.nan)
    if len(counts) > BEFORE:
        windows = np.lib.stride_tricks.sliding_window_view(counts, BEFORE)
        found[BEFORE:] = np.median(windows[:-1], axis=1)
    return found


def _events(found: Sequence[Jump]) -> list[Sequence[Jump]]:
    if not found:
        return []
    starts = [
        place
        for place, (jump, following) in enumerate(pairwise(found), 1)
        if following.place - jump.place > SAME_EVENT
    ]
    bounds = [0, *starts, len(found)]
    return [found[first:last] for first, last in pairwise(bounds)]
