"""From flagged hours to what a person looks at: episodes, how grave they are, and S10.

An alert is an episode of one rule in one constituency. Spikes and drops are different
episodes, or an outage and what was caught up after it would cancel each other.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from anomalies.rules.ballots import Gaps
from anomalies.rules.counts import Floats, negative_binomial_tails
from anomalies.rules.findings import Severity
from anomalies.rules.flow import Flow, Sums
from anomalies.rules.panels import Ints

WARNING_Q = 0.05
CRITICAL_Q = 0.001
# Shares of the register: less than the first nobody would miss in a result, the second can
# decide one.
WARNING_EFFECT = 0.005
CRITICAL_EFFECT = 0.02
DAY = 24
# Calm hours inside an episode, and between an outage and its catch-up.
LONGEST_GAP = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """The hours of a drop and of the spike after it, as one: S10."""

    counted: float
    expected: float
    # Two-sided probability.
    p: float

    # Not a rare one: the sum has only to be such as it could be without any anomaly.
    LEAST_P: ClassVar[float] = 0.05

    @property
    def is_usual(self) -> bool:
        """Tell whether nothing is missing and nothing too many."""
        return self.p > self.LEAST_P

    @property
    def is_surplus(self) -> bool:
        """Tell whether there are too many ballots even with those that were missing."""
        return not self.is_usual and self.counted > self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """Flagged hours of one rule in one constituency that belong together.

    Hours are columns of the panel, both ends included.
    """

    rule: str
    # Row of the panel.
    constituency: int
    # First and last hour that was flagged. Long windows see a burst for a day.
    start: int
    end: int
    # First and last hour of the ballots concerned: a slow rise is flagged hours after it
    # began.
    since: int
    until: int
    # The worst of its hours.
    q: float
    # Ballots too many, or too few, from `since` to `until`.
    excess: float
    # A drop and the spike after it, S10; None where there is no such pair.
    joint: Joint | None = None

    @property
    def is_spike(self) -> bool:
        """Tell whether there are too many ballots, not too few."""
        return self.excess > 0

    @property
    def is_catch_up(self) -> bool:
        """Tell whether an outage and what followed add up to what was expected."""
        return self.joint is not None and self.joint.is_usual


@dataclass(frozen=True, slots=True)
class Excesses:
    """Of each constituency and hour: its most surprising window, which ends there."""

    # Ballots too many (or too few) in the window; NaN where nothing can be said.
    ballots: Floats
    # First hour of the window.
    since: Ints


def flow_excesses(flow: Flow) -> Excesses:
    """Return the windows with the largest scores, for S01."""
    strength = np.nan_to_num(np.abs(flow.scores), nan=-1.0)
    place = strength.argmax(axis=0)
    apart = np.take_along_axis(flow.counted - flow.expected, place[None], axis=0)[0]
    ballots = np.where((strength < 0).all(axis=0), np.nan, apart)
    return Excesses(ballots, _beginnings(flow.windows, place))


def night_excesses(flow: Flow, first_clock: Ints) -> Excesses:
    """Return the windows from local midnight, for S02."""
    shape = flow.night_p.shape
    rows, hours = np.indices(shape)
    since = np.maximum(hours - (first_clock[:, None] + hours) % DAY, 0)
    counted, mean, _ = flow.sums.between(rows.ravel(), since.ravel(), hours.ravel())
    apart = (counted - mean).reshape(shape)
    return Excesses(np.where(np.isnan(flow.night_p), np.nan, apart), since)


def gap_excesses(gaps: Gaps) -> Excesses:
    """Return the windows with the most ballots apart for their length, for S15."""
    # Of two windows with one burst the shorter: few more ballots are chance.
    strength = np.abs(gaps.apart) / np.sqrt(gaps.expected + 1)
    place = np.nan_to_num(strength, nan=-1.0).argmax(axis=0)
    ballots = np.take_along_axis(gaps.apart, place[None], axis=0)[0]
    return Excesses(ballots, _beginnings(gaps.windows, place))


def hour_excesses(ballots: Floats) -> Excesses:
    """Return windows of the single hours."""
    return Excesses(ballots, _beginnings((1,), np.zeros(ballots.shape, int)))


def _beginnings(windows: Sequence[int], place: Ints) -> Ints:
    hours = np.arange(place.shape[1])
    since: Ints = np.maximum(hours + 1 - np.asarray(windows)[place], 0)
    return since


def episodes(
    *, rule: str, q: Floats, excesses: Excesses, level: float = WARNING_Q
) -> list[Episode]:
    """Merge the hours with q up to the level, by constituency and start.

    Hours of one direction are one episode where at most two calm hours lie between one and
    the window of the next: a long window that sees an old burst is nothing new.
    """
    found: list[Episode] = []
    for sign in (1, -1):
        flagged = (q <= level) & (sign * excesses.ballots > 0)
        for row in np.flatnonzero(flagged.any(axis=1)):
            runs = _runs(np.flatnonzero(flagged[row]), excesses.since[row])
            found += [_episode(rule, int(row), hours, q, excesses) for hours in runs]
    return sorted(found, key=lambda episode: (episode.constituency, episode.start))


def _runs(hours: Ints, since: Ints) -> list[Ints]:
    """Split hours where more than two calm ones lie before the window of the next."""
    steps = since[hours[1:]] - hours[:-1]
    return np.split(hours, np.flatnonzero(steps > LONGEST_GAP + 1) + 1)


def _episode(
    rule: str, row: int, hours: Ints, q: Floats, excesses: Excesses
) -> Episode:
    ballots, since = excesses.ballots[row], excesses.since[row]
    # The most surprising first; of those alike, the one with most ballots.
    order = hours[np.lexsort((-np.abs(ballots[hours]), q[row, hours]))]
    ends = _apart(order, since)
    return Episode(
        rule=rule,
        constituency=row,
        start=int(hours[0]),
        end=int(hours[-1]),
        since=int(since[ends].min()),
        until=int(ends.max()),
        q=float(q[row, order[0]]),
        excess=float(ballots[ends].sum()),
    )


def _apart(ends: Ints, since: Ints) -> Ints:
    """Return the ends of windows that share no hour, the earlier in the list preferred."""
    is_taken = np.zeros(len(since), bool)
    chosen = []
    for end in ends:
        window = slice(since[end], end + 1)
        if not is_taken[window].any():
            is_taken[window] = True
            chosen.append(end)
    return np.asarray(chosen, np.int64)


def severity(episode: Episode, *, voters: float) -> Severity:
    """Return how soon somebody has to look: by q, and by the share of the register.

    Only spikes are ever critical: ballots that are missing can still come. No spike is that
    makes up, in whole or in part, for an outage before it. With an unknown register (NaN)
    nobody can tell the effect, which is for information then.
    """
    effect = abs(episode.excess) / voters if voters > 0 else 0.0
    if episode.q > WARNING_Q or effect < WARNING_EFFECT:
        return Severity.INFO
    is_grave = episode.q <= CRITICAL_Q and effect >= CRITICAL_EFFECT
    is_surplus = episode.joint is None or episode.joint.is_surplus
    if is_grave and episode.is_spike and is_surplus:
        return Severity.CRITICAL
    return Severity.WARNING


def catch_ups(found: Iterable[Episode], sums: Sums) -> list[Episode]:
    """Return the episodes, those of an outage and of what followed with their joint p, S10.

    A spike that begins in the hour after a drop, or up to two later, is compared together
    with it, by the level from before the drop. What adds up to what was expected is an
    outage and its catch-up. What is too high all the same stays a spike.
    """
    listed = list(found)
    for place, follower in list(_pairs(listed)):
        drop, spike = listed[place], listed[follower]
        together = joint(
            sums,
            row=drop.constituency,
            start=drop.since,
            ends=np.arange(spike.start, spike.until + 1),
        )
        listed[place] = replace(drop, joint=together)
        listed[follower] = replace(spike, joint=together)
    return listed


def _pairs(listed: Sequence[Episode]) -> Iterator[tuple[int, int]]:
    """Yield the places of each drop and the first spike after it."""
    spikes: dict[int, list[int]] = {}
    for place, episode in enumerate(listed):
        if episode.is_spike:
            spikes.setdefault(episode.constituency, []).append(place)
    for place, drop in enumerate(listed):
        if drop.is_spike:
            continue
        for spike in spikes.get(drop.constituency, []):
            if 1 <= listed[spike].start - drop.until <= 1 + LONGEST_GAP:
                yield place, spike
                break


def joint(sums: Sums, *, row: int, start: int, ends: Ints) -> Joint:
    """Compare the hours from `start` to one of `ends` with what was expected of them all.

    To the end that is the most surprising. A backlog may take hours to come in, so too few
    ballots count only at the last end; too many count at each, lest a surplus be lost in
    calmer hours after it.
    """
    rows, starts = np.full(len(ends), row), np.full(len(ends), start)
    counted, mean, variance = sums.between(rows, starts, ends)
    below, equal, above = negative_binomial_tails(counted, mean=mean, variance=variance)
    p = np.minimum(2 * (np.minimum(below, above) + equal), 1.0)
    tells = (counted > mean) | (ends == ends[-1])
    worst = int(np.where(tells, p, np.inf).argmin())
    return Joint(
        counted=float(counted[worst]), expected=float(mean[worst]), p=float(p[worst])
    )
