"""S11, S12 and H13 as findings: shares that are not those of the peers."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from anomalies.rules.counts import Floats
from anomalies.rules.episodes import Episode, hour_excesses
from anomalies.rules.findings import Finding, Severity, Unverifiable
from anomalies.rules.shares import (
    Shares,
    abandonment,
    columns,
    rejection_rate,
    turnout,
)
from anomalies.rules.verdicts import Test
from anomalies.services.panels import FOREVER, Panels
from anomalies.services.statistical.family import CAST, ISSUED, Family, Judged

BOTH, CALLS = "both", "calls"
# Percentage points that nobody would look for in a result are for information.
NOTABLE_POINTS = 0.5


class ShareRules(Family):
    """Judges what is not cast and who votes, up to now."""

    rules = ("S11", "S12")

    @cached_property
    def abandonment(self) -> Shares:
        """Return S11, up to the last hour."""
        issued, cast = self._so_far(ISSUED), self._so_far(CAST)
        return abandonment(issued=issued, cast=cast, **_among(self.panels))

    @cached_property
    def turnout(self) -> Shares:
        """Return S12, up to the last hour."""
        return turnout(
            cast=self._so_far(CAST),
            voters=self.panels.panels[ISSUED].voters,
            elapsed=self._elapsed,
            **_among(self.panels),
        )

    def tests(self, rule: str) -> dict[Test, Floats]:
        """Return p of the last hour: what went on up to then is told once."""
        p = np.full(self.panels.shape, np.nan)
        p[:, -1] = self._of_a_state(rule).p
        return {Test(rule, BOTH): p}

    def unverifiable(self, rule: str) -> Iterator[Unverifiable]:
        """Return the constituencies with too few ballots or peers."""
        for row in np.flatnonzero(np.isnan(self._of_a_state(rule).p)):
            yield self.unjudged(rule, int(row), "not_comparable")

    def findings(self, rule: str, judged: Judged) -> Iterator[Finding]:
        """Return the constituencies whose shares are reported."""
        shares, test = self._of_a_state(rule), Test(rule, BOTH)
        last = self.panels.columns - 1
        is_reported = judged.q[test][:, last] <= judged.terms.level(rule)
        for row in np.flatnonzero(is_reported).tolist():
            yield self.finding(
                rule,
                row,
                last,
                last,
                **_figures(shares, row),
                **judged.at(test, row, last),
                evidence={
                    "method": "twice the smaller tail of a beta-binomial of these trials, "
                    "rate and correlation rho",
                    **_evidence(shares, row),
                    **judged.tick(last),
                },
            )

    def _of_a_state(self, rule: str) -> Shares:
        return self.abandonment if rule == "S11" else self.turnout

    def _so_far(self, name: str) -> Floats:
        """Return the ballots up to the last hour; NaN where an hour is not known."""
        panel = self.panels.panels[name]
        hours = np.arange(self.panels.columns)
        is_due = (hours >= panel.opens[:, None]) & (hours <= panel.closes[:, None])
        is_complete = (panel.is_known | ~is_due).all(axis=1)
        return np.where(is_complete, panel.counts.sum(axis=1), np.nan)

    @property
    def _elapsed(self) -> Floats:
        """Return the part of the time of voting that is over; 0 where nobody tells."""
        panel = self.panels.panels[ISSUED]
        length = panel.closes - panel.opens + 1
        over = self.panels.columns - panel.opens
        is_told = panel.closes < FOREVER
        part: Floats = np.where(is_told, over / np.maximum(length, 1), 0.0)
        return np.clip(part, 0.0, 1.0)


class RefusalRules(Family):
    """Judges what the contracts refuse, in each hour."""

    rules = ("H13",)

    @cached_property
    def rejections(self) -> Shares:
        """Return H13 of every hour."""
        calls = self.panels.calls
        return columns(
            rejection_rate(
                rejected=calls.rejected[:, hour],
                accepted=calls.accepted[:, hour],
                **_among(self.panels),
            )
            for hour in range(self.panels.columns)
        )

    def tests(self, rule: str) -> dict[Test, Floats]:
        """Return p per constituency and hour."""
        return {Test(rule, CALLS): self.rejections.p}

    def unverifiable(self, rule: str) -> Iterator[Unverifiable]:
        """Return the constituencies that were called, with too few calls or peers."""
        was_called = self.rejections.trials[:, -1] > 0
        for row in np.flatnonzero(was_called & np.isnan(self.rejections.p[:, -1])):
            yield self.unjudged(rule, int(row), "not_comparable")

    def findings(self, rule: str, judged: Judged) -> Iterator[Finding]:
        """Return the episodes in which too much is refused."""
        test = Test(rule, CALLS)
        for episode in judged.episodes(test, hour_excesses(self.rejections.excess)):
            # The tail is the upper one: where too few are refused nothing is reported.
            if episode.is_spike:
                yield self._finding(episode, test, judged)

    def _finding(self, episode: Episode, test: Test, judged: Judged) -> Finding:
        row, worst = episode.constituency, judged.worst(test, episode)
        return self.finding(
            test.rule,
            row,
            episode.since,
            episode.until,
            # Calls are no ballots.
            **_figures(self.rejections, (row, worst)) | {"excess": None},
            **judged.at(test, row, worst),
            evidence={
                "method": "upper tail of a beta-binomial of these trials, rate and "
                "correlation rho",
                "hour": self.hour(worst).isoformat(),
                **_evidence(self.rejections, (row, worst)),
                **judged.tick(worst),
            },
        )


Place = int | tuple[int, int]


def _among(panels: Panels) -> dict[str, Any]:
    panel = panels.panels[ISSUED]
    return {"groups": panel.groups, "electorates": panel.electorates}


def _figures(shares: Shares, place: Place) -> dict[str, Any]:
    points = float(shares.points[place])
    is_notable = abs(points) >= NOTABLE_POINTS
    return {
        "severity": Severity.WARNING if is_notable else Severity.INFO,
        "statistic": points,
        "excess": float(shares.excess[place]),
    }


def _evidence(shares: Shares, place: Place) -> dict[str, float]:
    names = ("successes", "trials", "rate", "rho", "lower", "upper", "points")
    return {name: float(getattr(shares, name)[place]) for name in names}
