"""S11 and S12 on simulated elections, at the end of the vote."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from anomalies.evaluation.cases import Calm, Case, some
from anomalies.evaluation.effects import CONSTITUENCIES, Q_LEVELS
from anomalies.evaluation.worlds import SERIES, Laboratory
from anomalies.rules.counts import Floats
from anomalies.rules.episodes import WARNING_Q
from anomalies.rules.panels import Ints
from anomalies.rules.shares import LEAST_ISSUED, abandonment, turnout
from anomalies.rules.verdicts import Test, false_discovery, flow_tests

SUPPRESSED = 0.08
# Of the register: people who would not have come, or who do not come.
POINTS = (10, -10)
# Rate and correlation of the regions of 2024, ANOMALIES S11 and S12. The generator lets
# districts differ more: 1 to 4 % are not cast, 86 to 94 % come.
NOT_CAST_2024 = (0.0237, 0.0005)
TURNOUT_2024 = (0.9439, 0.002)
GENERATED, AS_2024 = "", ", shares as in 2024"
SIZES = {
    f"below {LEAST_ISSUED} ballots": (0, LEAST_ISSUED),
    f"{LEAST_ISSUED} to 1,000 ballots": (LEAST_ISSUED, 1000),
    "above 1,000 ballots": (1000, np.inf),
}
BOTH = "both"


@dataclass(frozen=True, slots=True)
class Totals:
    """The bulletins and votes of each constituency at the end."""

    issued: Ints
    cast: Ints


class ShareJudge:
    """Judges the elections of one laboratory at their end."""

    def __init__(self, laboratory: Laboratory) -> None:
        self.laboratory, clean = laboratory, laboratory.clean
        self.panel = clean.panels[SERIES[0]]
        self.flow = {test: p[:, -1:] for test, p in flow_tests(clean.panels).items()}
        self.totals = Totals(
            *(clean.panels[name].counts.sum(axis=1) for name in SERIES)
        )

    def q(self, totals: Totals) -> dict[str, Floats]:
        """Return q of S11 and S12 per constituency among all tests of the last hour."""
        among = {"groups": self.panel.groups, "electorates": self.panel.electorates}
        found = {
            "S11": abandonment(issued=totals.issued, cast=totals.cast, **among),
            "S12": turnout(cast=totals.cast, voters=self.panel.voters, **among),
        }
        tests = {Test(rule, BOTH): shares.p[:, None] for rule, shares in found.items()}
        q = false_discovery(self.flow | tests)
        return {rule: q[Test(rule, BOTH)][:, 0] for rule in found}

    @property
    def worlds(self) -> dict[str, Totals]:
        """Return what districts differ by: as generated, and as regions did in 2024."""
        return {GENERATED: self.totals, AS_2024: self._as_2024()}

    def calm(self) -> Iterator[Calm]:
        """Tell what is reported where there is nothing."""
        for world, totals in self.worlds.items():
            found = self.q(totals)
            for rule, q in found.items():
                yield self._calm(rule, world, q)

    def _calm(self, rule: str, world: str, q: Floats) -> Calm:
        return Calm(
            self.laboratory.preset + world,
            rule,
            CONSTITUENCIES,
            places=len(q),
            judged=int((~np.isnan(q)).sum()),
            false={level: int((q <= level).sum()) for level in Q_LEVELS},
        )

    def cases(self) -> Iterator[Case]:
        """Inject one kind after the other and tell whether its rule found it."""
        for world, totals in self.worlds.items():
            rng = self.laboratory.rng(11)
            rows = some(rng, np.flatnonzero(totals.issued > 0), of=len(totals.issued))
            what = f"{100 * SUPPRESSED:.0f} % not cast"
            yield from self._cases(
                "S11", what + world, totals, suppressed(totals, rows), rows
            )
            for points in POINTS:
                struck = with_turnout(totals, rows, points, self.panel.voters)
                what = f"turnout {points:+d} points".replace("-", "−")
                yield from self._cases("S12", what + world, totals, struck, rows)

    def _cases(
        self, rule: str, injection: str, before: Totals, struck: Totals, rows: Ints
    ) -> Iterator[Case]:
        q = self.q(struck)[rule]
        for row in rows.tolist():
            size = next(
                name
                for name, (low, high) in SIZES.items()
                if low <= before.issued[row] < high
            )
            delay = 0 if q[row] <= WARNING_Q else None
            yield Case(self.laboratory.preset, rule, injection, size, delay)

    def _as_2024(self) -> Totals:
        """Return other totals of the same constituencies; silent ones stay silent."""
        rng = self.laboratory.rng(2024)
        voters = self.panel.voters.astype(np.int64)
        _, first, member = np.unique(
            self.panel.electorates, return_index=True, return_inverse=True
        )
        # All ballots of a district are handed to the same people.
        people = _beta_binomial(rng, voters[first], *TURNOUT_2024)[member]
        issued = np.where(self.totals.issued > 0, np.minimum(people, voters), 0)
        return Totals(issued, issued - _beta_binomial(rng, issued, *NOT_CAST_2024))


def suppressed(totals: Totals, rows: Ints) -> Totals:
    """Return the totals with 8 % of the bulletins of these rows not cast."""
    cast = totals.cast.copy()
    left = np.rint((1 - SUPPRESSED) * totals.issued[rows]).astype(np.int64)
    cast[rows] = np.minimum(cast[rows], left)
    return replace(totals, cast=cast)


def with_turnout(totals: Totals, rows: Ints, points: int, voters: Floats) -> Totals:
    """Return the totals with more or fewer voters in these rows.

    No more come than are left on the register.
    """
    people = np.rint(points / 100 * voters[rows]).astype(np.int64)
    left = voters[rows].astype(np.int64) - totals.issued[rows]
    change = np.clip(people, -totals.cast[rows], np.maximum(left, 0))
    issued, cast = totals.issued.copy(), totals.cast.copy()
    issued[rows] += change
    cast[rows] += change
    return Totals(issued, cast)


def _beta_binomial(
    rng: np.random.Generator, trials: Ints, rate: float, rho: float
) -> Ints:
    """Draw successes of which two trials of one row have the correlation rho."""
    together = 1 / rho - 1
    rates = rng.beta(rate * together, (1 - rate) * together, len(trials))
    return rng.binomial(trials, rates)
