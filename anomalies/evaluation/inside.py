"""S06 to S09 on simulated elections: what they find inside the hours, and what not."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from anomalies.evaluation.cases import Calm, Case, at_usual_q, delay, some
from anomalies.evaluation.effects import HOURS, Q_LEVELS
from anomalies.evaluation.moments import HOUR_MS, moments_by_row
from anomalies.evaluation.worlds import SERIES, Acts, Election, Laboratory, Strike
from anomalies.rules.counts import Floats
from anomalies.rules.episodes import WARNING_Q
from anomalies.rules.panels import Ints, Truths, running_sums
from anomalies.rules.verdicts import Series, Test, false_discovery
from anomalies.rules.within import (
    FIGURES,
    LARGEST_SHARED,
    LEAST_BURST_ACTS,
    Moments,
    bursts,
    equal_runs,
    even_gaps,
    evenness,
    shared_share,
    silences,
)

WITHIN = ("S06", "S07", "S08", "S09")
# Of the ballots of the struck hours; S06 is for the second and the third.
MINUTE_SIZES = {
    "below 2 a minute": (0.0, 2.0),
    "2 to 10 a minute": (2.0, 10.0),
    "above 10 a minute": (10.0, np.inf),
}
FAST = "above 10 a minute"
HOUR_SIZES = {"30 to 100 an hour": (0.0, 100.0), "above 100 an hour": (100.0, np.inf)}
# Hours from the opening in which the simulator's bots are at work.
BOT_HOURS = slice(1, 11)
BOTS = ("bot:50", "bot:100")
# Votes in one second; minutes without an act; hours with one count.
SECONDS = (6, 12)
SILENCES = (20, 40)
EQUAL_HOURS = 5
# So that ten acts are left of an hour that is silent for two thirds.
LEAST_USUAL = 40
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Reported:
    """What the rules say of each constituency and hour."""

    # Least q of both series, NaN where there was no test.
    q: dict[str, Floats]
    is_flagged: dict[str, Truths]


def reported(election: Election, moments: Mapping[str, Moments]) -> Reported:
    """Apply S06 to S09 beside the rules of flow, as an evaluation does."""
    series = {name: Series(panel) for name, panel in election.panels.items()}
    is_by_blocks = shared_share(*moments.values()) >= LARGEST_SHARED
    tests: dict[Test, Floats] = {}
    for name, found in series.items():
        tests |= found.tests(name)
        tests[Test("S06", name)] = evenness(moments[name], found.panel).p
        if not is_by_blocks:
            tests[Test("S08", name)] = bursts(moments[name], found.panel)
    q = _least(false_discovery(tests))
    is_flagged: dict[str, Truths] = {
        rule: q[rule] <= WARNING_Q for rule in ("S06", "S08") if rule in q
    }
    is_flagged["S07"] = _constant(series, {} if is_by_blocks else moments)
    is_flagged["S09"] = _silent(series, moments)
    nothing = np.zeros(q["S06"].shape, bool)
    return Reported(q, {rule: is_flagged.get(rule, nothing) for rule in WITHIN})


def _constant(series: Mapping[str, Series], moments: Mapping[str, Moments]) -> Truths:
    """Tell which hours have even gaps, or lie in a run of equal ones, S07."""
    found = np.zeros(series[SERIES[0]].panel.counts.shape, bool)
    for name, own in moments.items():
        found |= even_gaps(own, series[name].panel)
    for judged in series.values():
        for run in equal_runs(judged.panel):
            found[run.row, run.start : run.end + 1] = True
    return found


def _silent(series: Mapping[str, Series], moments: Mapping[str, Moments]) -> Truths:
    """Tell where S09 names a constituency, and not the platform."""
    found = np.zeros(series[SERIES[0]].panel.counts.shape, bool)
    for name, judged in series.items():
        silent = silences(moments[name], judged.flow, judged.panel)
        found |= silent.is_flagged & ~silent.is_of_all
    return found


def _least(q: Mapping[Test, Floats]) -> dict[str, Floats]:
    return {
        rule: np.fmin.reduce([found for test, found in q.items() if test.rule == rule])
        for rule in dict.fromkeys(test.rule for test in q)
    }


class InsideJudge:
    """Judges the elections of one laboratory by their acts."""

    def __init__(self, laboratory: Laboratory) -> None:
        self.laboratory, self.clean = laboratory, laboratory.clean
        self.counts = self.clean.panels[SERIES[0]].counts
        self.is_open = self.clean.panels[SERIES[0]].is_open

    @cached_property
    def moments(self) -> dict[str, Moments]:
        """Return the moments of the election without any injection."""
        return self._counted(self.clean)

    def _counted(self, election: Election) -> dict[str, Moments]:
        shape = self.counts.shape
        return moments_by_row(election.acts, shape=shape, series=SERIES)

    def calm(self) -> Iterator[Calm]:
        """Tell what is reported where there is nothing."""
        found = reported(self.clean, self.moments)
        hours = int(self.is_open.sum())
        # S07 and S09 have conditions of their own: of what is counted, all is judged.
        counted = int((~np.isnan(self.moments[SERIES[0]].acts) & self.is_open).sum())
        for rule in WITHIN:
            q = found.q.get(rule)
            if q is None:
                false = at_usual_q(int(found.is_flagged[rule].sum()))
                judged = counted
            else:
                false = {level: int((q <= level).sum()) for level in Q_LEVELS}
                judged = int((~np.isnan(q)).sum())
            yield Calm(self.laboratory.preset, rule, HOURS, hours, judged, false)

    def cases(self) -> Iterator[Case]:
        """Inject one kind after the other and tell which rule found it."""
        for bot in BOTS:
            election = self.laboratory.struck_rows(bot, self._busy_rows())
            yield from self._cases(election, ("S06", "S07"), self._by_minute)
        for count in SECONDS:
            election = self._with(f"{count} votes in a second", self._hurried(count))
            yield from self._cases(election, ("S08",), self._by_hour)
        for minutes in SILENCES:
            election = self._with(f"{minutes} minutes silent", self._silenced(minutes))
            yield from self._cases(election, ("S09",), self._by_hour)
        election = self._with(f"{EQUAL_HOURS} hours with one count", self._levelled())
        yield from self._cases(election, ("S07",), self._by_hour)

    def _cases(
        self,
        election: Election,
        rules: tuple[str, ...],
        size: Callable[[Strike], str],
    ) -> Iterator[Case]:
        found = reported(election, self._moments_of(election))
        for rule in rules:
            for strike in election.strikes:
                yield Case(
                    self.laboratory.preset,
                    rule,
                    strike.injection,
                    size(strike),
                    delay(found.is_flagged[rule], strike),
                )

    def _moments_of(self, election: Election) -> dict[str, Moments]:
        """Return the moments of an election; only struck rows are counted again."""
        is_struck = election.is_struck[:, None]
        return {
            name: Moments(
                *(
                    np.where(
                        is_struck,
                        getattr(struck, figure),
                        getattr(self.moments[name], figure),
                    )
                    for figure in FIGURES
                )
            )
            for name, struck in self._counted(election).items()
        }

    def _per_minute(self, hours: slice, row: int) -> float:
        counts = self.counts[row, hours]
        return float(counts.mean()) / 60 if counts.size else 0.0

    def _by_minute(self, strike: Strike) -> str:
        usual = self._per_minute(slice(strike.first, strike.last + 1), strike.row)
        return _named(usual, MINUTE_SIZES)

    def _by_hour(self, strike: Strike) -> str:
        hours = slice(strike.first, strike.last + 1)
        return _named(float(self.counts[strike.row, hours].mean()), HOUR_SIZES)

    def _busy_rows(self) -> Ints:
        """Return rows with two ballots a minute, half of them with ten where there are.

        Of a random choice one in twenty would have so many.
        """
        opens = self.clean.panels[SERIES[0]].opens
        flows = np.array(
            [
                self._per_minute(
                    slice(opens[row] + BOT_HOURS.start, opens[row] + BOT_HOURS.stop),
                    row,
                )
                for row in range(len(opens))
            ]
        )
        rng, rows = self.laboratory.rng(6), len(opens)
        fast = some(rng, np.flatnonzero(flows >= 10), of=rows // 2)
        return np.concatenate(
            [fast, some(rng, np.flatnonzero((flows >= 2) & (flows < 10)), of=rows // 2)]
        )

    def _with(
        self, injection: str, struck: Iterator[tuple[int, dict[str, Acts], int, int]]
    ) -> Election:
        """Return the election with other acts in some rows, from hour to hour."""
        acts, strikes = {}, []
        for row, found, first, last in struck:
            acts[row] = found
            strikes.append(Strike(injection, row, first, last))
        return self.clean.with_acts(acts, strikes)

    def _places(
        self, rng: np.random.Generator, least: int, *, hours: int = 1
    ) -> Iterator[tuple[int, int]]:
        """Yield constituencies and the first of hours with so many ballots each.

        Neither the hour of the opening nor that of the close is among them.
        """
        panel = self.clean.panels[SERIES[0]]
        columns = np.arange(self.counts.shape[1])
        is_inside = (columns > panel.opens[:, None]) & (columns < panel.closes[:, None])
        is_usual = is_inside & (self.counts >= least)
        sums = running_sums(is_usual.astype(float))
        is_start = sums[:, hours:] - sums[:, :-hours] == hours
        able = np.flatnonzero(is_start.any(axis=1))
        for row in some(rng, able, of=len(self.counts)).tolist():
            yield row, int(rng.choice(np.flatnonzero(is_start[row])))

    def _hurried(self, count: int) -> Iterator[tuple[int, dict[str, Acts], int, int]]:
        """Let further votes come in one second."""
        rng = self.laboratory.rng(8, count)
        for row, hour in self._places(rng, LEAST_BURST_ACTS):
            second = hour * HOUR_MS + 1000 * int(rng.integers(3600))
            more = second + rng.integers(1000, size=count)
            acts = self.clean.acts[row]
            votes = _joined(acts[SERIES[1]], more)
            yield row, {**acts, SERIES[1]: votes}, hour, hour

    def _silenced(
        self, minutes: int
    ) -> Iterator[tuple[int, dict[str, Acts], int, int]]:
        """Let nobody come for so many minutes of an hour."""
        rng = self.laboratory.rng(9, minutes)
        for row, hour in self._places(rng, LEAST_USUAL):
            start = hour * HOUR_MS + int(rng.integers((60 - minutes) * MINUTE_MS))
            end = start + minutes * MINUTE_MS
            acts = {
                name: _only(found, (found.ms < start) | (found.ms >= end))
                for name, found in self.clean.acts[row].items()
            }
            yield row, acts, hour, hour

    def _levelled(self) -> Iterator[tuple[int, dict[str, Acts], int, int]]:
        """Let as many bulletins be issued in each of some hours as in the calmest."""
        rng = self.laboratory.rng(7)
        for row, first in self._places(rng, LEAST_BURST_ACTS, hours=EQUAL_HOURS):
            last = first + EQUAL_HOURS - 1
            issued = self.clean.acts[row][SERIES[0]]
            level = int(self.counts[row, first : last + 1].min())
            kept = np.ones(len(issued.ms), bool)
            for hour in range(first, last + 1):
                inside = np.flatnonzero(issued.ms // HOUR_MS == hour)
                kept[inside] = False
                kept[_worth(inside, issued.ballots, level, rng)] = True
            acts = {**self.clean.acts[row], SERIES[0]: _only(issued, kept)}
            yield row, acts, first, last


def _named(value: float, sizes: Mapping[str, tuple[float, float]]) -> str:
    return next(name for name, (low, high) in sizes.items() if low <= value < high)


def _joined(acts: Acts, more: Ints) -> Acts:
    """Return the acts with further ones of a ballot each."""
    ms = np.concatenate([acts.ms, more])
    ballots = np.concatenate([acts.ballots, np.ones(len(more), np.int64)])
    order = np.argsort(ms, kind="stable")
    return Acts(ms[order], ballots[order])


def _only(acts: Acts, chosen: Truths) -> Acts:
    return Acts(acts.ms[chosen], acts.ballots[chosen])


def _worth(places: Ints, ballots: Ints, level: int, rng: np.random.Generator) -> Ints:
    """Return at random acts that are worth so many ballots together."""
    order = rng.permutation(places)
    # Single ballots first fill up what batches leave; without them the last batch is out.
    order = order[np.argsort(-ballots[order], kind="stable")]
    total, chosen = 0, []
    for place in order.tolist():
        if total + int(ballots[place]) <= level:
            chosen.append(place)
            total += int(ballots[place])
    return np.array(chosen, dtype=np.int64)
