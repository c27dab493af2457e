"""From the tests of all rules to what is reported, and to one score per constituency."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from anomalies.rules.ballots import Gaps, gaps
from anomalies.rules.combining import benjamini_hochberg, cauchy_combination
from anomalies.rules.counts import Floats
from anomalies.rules.flow import Flow, flow
from anomalies.rules.panels import Panel


class Test(NamedTuple):
    """A rule and the series it looked at."""

    rule: str
    series: str


# p per constituency and hour; NaN where there was no test.
Tests = Mapping[Test, Floats]


@dataclass(frozen=True)
class Series:
    """What the rules of flow say of one series, issues or votes, each when it is asked."""

    panel: Panel

    @cached_property
    def flow(self) -> Flow:
        """Return what the flow should be, for S01 and S02."""
        return flow(self.panel)

    @cached_property
    def gaps(self) -> Gaps:
        """Return how ballots of one district come apart, for S15."""
        return gaps(self.panel, self.flow)

    def p(self, rule: str) -> Floats:
        """Return p of S01, S02 or S15, per constituency and hour."""
        if rule == "S15":
            return self.gaps.p
        return self.flow.p if rule == "S01" else self.flow.night_p

    def tests(self, name: str) -> dict[Test, Floats]:
        """Return the tests of the series, under its name."""
        return {Test(rule, name): self.p(rule) for rule in ("S01", "S02", "S15")}


def flow_tests(panels: Mapping[str, Panel]) -> dict[Test, Floats]:
    """Return the tests of S01, S02 and S15 of several series."""
    found: dict[Test, Floats] = {}
    for name, panel in panels.items():
        found |= Series(panel).tests(name)
    return found


def false_discovery(tests: Tests) -> dict[Test, Floats]:
    """Return q of each test, among all constituencies and rules of its hour.

    An hour is one tick: reporting all with q ≤ .05 makes at most one tick in twenty
    report anything in an election without anomalies.
    """
    if not tests:
        return {}
    stacked = np.stack(list(tests.values()))
    q = np.stack(
        [benjamini_hochberg(stacked[:, :, hour]) for hour in range(stacked.shape[2])],
        axis=2,
    )
    return dict(zip(tests, q, strict=True))


def constituency_p(tests: Tests) -> Floats:
    """Return one p-value per constituency, over all its hours, then over its rules.

    A constituency without any test has NaN. Source: ANOMALIES 3.1, after Liu and Xie.
    """
    return cauchy_combination(
        np.stack([cauchy_combination(p, axis=1) for p in tests.values()])
    )


def anomaly_scores(p: Floats) -> Floats:
    """Return 1 − q per constituency: .95 means that 1 in 20 such scores is chance.

    NaN where there was no test.
    """
    return 1 - benjamini_hochberg(p)
