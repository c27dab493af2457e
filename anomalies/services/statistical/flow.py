"""S01, S02 and S15 as findings: constituencies beside their peers and their own past."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from anomalies.rules.counts import Floats
from anomalies.rules.episodes import (
    Episode,
    catch_ups,
    flow_excesses,
    gap_excesses,
    night_excesses,
    severity,
)
from anomalies.rules.findings import Finding, Unverifiable
from anomalies.rules.verdicts import Series, Test
from anomalies.services.evidence import (
    flow_evidence,
    gap_evidence,
    night_evidence,
    number,
)
from anomalies.services.panels import Panels
from anomalies.services.statistical.family import ISSUED, Family, Judged

CAUGHT_UP = (
    "Caught up: with what came afterwards, nothing is missing and nothing too many."
)
Evidence = Callable[[Panels, Series, str, int, int], dict[str, Any]]
EVIDENCE: dict[str, Evidence] = {
    "S01": flow_evidence,
    "S02": night_evidence,
    "S15": gap_evidence,
}


class FlowRules(Family):
    """Judges issues and votes, each for itself."""

    rules = ("S01", "S02", "S15")

    def tests(self, rule: str) -> dict[Test, Floats]:
        """Return p per constituency and hour, of both series."""
        return {
            Test(rule, name): series.p(rule) for name, series in self.series.items()
        }

    def unverifiable(self, rule: str) -> Iterator[Unverifiable]:
        """Return the constituencies without peers, in the last hour."""
        if rule != "S01":
            return
        series = self.series[ISSUED]
        is_open, p = series.panel.is_open[:, -1], series.flow.p[:, -1]
        for row in np.flatnonzero(is_open & np.isnan(p)):
            yield self.unjudged(rule, int(row), "no_peers")

    def findings(self, rule: str, judged: Judged) -> Iterator[Finding]:
        """Return the episodes of both series."""
        for name, series in self.series.items():
            for episode in _episodes(rule, name, series, judged):
                yield self._finding(episode, name, series, judged)

    def _finding(
        self, episode: Episode, name: str, series: Series, judged: Judged
    ) -> Finding:
        row, test = episode.constituency, Test(episode.rule, name)
        worst = judged.worst(test, episode)
        shown = EVIDENCE[episode.rule](self.panels, series, name, row, worst)
        return self.finding(
            episode.rule,
            row,
            episode.since,
            episode.until,
            severity=severity(episode, voters=float(series.panel.voters[row])),
            statistic=_strongest(series, row, worst) if episode.rule == "S01" else None,
            **judged.at(test, row, worst),
            excess=episode.excess,
            closed=CAUGHT_UP if episode.is_catch_up else "",
            evidence=shown | _catch_up(episode) | judged.tick(worst),
        )


def _episodes(
    rule: str, name: str, series: Series, judged: Judged
) -> Iterable[Episode]:
    test = Test(rule, name)
    if rule == "S02":
        nights = night_excesses(series.flow, series.panel.first_clock)
        return judged.episodes(test, nights)
    if rule == "S15":
        return judged.episodes(test, gap_excesses(series.gaps))
    flows = judged.episodes(test, flow_excesses(series.flow))
    return catch_ups(flows, series.flow.sums)


def _catch_up(episode: Episode) -> dict[str, Any]:
    """Return how an outage and what followed add up, where there was one."""
    if episode.joint is None:
        return {}
    return {
        "catch_up": {
            "counted": episode.joint.counted,
            "expected": episode.joint.expected,
            "p": episode.joint.p,
            "is_catch_up": episode.is_catch_up,
        }
    }


def _strongest(series: Series, row: int, hour: int) -> float | None:
    """Return the score of the window that is the most surprising."""
    scores = series.flow.scores[:, row, hour]
    return number(scores[np.nanargmax(np.abs(scores))])
