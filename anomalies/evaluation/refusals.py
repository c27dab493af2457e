"""H13 on simulated elections: contracts that refuse more calls than those of the peers."""

from collections.abc import Iterator

import numpy as np

from anomalies.evaluation.cases import Calm, Case, some
from anomalies.evaluation.effects import HOURS, Q_LEVELS
from anomalies.evaluation.worlds import SERIES, Laboratory
from anomalies.rules.counts import Floats
from anomalies.rules.episodes import WARNING_Q
from anomalies.rules.panels import Ints
from anomalies.rules.shares import columns, rejection_rate
from anomalies.rules.verdicts import Test, false_discovery, flow_tests

# Of the calls that would have been accepted in the hour; 1 % of all are refused anyway.
REFUSED = (0.05, 0.20)
FEW, MANY = "20 to 100 calls an hour", "above 100 calls an hour"
SIZES = {FEW: (20, 100), MANY: (100, np.inf)}
H13 = Test("H13", "calls")


class RefusalJudge:
    """Judges the calls of one laboratory, hour by hour."""

    def __init__(self, laboratory: Laboratory) -> None:
        self.laboratory = laboratory
        self.rejected, self.accepted = laboratory.clean.calls
        self.panel = laboratory.clean.panels[SERIES[0]]
        self.flow = flow_tests(laboratory.clean.panels)

    def q(self, rejected: Ints, accepted: Ints) -> Floats:
        """Return q of H13 per constituency and hour, among the tests of the flows."""
        shares = columns(
            rejection_rate(
                rejected=rejected[:, hour],
                accepted=accepted[:, hour],
                groups=self.panel.groups,
                electorates=self.panel.electorates,
            )
            for hour in range(rejected.shape[1])
        )
        return false_discovery(self.flow | {H13: shares.p})[H13]

    def calm(self) -> Iterator[Calm]:
        """Tell what is reported where there is nothing."""
        q = self.q(self.rejected, self.accepted)
        yield Calm(
            self.laboratory.preset,
            H13.rule,
            HOURS,
            places=int(self.panel.is_open.sum()),
            judged=int((~np.isnan(q)).sum()),
            false={level: int((q <= level).sum()) for level in Q_LEVELS},
        )

    def cases(self) -> Iterator[Case]:
        """Let contracts refuse more in one hour, and tell whether that was found."""
        rng = self.laboratory.rng(13)
        for share in REFUSED:
            for size, (low, high) in SIZES.items():
                chosen = (self.accepted >= low) & (self.accepted < high)
                yield from self._cases(rng, share, size, np.argwhere(chosen))

    def _cases(
        self, rng: np.random.Generator, share: float, size: str, places: Ints
    ) -> Iterator[Case]:
        if not len(places):
            return
        numbers = some(rng, np.arange(len(places)), of=len(self.accepted))
        rows, hours = places[numbers].T
        more = rng.binomial(self.accepted[rows, hours], share)
        rejected, accepted = self.rejected.copy(), self.accepted.copy()
        np.add.at(rejected, (rows, hours), more)
        np.subtract.at(accepted, (rows, hours), more)
        q = self.q(rejected, accepted)
        for found in q[rows, hours].tolist():
            delay = 0 if found <= WARNING_Q else None
            what = f"{100 * share:.0f} % refused in one hour"
            yield Case(self.laboratory.preset, H13.rule, what, size, delay)
