"""H03 and H04: transactions outside the window, and rewritten ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from anomalies.rules.findings import Finding, Severity, Unverifiable
from anomalies.rules.logical.rule import LogicalRule, Place, Some, Violation, texts

CLOCK_TOLERANCE = timedelta(seconds=60)
# Real last votes came 10 to 15 minutes after issuing had stopped.
LATE_VOTES = timedelta(minutes=20)


@dataclass(frozen=True, slots=True)
class Span:
    """A time with its bounds in it; None is a bound that nobody told."""

    opens_at: datetime | None
    closes_at: datetime | None

    def seconds_outside(self, moment: datetime) -> float:
        """Return how far `moment` lies outside, 0 where it does not."""
        early = self.opens_at - moment if self.opens_at else timedelta()
        late = moment - self.closes_at if self.closes_at else timedelta()
        return max(early, late, timedelta()).total_seconds()

    def as_evidence(self) -> list[str | None]:
        """Return both bounds as JSON has them."""
        bounds = (self.opens_at, self.closes_at)
        return [bound.isoformat() if bound else None for bound in bounds]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When a contract may issue and take votes, as far as the ledger tells."""

    issue_opens_at: datetime | None = None
    issue_closes_at: datetime | None = None
    voting_closes_at: datetime | None = None

    @property
    def is_known(self) -> bool:
        """Tell whether there is anything to hold a time against."""
        bounds = (self.issue_opens_at, self.issue_closes_at, self.voting_closes_at)
        return any(bound is not None for bound in bounds)

    @property
    def issuing(self) -> Span:
        """Return when bulletins may be issued: never after the voting has closed."""
        return Span(self.issue_opens_at, self.issue_closes_at or self.voting_closes_at)

    @property
    def voting(self) -> Span:
        """Return when votes may be cast; nobody votes before the first issue."""
        closes_at = self.voting_closes_at
        if closes_at is None and self.issue_closes_at is not None:
            closes_at = self.issue_closes_at + LATE_VOTES
        return Span(self.issue_opens_at, closes_at)


@dataclass(frozen=True, slots=True)
class Acts:
    """Accepted issues or votes of one hour that lie outside their span."""

    count: int = 0
    # Ballots in them.
    quantity: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    tx_ids: Sequence[str] = ()

    def worst(self, span: Span) -> float:
        """Return the largest number of seconds outside."""
        moments = [moment for moment in (self.first_at, self.last_at) if moment]
        return max(map(span.seconds_outside, moments), default=0.0)


@dataclass(frozen=True, slots=True)
class H03OutsideWindow(LogicalRule):
    """Bulletins were issued, or votes accepted, outside the time of the vote.

    Within `tolerance` it may be a clock that is wrong: info, else critical.
    """

    code = "H03"
    source = "VotingValidators, StopIssueBallots, FinishVoting of cikrf/deg2021."

    tolerance: timedelta = CLOCK_TOLERANCE

    def evaluate(
        self,
        place: Place,
        hour: datetime,
        window: Window,
        *,
        issues: Acts = Acts(),
        votes: Acts = Acts(),
    ) -> Finding | Unverifiable | None:
        """Judge one hour; its statistic is the worst offset in seconds."""
        if not window.is_known:
            return self.unverifiable(place, "window_unknown")
        worst = max(issues.worst(window.issuing), votes.worst(window.voting))
        if worst == 0:
            return None
        is_clock = worst <= self.tolerance.total_seconds()
        violation = Violation(
            severity=Severity.INFO if is_clock else Severity.CRITICAL,
            started_hour=hour,
            ended_hour=hour,
            statistic=worst,
            # A bulletin issued and cast outside is one ballot.
            excess=max(issues.quantity, votes.quantity),
            evidence={
                "worst_offset_seconds": worst,
                "tolerance_seconds": self.tolerance.total_seconds(),
                "issuing": _outside(window.issuing, issues),
                "voting": _outside(window.voting, votes),
            },
        )
        return self.finding(place, violation)


def _outside(span: Span, acts: Acts) -> dict[str, Any]:
    moments = [moment for moment in (acts.first_at, acts.last_at) if moment]
    return {
        "window": span.as_evidence(),
        "first_and_last": texts(moments),
        **Some(acts.tx_ids, acts.count).as_evidence("transactions"),
    }


# Both versions of a transaction and the files they stand in, as JSON.
Conflict = Mapping[str, Any]


class H04RewrittenTransaction(LogicalRule):
    """A transaction appears again with the same id and other content.

    The content loaded first counts, so no figure moves. The same line again, or a line,
    its rollback and the line once more, is no finding. What a later version of an hour
    file changes is told by H10.
    """

    code = "H04"
    severity = Severity.CRITICAL
    source = "DOMAIN 3: content of a transaction."

    def evaluate(
        self, place: Place, hour: datetime, conflicts: Some[Conflict]
    ) -> Finding | None:
        """Judge the transactions of one hour, by the time that counts."""
        if not conflicts.count:
            return None
        violation = Violation(
            severity=self.severity,
            started_hour=hour,
            ended_hour=hour,
            statistic=conflicts.count,
            evidence=conflicts.as_evidence("transactions"),
        )
        return self.finding(place, violation)
