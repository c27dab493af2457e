"""S15: ballots that are handed out to the same people together, and come apart.

A district has one contract per ballot, and who comes takes all of them: of 30 districts of
the Altai Republic in 2024 with two contracts each, 29 ended with equal numbers of issues,
and one differed by 1. So each contract has a twin that shares its shocks, its opening and
its waves, and a few ballots that only one of them has are visible even in a constituency
in which hours of two or three ballots are usual.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from anomalies.rules.combining import LARGEST_P, cauchy_combination
from anomalies.rules.counts import Floats, negative_binomial_upper
from anomalies.rules.flow import WINDOWS, Flow
from anomalies.rules.panels import Ints, Panel, Truths, running_sums

# Registers of ballots for the same people differ by less than this.
REGISTER_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class Habits:
    """What is taken for granted of twins until the day has told better."""

    # Share of ballots that only one of them has, and the ballots this is worth knowing by.
    apart_share: float = 0.005
    weight: float = 200.0
    # Such ballots per hour that a district has for no reason: several of them can be
    # issued in one transaction, and fall into another hour than their twins.
    per_hour: float = 0.1
    # Size of the negative binomial of ballots apart: they come in small batches.
    size: float = 2.0
    # Hours after which half of what was learnt of the share is forgotten.
    memory: float = 48.0
    # Ballots' worth of the ratio of the registers in the ratio of the counts.
    ratio_weight: float = 50.0
    # Hours in which it is decided which of two twins is the odd one.
    trial: int = 24


@dataclass(frozen=True, slots=True)
class Gaps:
    """How far each constituency is from its twins, per hour; NaN where it has none."""

    windows: tuple[int, ...]
    # Ballots more (or fewer) than its twins let expect, by window.
    apart: Floats
    # What its twins had in the window, and how many ballots apart were to be expected,
    # with the variance of that number.
    twins: Floats
    expected: Floats
    variances: Floats
    # All windows together; near 1 for the twin that is not the odd one.
    p: Floats
    # Share of the ballots that only one twin has, as known before each hour.
    share: Floats


def gaps(
    panel: Panel,
    flow: Flow,
    *,
    windows: tuple[int, ...] = WINDOWS,
    habits: Habits | None = None,
) -> Gaps:
    """Compare each constituency with the others whose ballots the same people get.

    Of three or more the odd one differs from their median. Of two it is the one whose own
    flow is further from what S01 expected of it.
    """
    given = habits or Habits()
    twins = Twins(panel)
    shape = (len(windows), *panel.counts.shape)
    found = Gaps(
        windows=windows,
        apart=np.full(shape, np.nan),
        twins=np.full(shape, np.nan),
        expected=np.full(shape, np.nan),
        variances=np.full(shape, np.nan),
        p=np.full(panel.counts.shape, np.nan),
        share=np.full(panel.counts.shape[1], given.apart_share),
    )
    if len(twins.rows):
        _compare(twins, _is_odd(twins, flow, given.trial), found, given)
    return found


def electorates(districts: Ints, voters: Floats) -> Ints:
    """Number the electorates: one district, and registers that agree to 2 %.

    Constituencies without a register are an electorate of their own: nothing says that
    their ballots go to the same people.
    """
    numbers = np.arange(len(districts))
    order = np.lexsort((voters, districts))
    for before, after in pairwise(order):
        is_same = districts[before] == districts[after]
        if is_same and voters[after] <= voters[before] * (1 + REGISTER_TOLERANCE):
            numbers[after] = numbers[before]
    return numbers


class Twins:
    """The constituencies that have others to compare with, and what those counted."""

    def __init__(self, panel: Panel) -> None:
        counts = panel.known_counts
        groups = _groups(panel)
        self.rows = np.array(
            sorted(row for group in groups for row in group), dtype=np.int64
        )
        reference = np.zeros_like(counts)
        # The other one of a pair; itself where there are more.
        self.partner = np.arange(len(counts))
        for group in groups:
            if len(group) == 2:
                reference[group] = counts[group[::-1]]
                self.partner[group] = group[::-1]
            else:
                reference[group] = np.median(counts[group], axis=0)
        self.counts, self.reference = counts[self.rows], reference[self.rows]
        # A gap in the feed of one of them would look like a gap between them.
        known = _known_together(panel, groups)[self.rows]
        self.counts = np.where(known, self.counts, 0.0)
        self.reference = np.where(known, self.reference, 0.0)
        self.is_known = known
        self.ratio = _register_ratio(panel, groups)[self.rows]

    @property
    def is_pair(self) -> Truths:
        """Tell which have exactly one twin."""
        return np.asarray(self.partner[self.rows] != self.rows, bool)


def _groups(panel: Panel) -> list[Ints]:
    """Return the rows of each electorate with several contracts that have ballots."""
    has_begun = panel.known_counts.sum(axis=1) > 0
    rows = np.flatnonzero(has_begun)
    order = rows[np.argsort(panel.electorates[rows], kind="stable")]
    if not len(order):
        return []
    edges = np.flatnonzero(np.diff(panel.electorates[order])) + 1
    return [group for group in np.split(order, edges) if len(group) > 1]


def _known_together(panel: Panel, groups: list[Ints]) -> Truths:
    known = panel.is_known.copy()
    for group in groups:
        known[group] = panel.is_known[group].all(axis=0)
    return known


def _register_ratio(panel: Panel, groups: list[Ints]) -> Floats:
    ratio = np.ones(len(panel.voters))
    for group in groups:
        voters = panel.voters[group]
        usual = voters[::-1] if len(group) == 2 else np.median(voters)
        ratio[group] = voters / usual
    return np.where(np.isfinite(ratio), ratio, 1.0)


def _is_odd(twins: Twins, flow: Flow, trial: int) -> Truths:
    """Tell which of two twins is further from its own expectation, per hour.

    By the squared scores of the last hours: what both share leaves no difference.
    """
    squares = running_sums(np.nan_to_num(flow.scores[0]) ** 2)
    hours = np.arange(flow.scores.shape[2])
    lately = squares[:, 1:] - squares[:, np.maximum(0, hours + 1 - trial)]
    odd = lately[twins.rows] >= lately[twins.partner[twins.rows]]
    return np.asarray(odd, bool)


def _compare(twins: Twins, is_odd: Truths, found: Gaps, given: Habits) -> None:
    counted, reference = running_sums(twins.counts), running_sums(twins.reference)
    known = reference + given.ratio_weight
    share = _Share(given)
    own = given.ratio_weight * twins.ratio
    others = np.full(len(twins.rows), given.ratio_weight)
    ratios = np.ones_like(twins.counts)
    shape = (len(found.windows), len(twins.rows))
    for hour in range(twins.counts.shape[1]):
        ratios[:, hour] = ratio = own / others
        found.share[hour] = share.value
        p = np.full(shape, np.nan)
        for place, window in enumerate(found.windows):
            start = hour + 1 - window
            if start < 0:
                continue
            expected = ratios[:, start] * (reference[:, hour + 1] - reference[:, start])
            apart = counted[:, hour + 1] - counted[:, start] - expected
            before = twins.reference[:, start - 1] if start else 0.0
            mean, variance = _usual(
                expected, expected + before, known[:, start], window, share, given
            )
            p[place] = tails(apart, mean, variance)
            found.apart[place, twins.rows, hour] = apart
            found.twins[place, twins.rows, hour] = expected
            found.expected[place, twins.rows, hour] = mean
            found.variances[place, twins.rows, hour] = variance
        innocent = twins.is_pair & ~is_odd[:, hour]
        combined = cauchy_combination(np.where(innocent, LARGEST_P, p))
        found.p[twins.rows, hour] = np.where(twins.is_known[:, hour], combined, np.nan)
        here, expected = twins.counts[:, hour], ratio * twins.reference[:, hour]
        _, variance = _usual(expected, expected, others, 1, share, given)
        reach = 2 * np.sqrt(variance)
        share.learn(here - expected, expected)
        others = others + twins.reference[:, hour]
        own = own + expected + np.clip(here - expected, -reach, reach)


def _usual(
    expected: Floats,
    near: Floats,
    known_by: Floats,
    window: int,
    share: "_Share",
    given: Habits,
) -> tuple[Floats, Floats]:
    """Return mean and variance of the ballots apart in a window.

    Proportional to the window and the hour before it, whose votes can arrive in it; the
    ratio of the counts is only known by the ballots so far.
    """
    mean = share.value * near + given.per_hour * np.sqrt(window)
    ratio_unknown = np.minimum(4 * share.value / known_by, 0.01)
    return mean, mean + mean * mean / given.size + ratio_unknown * expected * expected


def tails(apart: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> Floats:
    """Return the probability of so many ballots apart, in either direction."""
    ballots = np.ceil(np.abs(apart))
    upper = negative_binomial_upper(ballots, mean=mean, variance=variance)
    return np.where(np.abs(apart) < 1, 0.5, np.minimum(2 * upper, 1.0))


class _Share:
    """The share of ballots that only one twin has, learnt from all twins."""

    def __init__(self, given: Habits) -> None:
        self.given = given
        self.apart, self.ballots = given.apart_share * given.weight, given.weight

    @property
    def value(self) -> float:
        return self.apart / self.ballots

    def learn(self, apart: Floats, expected: Floats) -> None:
        """Take in one hour of all twins; a single one cannot move it far."""
        far = 3 * np.sqrt(self.value * expected + 1) + 1
        kept = 0.5 ** (1 / self.given.memory)
        # Half of it: what one has more the other has less.
        self.apart = kept * self.apart + float(np.minimum(np.abs(apart), far).sum()) / 2
        self.ballots = kept * self.ballots + float(expected.sum())
