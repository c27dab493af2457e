"""S03, S04, S05, S16 and S17 as findings: what strikes many constituencies at once.

None of it is ever laid to a constituency.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from anomalies.rules.casting import cast_outages
from anomalies.rules.findings import Finding
from anomalies.rules.jumps import BIN_MINUTES, BINS, Jump, jumps
from anomalies.rules.system import dispersion_shock, regional_sync, total_flow
from anomalies.services.evidence import software
from anomalies.services.statistical.family import CAST, ISSUED, Family, Judged

ARRIVE_AGAIN = (
    "Votes arrive again; {returned:,.0f} of {missing:,.0f} missing ones came in the hour "
    "after."
)


class SystemRules(Family):
    """Judges the election as a whole."""

    rules = ("S03", "S04", "S05", "S16", "S17")

    def findings(self, rule: str, judged: Judged) -> Iterable[Finding]:
        """Return the events, one per hour or outage."""
        events = {
            "S03": self._totals,
            "S04": self._regions,
            "S05": self._shocks,
            "S16": self._outages,
            "S17": self._jumps,
        }
        return events[rule]()

    def _totals(self) -> Iterator[Finding]:
        total = total_flow(self.panels.panels[CAST])
        for hour in np.flatnonzero(total.is_flagged).tolist():
            counted, expected = float(total.counted[hour]), float(total.expected[hour])
            yield self._event(
                "S03",
                hour,
                statistic=float(total.z[hour]),
                excess=counted - expected,
                evidence={"series": CAST, "counted": counted, "expected": expected},
            )

    def _regions(self) -> Iterator[Finding]:
        """Yield one finding per hour, with all regions that move in it."""
        series = self.series[CAST]
        sync = regional_sync(series.flow, series.panel, regions=self.panels.regions)
        for hour in np.flatnonzero(sync.is_flagged.any(axis=0)).tolist():
            places = np.flatnonzero(sync.is_flagged[:, hour])
            strongest = places[np.abs(sync.z[places, hour]).argmax()]
            regions = [
                {
                    "region": int(sync.regions[place]),
                    "districts": int(sync.members[place, hour]),
                    "z": float(sync.z[place, hour]),
                    "p": float(sync.p[place, hour]),
                }
                for place in places
            ]
            yield self._event(
                "S04",
                hour,
                statistic=float(sync.z[strongest, hour]),
                evidence={"series": CAST, "regions": regions},
            )

    def _shocks(self) -> Iterator[Finding]:
        series = self.series[CAST]
        shock = dispersion_shock(series.flow, series.panel)
        for hour in np.flatnonzero(shock.is_flagged).tolist():
            yield self._event(
                "S05",
                hour,
                statistic=float(shock.z[hour]),
                evidence={
                    "series": CAST,
                    "compared": int(shock.compared[hour]),
                    "above_99": int(shock.above[hour]),
                    "above_99_p": float(shock.above_p[hour]),
                },
            )

    def _outages(self) -> Iterator[Finding]:
        issued, cast = (
            self.panels.panels[name].known_counts.sum(axis=0) for name in (ISSUED, CAST)
        )
        for outage in cast_outages(issued, cast):
            told = ARRIVE_AGAIN.format(returned=outage.returned, missing=outage.missing)
            yield self._event(
                "S16",
                outage.start,
                outage.end,
                statistic=outage.cast / outage.issued,
                excess=-outage.missing,
                closed=told if outage.is_over else "",
                evidence=asdict(outage),
            )

    def _jumps(self) -> Iterator[Finding]:
        counts = self.observed.five_minutes
        if counts is None:
            return
        for event in jumps(counts, self.panels.panels[ISSUED]):
            yield self._jump(event)

    def _jump(self, event: Sequence[Jump]) -> Finding:
        strongest = max(event, key=lambda jump: jump.z)
        return self._event(
            "S17",
            event[0].place // BINS,
            event[-1].place // BINS,
            statistic=strongest.z,
            excess=sum(
                jump.counted - jump.expected
                for jump in event
                if jump.series == strongest.series
            ),
            evidence={
                "method": "logarithm of counted by expected, the median of the three "
                "five minutes before; z: robust deviations among those of the last day",
                "jumps": [
                    {
                        "series": jump.series,
                        "from": self._moment(jump).isoformat(),
                        "counted": jump.counted,
                        "expected": jump.expected,
                        "z": jump.z,
                    }
                    for jump in event
                ],
            },
        )

    def _moment(self, jump: Jump) -> datetime:
        return self.panels.first_hour + jump.place * timedelta(minutes=BIN_MINUTES)

    def _event(
        self,
        rule: str,
        first: int,
        last: int | None = None,
        *,
        evidence: Mapping[str, Any],
        **figures: Any,
    ) -> Finding:
        return self.finding(
            rule,
            None,
            first,
            first if last is None else last,
            evidence={**evidence, "software": software()},
            **figures,
        )
