"""One evaluation of an election: read once, computed outside any transaction, written in one."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import structlog
from django.db import connection

from anomalies import queries
from anomalies.models import Evaluation
from anomalies.rules.baseline import Assumptions
from anomalies.rules.counts import Floats
from anomalies.rules.findings import Finding, Severity, Unverifiable
from anomalies.rules.jumps import BIN_MINUTES, BINS
from anomalies.rules.panels import Ints
from anomalies.rules.within import Moments
from anomalies.services.alerts import AlertService, Reconciled
from anomalies.services.announcing import announce
from anomalies.services.apart import Apart
from anomalies.services.evidence import software
from anomalies.services.logical import LogicalRules
from anomalies.services.moments import HourMomentsService, moments
from anomalies.services.panels import ONE_HOUR, Panels, panels
from anomalies.services.statistical import (
    STATISTICAL,
    WITHIN,
    WITHOUT_FIGURES,
    Observed,
    StatisticalRules,
    Terms,
)
from anomalies.services.webhooks import Change, WebhookService
from anomalies.sql import statements
from elections.locks import Lock, lock_constituencies, try_lock_until_commit
from elections.models import Election, ElectionStatus
from metrics import update_queries
from metrics.realtime_queries import election_series
from metrics.services.freshness import forget_constituencies
from metrics.services.update_handlers import tell
from metrics.services.updates import NotNow

logger = structlog.get_logger(__name__)

TAKEN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Score:
    """One constituency's score; None where there was no test."""

    constituency: int
    score: float | None


@dataclass(slots=True)
class Assessment:
    """What the rules say of an election at one moment; nothing of it is written yet."""

    election_id: int
    # When it was begun: what was committed later is not in it.
    assessed_at: datetime
    # End of the last hour that was looked at; None before the first.
    until: datetime | None
    findings: list[Finding] = field(default_factory=list)
    unverifiable: list[Unverifiable] = field(default_factory=list)
    # Constituency, hour, and number of rules that report it.
    counts: list[tuple[int, datetime, int]] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    tests: int = 0
    # Whether the statistical rules ran: else their figures stay as they are.
    has_flow: bool = False
    # Whether some of them failed: what they said before is not taken back then.
    is_partial: bool = False


class AnomalyService:
    """Evaluates elections: what should not be there, and how sure that is."""

    def evaluate(self, election_id: int, *, now: datetime) -> Reconciled:
        """Assess and write at once, in the transaction that is open.

        Raises:
            NotInTransaction: no transaction is open.
        """
        return self.write(self.assess(election_id, now=now), now=now)

    def assess(self, election_id: int, *, now: datetime) -> Assessment:
        """Apply all rules to the hours that are over.

        Writes nothing but what it counted inside hours, which no rule has a say in.
        """
        found = Assessment(election_id, now, closed_until(election_id, now=now))
        settings = queries.rule_settings(election_id)
        terms = Terms(
            off=frozenset(rule for rule, item in settings.items() if not item.is_on),
            q={rule: item.q for rule, item in settings.items() if item.q is not None},
        )
        apart = Apart(election_id)
        apart.run(lambda: _assess_flow(found, terms, apart), *STATISTICAL)
        found.unverifiable += apart.unverifiable
        _assess_logic(found, terms, now)
        # Of a rule that is off nothing is left open.
        found.unverifiable = [
            item for item in found.unverifiable if item.rule not in terms.off
        ]
        found.is_partial = any(
            item.reason == "rule_failed" and item.rule not in WITHOUT_FIGURES
            for item in found.unverifiable
        )
        return found

    def write(self, found: Assessment, *, now: datetime) -> Reconciled:
        """Write alerts, numbers and scores, and tell those who listen.

        Raises:
            NotInTransaction: no transaction is open.
            NotNow: another worker is at it, or has written a later assessment meanwhile.
        """
        if not try_lock_until_commit(Lock.ALERTS, found.election_id):
            raise NotNow("Another worker writes these alerts.", seconds=TAKEN_SECONDS)
        if queries.is_evaluated_after(found.election_id, found.assessed_at, now=now):
            # Judged again rather than dropped: a clock may have been set back.
            raise NotNow("A later assessment is written.", seconds=TAKEN_SECONDS)
        done = AlertService().reconcile(
            found.election_id,
            found.findings,
            silent={(item.rule, item.constituency) for item in found.unverifiable},
            now=now,
        )
        if found.has_flow or found.is_partial:
            _write_figures(found)
        Evaluation.objects.update_or_create(
            election_id=found.election_id,
            defaults={
                "evaluated_at": found.assessed_at,
                "until": found.until,
                "tests": found.tests,
                "unverifiable": _by_reason(found.unverifiable),
                "parameters": asdict(Assumptions()) | {"software": software()},
            },
        )
        announce(done.alerts)
        _tell_webhooks(done, now)
        return done


def closed_until(election_id: int, *, now: datetime) -> datetime | None:
    """Return the end of the last hour that is over in the ledger of an election.

    By the newest ledger time: a feed that lags leaves hours open, but not after the vote.
    None before the first.
    """
    newest = queries.newest_ledger_time(election_id, now=now)
    if newest is None:
        return None
    moment = newest.astimezone(UTC)
    hour = moment.replace(minute=0, second=0, microsecond=0)
    election = Election.objects.filter(pk=election_id).first()
    is_over = election and election.status_at(now) == ElectionStatus.COMPLETED
    return hour + ONE_HOUR if is_over else hour


def _assess_flow(found: Assessment, terms: Terms, apart: Apart) -> None:
    compared = _panels(found)
    if compared is None:
        found.unverifiable += _all_of(STATISTICAL, "no_hours")
        return
    observed = Observed(
        found.election_id,
        compared,
        moments=_inside_hours(compared, found, terms, apart),
        five_minutes=_jump_counts(compared, found, terms, apart),
    )
    rules = StatisticalRules(observed, terms=terms, apart=apart)
    # All or nothing: what failed half-way is not half known.
    findings, unverifiable = rules.findings, rules.unverifiable
    counts = list(_counts(compared, rules.flagged_rules()))
    scores = list(_scores(compared, rules.scores))
    found.findings += findings
    found.unverifiable += unverifiable
    found.counts += counts
    found.scores += scores
    found.tests = rules.test_count
    found.has_flow = True


def _panels(found: Assessment) -> Panels | None:
    """Return the hours that are over; None where there are none."""
    if found.until is None:
        return None
    return panels(queries.flow_rows(found.election_id), until=found.until)


def _inside_hours(
    compared: Panels, found: Assessment, terms: Terms, apart: Apart
) -> dict[str, Moments] | None:
    """Return what lies inside the hours; None where nobody asks, or it failed."""
    if terms.off.issuperset(WITHIN) or found.until is None:
        return None
    until = found.until

    def counted() -> dict[str, Moments]:
        HourMomentsService().refresh(found.election_id, until=until)
        return moments(found.election_id, compared)

    return apart.run(counted, *WITHIN)


def _jump_counts(
    compared: Panels, found: Assessment, terms: Terms, apart: Apart
) -> dict[str, Floats] | None:
    """Return what S17 looks at; None where nobody asks, or it failed."""
    if "S17" in terms.off:
        return None
    return apart.run(lambda: _five_minutes(compared, found), "S17")


def _five_minutes(compared: Panels, found: Assessment) -> dict[str, Floats]:
    """Return the ballots of the whole election per five minutes of the panels' hours."""
    election = Election.objects.get(pk=found.election_id)
    end = compared.hour(compared.columns)
    flow = election_series(election, bucket="5m", start=compared.first_hour, end=end)
    counts = {name: np.zeros(compared.columns * BINS) for name in compared.panels}
    for point in flow.points:
        place = (point.start - compared.first_hour) // timedelta(minutes=BIN_MINUTES)
        for name, values in counts.items():
            values[place] = getattr(point, name)
    return counts


def _all_of(rules: Iterable[str], reason: str) -> list[Unverifiable]:
    return [Unverifiable(rule=rule, constituency=None, reason=reason) for rule in rules]


def _assess_logic(found: Assessment, terms: Terms, now: datetime) -> None:
    """Add what is either true or false; its rules keep apart by themselves."""
    election = Election.objects.get(pk=found.election_id)
    verdict = LogicalRules(election).find(now=now)
    findings = [item for item in verdict.findings if item.rule not in terms.off]
    found.findings += findings
    found.unverifiable += verdict.unverifiable
    _count_violations(found, findings)
    # After the rates of false alarms were settled: as p = 0, fifty violations would lift
    # clean constituencies, too.
    broken = {
        item.constituency
        for item in findings
        if item.constituency is not None and item.severity is Severity.CRITICAL
    } | _still_broken(found)
    found.scores = [item for item in found.scores if item.constituency not in broken]
    found.scores += [Score(pk, 1.0) for pk in sorted(broken)]


def _still_broken(found: Assessment) -> set[int]:
    """Return where a critical violation is open that nobody could look at again."""
    silent = {(item.rule, item.constituency) for item in found.unverifiable}
    return {
        place
        for rule, place in queries.open_violations(found.election_id)
        if {(rule, place), (rule, None)} & silent
    }


def _count_violations(found: Assessment, findings: Sequence[Finding]) -> None:
    """Count a violation in the hour in which it began, beside the other rules."""
    counts = Counter({(pk, hour): number for pk, hour, number in found.counts})
    rules = {
        (item.constituency, item.started_hour, item.rule)
        for item in findings
        if item.constituency is not None
    }
    counts.update((pk, hour) for pk, hour, _ in rules)
    found.counts = [(pk, hour, number) for (pk, hour), number in counts.items()]


def _counts(compared: Panels, flagged: Ints) -> Iterator[tuple[int, datetime, int]]:
    for row, hour in np.argwhere(flagged > 0):
        yield int(compared.ids[row]), compared.hour(int(hour)), int(flagged[row, hour])


def _scores(compared: Panels, scores: Floats) -> Iterator[Score]:
    for constituency, score in zip(compared.ids.tolist(), scores.tolist(), strict=True):
        yield Score(constituency, None if np.isnan(score) else score)


def _write_figures(found: Assessment) -> None:
    constituencies, hours, counts = (
        [list(column) for column in zip(*found.counts, strict=True)]
        if found.counts
        else ([], [], [])
    )
    values: dict[str, Any] = {
        "election_id": found.election_id,
        "constituencies": constituencies,
        "hours": hours,
        "counts": counts,
        "is_partial": found.is_partial,
        "scored": [item.constituency for item in found.scores],
        "scores": [item.score for item in found.scores],
    }
    with connection.cursor() as cursor:
        cursor.execute(statements["changed_anomalies"], values)
        values["ids"] = lock_constituencies(row[0] for row in cursor.fetchall())
        if not values["ids"]:
            return
        cursor.execute(statements["write_hour_anomalies"], values)
        cursor.execute(statements["write_scores"], values)
    forget_constituencies(values["ids"])
    tell(update_queries.live_totals(values["ids"]))


def _by_reason(items: Sequence[Unverifiable]) -> dict[str, dict[str, int]]:
    """Return rule, reason, and the number of constituencies; 0 stands for all of them."""
    found: dict[str, dict[str, int]] = {}
    for item in items:
        reasons = found.setdefault(item.rule, {})
        reasons[item.reason] = reasons.get(item.reason, 0) + (
            item.constituency is not None
        )
    return found


def _tell_webhooks(done: Reconciled, now: datetime) -> None:
    """Ask for deliveries, in the transaction of the alerts: both or neither."""
    service = WebhookService()
    service.tell(done.opened, Change.OPENED, now=now)
    service.tell(done.changed, Change.CHANGED, now=now)
    service.tell(done.cleared, Change.CLEARED, now=now)
