"""What the rules of flow find in simulated elections, and what they cry wolf about."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from anomalies.evaluation.cases import STRUCK_SHARE, Calm, Case, CatchUp, delay
from anomalies.evaluation.catching import CatchUpJudge
from anomalies.evaluation.effects import HOURS, Q_LEVELS
from anomalies.evaluation.inside import InsideJudge
from anomalies.evaluation.refusals import RefusalJudge
from anomalies.evaluation.shares import ShareJudge
from anomalies.evaluation.system import SystemJudge
from anomalies.evaluation.variants import variant
from anomalies.evaluation.worlds import SERIES, Election, Laboratory, Strike
from anomalies.rules.counts import Floats, negative_binomial_score
from anomalies.rules.episodes import LONGEST_GAP, WARNING_Q
from anomalies.rules.flow import two_sided
from anomalies.rules.panels import Ints, Truths
from anomalies.rules.verdicts import (
    Series,
    Test,
    anomaly_scores,
    constituency_p,
    false_discovery,
)
from transactions.simulator.flow import SHOCK_PHI

PRESETS = ("federal", "september")
# One kind a run. Sizes in per cent: of the register, or of the flow (slow, outage).
KINDS = (
    *("burst:2", "burst:3", "burst:5", "night:0.5", "night:1"),
    *("slow:25", "slow:35", "slow:50", "outage:50", "outage:80", "outage:100"),
)
# The same where all contracts of a district are struck alike.
DISTRICT_KINDS = (
    *("burst:3", "burst:5", "night:1", "slow:25", "slow:50", "outage:80"),
)
# Of these the recall is told for each threshold.
THRESHOLD_KINDS = ("burst:3", "slow:50")
# All in one election, each in 2 % of the constituencies.
MIXED = ("burst:3", "burst:5", "night:1", "slow:50", "outage:80")
MIXED_SHARE = 0.4
# Ballots of an hour of a constituency, averaged over the vote.
SIZES = {"below 5": (0.0, 5.0), "5 to 20": (5.0, 20.0), "above 20": (20.0, np.inf)}
LEVELS = (0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Hit:
    """Whether one injection was found, and whether it could have been."""

    preset: str
    injection: str
    size: str
    has_twin: bool
    # Hours from its first hour to the first alarm; None where there was none.
    delay: int | None
    # The least q of its hours and of two after it.
    q: float
    # Whether a detector that knows what was to be expected in exactly these hours, but has
    # no twin to compare with, would report it.
    is_visible: bool


@dataclass(frozen=True, slots=True)
class Quiet:
    """Alarms among constituencies without an injection, of one election and size."""

    preset: str
    size: str
    constituencies: int
    flagged: int
    hours: int
    flagged_hours: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """What the rules of flow report up to one q where there is nothing, per election."""

    preset: str
    q: float
    constituencies: int
    flagged: int
    hours: int
    flagged_hours: int
    # Hours of the election, and those with any report.
    ticks: int
    false_ticks: int


@dataclass(frozen=True, slots=True)
class Scored:
    """One constituency of a mixed election: its score, and the truth."""

    preset: str
    size: str
    score: float
    is_struck: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """How often p lies below a level among constituencies without an injection."""

    variant: str
    tests: int
    # Level -> tests with p at or below it.
    below: dict[float, int]
    flagged_hours: int


@dataclass(frozen=True, slots=True)
class Trial:
    """All that one simulated election, or one variant, has shown."""

    hits: tuple[Hit, ...] = ()
    quiet: tuple[Quiet, ...] = ()
    scored: tuple[Scored, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    district_hits: tuple[Hit, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    cases: tuple[Case, ...] = ()
    calm: tuple[Calm, ...] = ()
    catch_ups: tuple[CatchUp, ...] = ()


def size_of(typical: float) -> str:
    """Return the name of the size class."""
    return next(name for name, (low, high) in SIZES.items() if low <= typical < high)


def try_election(
    preset: str, *, seed: int, constituencies: int, is_inside: bool = False
) -> Trial:
    """Judge one election: clean, with each kind of injection, and with several.

    `is_inside` looks inside the hours as well, and puts something there.
    """
    laboratory = Laboratory(preset=preset, seed=seed, constituencies=constituencies)
    judge, inside = Judge(laboratory), InsideJudge(laboratory)
    shares, system = ShareJudge(laboratory), SystemJudge(laboratory)
    refusals = RefusalJudge(laboratory)
    sizes = dict(enumerate(judge.sizes))
    return Trial(
        hits=tuple(hit for kind in KINDS for hit in judge.hits(kind)),
        district_hits=tuple(
            hit for kind in DISTRICT_KINDS for hit in judge.district_hits(kind)
        ),
        quiet=tuple(judge.quiet()),
        thresholds=tuple(judge.thresholds()),
        scored=tuple(judge.scored()),
        cases=(
            *(inside.cases() if is_inside else ()),
            *shares.cases(),
            *refusals.cases(),
            *system.cases(),
        ),
        calm=(
            *judge.calm(),
            *(inside.calm() if is_inside else ()),
            *shares.calm(),
            *refusals.calm(),
            *system.calm(),
        ),
        catch_ups=tuple(CatchUpJudge(laboratory).catch_ups(sizes)),
    )


def try_variant(name: str, *, seed: int) -> Trial:
    """Judge one election that breaks an assumption, without any injection."""
    tests = Series(variant(name, seed=seed)).tests(SERIES[1])
    p = tests[Test("S01", SERIES[1])]
    # The first two hours are ruled by what is assumed.
    told = p[:, 2:][~np.isnan(p[:, 2:])]
    below = {level: int((told <= level).sum()) for level in (0.05, 0.01, 0.001, 0.0001)}
    flagged = int(alarms(tests).sum())
    return Trial(calibration=(Calibration(name, told.size, below, flagged),))


def all_tests(election: Election) -> dict[Test, Floats]:
    """Return the tests of both series."""
    found: dict[Test, Floats] = {}
    for name, panel in election.panels.items():
        found |= Series(panel).tests(name)
    return found


def least_q(tests: dict[Test, Floats]) -> Floats:
    """Return the least q of all rules per constituency and hour; NaN without a test."""
    return np.asarray(np.fmin.reduce(list(false_discovery(tests).values())), float)


def alarms(tests: dict[Test, Floats]) -> Truths:
    """Tell in which constituencies and hours some rule reports a warning."""
    return np.asarray(least_q(tests) <= WARNING_Q, bool)


class Judge:
    """Judges the elections of one laboratory."""

    def __init__(self, laboratory: Laboratory) -> None:
        self.laboratory = laboratory
        clean = laboratory.clean
        self.issued = Series(clean.panels[SERIES[0]])
        cast = Series(clean.panels[SERIES[1]])
        self.tests = self.issued.tests(SERIES[0]) | cast.tests(SERIES[1])
        self.sizes = [size_of(typical) for typical in clean.typical.tolist()]
        self.has_twin = clean.has_twin

    def hits(self, injection: str) -> Iterator[Hit]:
        """Inject one kind and tell what was found of it."""
        yield from self._hits(injection, self.laboratory.struck(injection))

    def district_hits(self, injection: str) -> Iterator[Hit]:
        """Inject one kind into all contracts of districts, alike."""
        election = self.laboratory.struck_rows(
            injection, self._district_rows(), is_by_district=True
        )
        yield from self._hits(injection, election)

    def _district_rows(self) -> Ints:
        """Return the contracts of some districts with several, 5 % of all contracts."""
        members = self.issued.panel.electorates
        with_twins = np.unique(
            members[self.has_twin & (self.laboratory.clean.typical > 0)]
        )
        order = self.laboratory.rng(15).permutation(with_twins)
        wanted = max(1, round(STRUCK_SHARE * len(members)))
        sizes = np.cumsum([np.count_nonzero(members == number) for number in order])
        chosen = order[: int(np.searchsorted(sizes, wanted)) + 1]
        return np.flatnonzero(np.isin(members, chosen))

    def _hits(self, injection: str, election: Election) -> Iterator[Hit]:
        q = least_q(all_tests(election))
        for strike in election.strikes:
            hours = slice(strike.first, strike.last + LONGEST_GAP + 1)
            least = np.nanmin(q[strike.row, hours], initial=1.0)
            yield Hit(
                preset=self.laboratory.preset,
                injection=injection,
                size=self.sizes[strike.row],
                has_twin=bool(self.has_twin[strike.row]),
                delay=delay(q <= WARNING_Q, strike),
                q=float(least),
                is_visible=self._is_visible(election, strike),
            )

    def _is_visible(self, election: Election, strike: Strike) -> bool:
        hours = slice(strike.first, strike.last + 1)
        means = np.nan_to_num(self.issued.flow.mean[strike.row, hours])
        counts = election.panels[SERIES[0]].counts[strike.row, hours]
        mean = max(float(means.sum()), 1e-9)
        variance = mean + SHOCK_PHI * float((means**2).sum())
        score = negative_binomial_score(counts.sum(), mean=mean, variance=variance)
        # What one must be below to stand out among all tests of the tick.
        alone = WARNING_Q / (len(SERIES) * len(election.typical))
        return bool(two_sided(score) <= alone)

    def quiet(self) -> Iterator[Quiet]:
        """Tell what is reported where there is nothing."""
        alarm = alarms(self.tests)
        is_open = self.issued.panel.is_open
        for size in SIZES:
            rows = np.array([name == size for name in self.sizes])
            yield Quiet(
                preset=self.laboratory.preset,
                size=size,
                constituencies=int(rows.sum()),
                flagged=int(alarm[rows].any(axis=1).sum()),
                hours=int(is_open[rows].sum()),
                flagged_hours=int(alarm[rows].sum()),
            )

    def thresholds(self) -> Iterator[Threshold]:
        """Tell what would be reported where there is nothing, by q."""
        q, is_open = least_q(self.tests), self.issued.panel.is_open
        for level in Q_LEVELS:
            alarm = q <= level
            yield Threshold(
                preset=self.laboratory.preset,
                q=level,
                constituencies=len(alarm),
                flagged=int(alarm.any(axis=1).sum()),
                hours=int(is_open.sum()),
                flagged_hours=int(alarm.sum()),
                ticks=alarm.shape[1],
                false_ticks=int(alarm.any(axis=0).sum()),
            )

    def calm(self) -> Iterator[Calm]:
        """Tell what each rule of flow reports where there is nothing."""
        q = false_discovery(self.tests)
        for rule in dict.fromkeys(test.rule for test in q):
            least = np.fmin.reduce([q[test] for test in q if test.rule == rule])
            yield Calm(
                self.laboratory.preset,
                rule,
                HOURS,
                places=int(self.issued.panel.is_open.sum()),
                judged=int((~np.isnan(least)).sum()),
                false={level: int((least <= level).sum()) for level in Q_LEVELS},
            )

    def scored(self) -> Iterator[Scored]:
        """Inject several kinds into one election and tell the scores."""
        election = self.laboratory.struck(*MIXED, share=MIXED_SHARE)
        scores = anomaly_scores(constituency_p(all_tests(election)))
        for row, is_struck in enumerate(election.is_struck.tolist()):
            if not np.isnan(scores[row]):
                yield Scored(
                    self.laboratory.preset,
                    self.sizes[row],
                    float(scores[row]),
                    is_struck,
                )
