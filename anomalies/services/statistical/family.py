"""What the families of statistical rules have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from anomalies.rules.counts import Floats
from anomalies.rules.episodes import WARNING_Q, Episode, Excesses, episodes
from anomalies.rules.findings import Finding, Severity, Unverifiable
from anomalies.rules.verdicts import Series, Test
from anomalies.rules.within import Moments
from anomalies.services.evidence import software
from anomalies.services.panels import Panels

ISSUED, CAST = "bulletins_issued", "votes_cast"


@dataclass(frozen=True)
class Observed:
    """What the rules look at; None for what nobody has counted."""

    election_id: int
    panels: Panels
    # What lies inside the hours, for S06 to S09.
    moments: Mapping[str, Moments] | None = None
    # The counts of five minutes of the whole election, for S17.
    five_minutes: Mapping[str, Floats] | None = None

    @cached_property
    def series(self) -> dict[str, Series]:
        """Return issues and votes by name; what one family computes, others find there."""
        return {name: Series(panel) for name, panel in self.panels.panels.items()}


@dataclass(frozen=True, slots=True)
class Terms:
    """Which rules are off in an election, and the share of chance of the others."""

    off: frozenset[str] = frozenset()
    q: Mapping[str, float] = field(default_factory=dict)

    def level(self, rule: str) -> float:
        """Return the largest q that the rule reports."""
        return self.q.get(rule, WARNING_Q)


@dataclass(frozen=True, slots=True)
class Judged:
    """p and q of all tests of an election, and what is reported of them."""

    p: Mapping[Test, Floats]
    q: Mapping[Test, Floats]
    terms: Terms

    def episodes(self, test: Test, excesses: Excesses) -> list[Episode]:
        """Return the hours that a test reports, merged."""
        level = self.terms.level(test.rule)
        return episodes(rule=test.rule, q=self.q[test], excesses=excesses, level=level)

    def worst(self, test: Test, episode: Episode) -> int:
        """Return the hour of an episode with the least q."""
        hours = np.arange(episode.start, episode.end + 1)
        return int(hours[np.nanargmin(self.q[test][episode.constituency, hours])])

    def at(self, test: Test, row: int, hour: int) -> dict[str, Any]:
        """Return p and q of one constituency and hour."""
        return {
            "p": float(self.p[test][row, hour]),
            "q": float(self.q[test][row, hour]),
        }

    def tick(self, hour: int) -> dict[str, Any]:
        """Return what q was computed from, and with what."""
        tests = sum(int((~np.isnan(p[:, hour])).sum()) for p in self.p.values())
        return {"tests": tests, "software": software()}


class Family(ABC):
    """Rules that share what they compute; each is asked by itself, and may fail so."""

    rules: ClassVar[tuple[str, ...]]

    def __init__(self, observed: Observed) -> None:
        self.observed = observed
        self.panels, self.series = observed.panels, observed.series

    @property
    def is_blind(self) -> bool:
        """Tell whether nobody has counted what the rules look at: they say nothing then."""
        return False

    def tests(self, rule: str) -> dict[Test, Floats]:
        """Return p per constituency and hour; nothing of rules that go without."""
        return {}

    def unverifiable(self, rule: str) -> Iterable[Unverifiable]:
        """Return where the rule could say nothing, in the last hour."""
        return ()

    @abstractmethod
    def findings(self, rule: str, judged: Judged) -> Iterable[Finding]:
        """Return what the rule reports."""

    def finding(
        self,
        rule: str,
        row: int | None,
        first: int,
        last: int,
        *,
        severity: Severity = Severity.WARNING,
        **figures: Any,
    ) -> Finding:
        """Return a finding of a row of the panels, None for all, and of these columns."""
        return Finding(
            rule=rule,
            election=self.observed.election_id,
            constituency=None if row is None else int(self.panels.ids[row]),
            started_hour=self.hour(first),
            ended_hour=self.hour(last),
            severity=severity,
            **figures,
        )

    def hour(self, column: int) -> datetime:
        """Return the hour of a column, a UTC instant."""
        return self.panels.hour(column)

    def unjudged(self, rule: str, row: int, reason: str) -> Unverifiable:
        """Return that the rule could say nothing of a row of the panels."""
        constituency = int(self.panels.ids[row])
        return Unverifiable(rule=rule, constituency=constituency, reason=reason)
