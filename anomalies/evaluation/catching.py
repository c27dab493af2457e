"""S10 on simulated elections: an outage, and the ballots that come after it."""

from collections.abc import Iterator

import numpy as np

from anomalies.evaluation.cases import CatchUp, some
from anomalies.evaluation.worlds import SERIES, Election, Laboratory, Strike
from anomalies.rules.episodes import Episode, catch_ups, episodes, flow_excesses
from anomalies.rules.verdicts import Series, Test, false_discovery, flow_tests

OUTAGE_HOURS = 2
# What comes in the hour after, as a multiple of what did not come.
RETURNS = {"all come in the hour after": 1, "twice as many come": 2}
# Fewer ballots an hour have no outage to be seen.
LEAST_TYPICAL = 5.0
# Hours from the opening, and before the close.
EARLIEST, LATEST = 1, 6


class CatchUpJudge:
    """Judges outages of everything in single constituencies, and what comes after."""

    def __init__(self, laboratory: Laboratory) -> None:
        self.laboratory, self.clean = laboratory, laboratory.clean

    def catch_ups(self, size_of: dict[int, str]) -> Iterator[CatchUp]:
        """Inject both kinds and tell what became of them; sizes are those of rows."""
        for injection, factor in RETURNS.items():
            election = self._with_outages(injection, factor)
            found = _episodes(election)
            for strike in election.strikes:
                own = [item for item in found if item.constituency == strike.row]
                yield self._catch_up(strike, own, size_of[strike.row])

    def _catch_up(self, strike: Strike, own: list[Episode], size: str) -> CatchUp:
        drops = [
            item
            for item in own
            if not item.is_spike
            and item.since < strike.last
            and item.until >= strike.first
        ]
        rises = [
            item
            for item in own
            if item.is_spike and item.since <= strike.last <= item.until
        ]
        return CatchUp(
            self.laboratory.preset,
            strike.injection,
            size,
            is_drop_reported=bool(drops),
            is_rise_reported=bool(rises),
            is_closed=bool(drops)
            and all(item.is_catch_up for item in [*drops, *rises]),
        )

    def _with_outages(self, injection: str, factor: int) -> Election:
        """Take away two hours of both series, and bring them in the next."""
        rng = self.laboratory.rng(10, factor)
        panel = self.clean.panels[SERIES[0]]
        counts = {
            name: panel.counts.copy() for name, panel in self.clean.panels.items()
        }
        strikes = []
        able = np.flatnonzero(self.clean.typical >= LEAST_TYPICAL)
        for row in some(rng, able, of=len(panel.counts)).tolist():
            starts = np.arange(panel.opens[row] + EARLIEST, panel.closes[row] - LATEST)
            clock = (panel.first_clock[row] + starts) % 24
            start = int(rng.choice(starts[(clock >= 9) & (clock < 18)]))
            end = start + OUTAGE_HOURS
            for series in counts.values():
                series[row, end] += factor * series[row, start:end].sum()
                series[row, start:end] = 0
            # The last hour is that of what comes after.
            strikes.append(Strike(injection, row, start, end))
        return self.clean.with_counts(counts, strikes)


def _episodes(election: Election) -> list[Episode]:
    """Return the episodes of S01 among the bulletins, pairs joined."""
    q = false_discovery(flow_tests(election.panels))[Test("S01", SERIES[0])]
    flow = Series(election.panels[SERIES[0]]).flow
    found = episodes(rule="S01", q=q, excesses=flow_excesses(flow))
    return catch_ups(found, flow.sums)
