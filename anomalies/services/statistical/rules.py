"""The statistical rules, held against the flow of one election."""

from functools import cached_property, partial

import numpy as np

from anomalies.rules.counts import Floats
from anomalies.rules.findings import Finding, Unverifiable
from anomalies.rules.panels import Ints
from anomalies.rules.verdicts import (
    Test,
    anomaly_scores,
    constituency_p,
    false_discovery,
)
from anomalies.services.apart import Apart
from anomalies.services.statistical.family import Family, Judged, Observed, Terms
from anomalies.services.statistical.flow import FlowRules
from anomalies.services.statistical.shares import RefusalRules, ShareRules
from anomalies.services.statistical.system import SystemRules
from anomalies.services.statistical.within import WithinRules

FAMILIES: tuple[type[Family], ...] = (
    FlowRules,
    SystemRules,
    WithinRules,
    ShareRules,
    RefusalRules,
)
STATISTICAL = tuple(rule for family in FAMILIES for rule in family.rules)
# They tell events; neither score nor number of anomalies knows them.
WITHOUT_FIGURES = frozenset({"S03", "S04", "S05", "S07", "S09", "S16", "S17"})
# Calls that were refused change no figure, and join no score.
UNSCORED = frozenset({"H13"})


class StatisticalRules:
    """Judges all hours of an election at once: no hour knows of a later one.

    Each rule stands for itself: one that fails is left out, and is named by `apart`.
    """

    def __init__(
        self,
        observed: Observed,
        *,
        terms: Terms | None = None,
        apart: Apart | None = None,
    ) -> None:
        self.panels = observed.panels
        self.terms = terms or Terms()
        self.apart = apart or Apart(observed.election_id)
        families = [family(observed) for family in FAMILIES]
        self._families = {
            rule: family
            for family in families
            if not family.is_blind
            for rule in family.rules
            if rule not in self.terms.off
        }

    @cached_property
    def tests(self) -> dict[Test, Floats]:
        """Return the tests of all rules that are on."""
        found: dict[Test, Floats] = {}
        for rule, family in self._families.items():
            found |= self.apart.run(partial(family.tests, rule), rule) or {}
        return found

    @cached_property
    def q(self) -> dict[Test, Floats]:
        """Return q of each test, among all of its hour."""
        return false_discovery(self.tests)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Return what the rules report, of constituencies and of the whole election."""
        judged = Judged(self.tests, self.q, self.terms)

        def of(rule: str, family: Family) -> list[Finding]:
            return list(family.findings(rule, judged))

        return tuple(
            finding
            for rule, family in self._families.items()
            for finding in self.apart.run(partial(of, rule, family), rule) or ()
        )

    @cached_property
    def unverifiable(self) -> tuple[Unverifiable, ...]:
        """Return where rules could say nothing in the last hour, but for what failed."""

        def of(rule: str, family: Family) -> list[Unverifiable]:
            return list(family.unverifiable(rule))

        return tuple(
            item
            for rule, family in self._families.items()
            for item in self.apart.run(partial(of, rule, family), rule) or ()
        )

    @property
    def test_count(self) -> int:
        """Return the number of tests of the last hour."""
        return sum(int((~np.isnan(p[:, -1])).sum()) for p in self.tests.values())

    @property
    def scores(self) -> Floats:
        """Return the score of each constituency; NaN where there was no test."""
        scored = {
            test: p for test, p in self.tests.items() if test.rule not in UNSCORED
        }
        if not scored:
            return np.full(len(self.panels.ids), np.nan)
        return anomaly_scores(constituency_p(scored))

    def flagged_rules(self) -> Ints:
        """Return how many rules report each constituency and hour."""
        counts = np.zeros(self.panels.shape, dtype=np.int64)
        for rule in {test.rule for test in self.q}:
            if self.apart.has_failed(rule):
                continue
            of_rule = [q for test, q in self.q.items() if test.rule == rule]
            counts += (np.stack(of_rule) <= self.terms.level(rule)).any(axis=0)
        return counts
