"""Alerts: what the rules found is kept, and what staff decide about it."""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import pghistory
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F

from anomalies import queries
from anomalies.models import DECIDED, Alert, AlertNote, AlertStatus
from anomalies.queries import Decision
from anomalies.rules.episodes import LONGEST_GAP
from anomalies.rules.findings import Finding, Severity
from anomalies.services.announcing import announce
from anomalies.services.evidence import storable
from anomalies.services.webhooks import Change, WebhookService
from anomalies.wording import extent
from elections.locks import Lock, lock_until_commit

# Hours between two findings of one rule and place that are still one alert.
EPISODE_GAP = timedelta(hours=LONGEST_GAP)
# Rules that tell of a state, not of hours: their alert goes on while the state does.
OF_A_STATE = {"H01", "H02", "S11", "S12"}
# Rules that tell events: two that do not share an hour are two alerts.
OF_EVENTS = {"S17"}
GRAVITY = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
# Further findings of an alert whose evidence is kept: each can name hundreds of ids.
PARTS_SHOWN = 24
# So many times the ballots that staff decided on are another matter.
GRAVER_TIMES = 2
# Rules that tell no ballots, but a statistic that grows with what they found.
COUNTED = {"H04", "H09", "H10", "H13", "S04", "S05"}
# Rules of single acts: their ballots add up, and so the statistic but of H03, seconds.
OF_ACTS: dict[str, Callable[[Iterable[float]], float]] = {
    "H03": max,
    "H05": sum,
    "H06": sum,
    "H07": sum,
}
FIGURES = (
    *("severity", "started_hour", "ended_hour"),
    *("statistic", "p", "q", "excess", "evidence"),
)
# From a status to those it can be changed to by people.
TRANSITIONS = {
    AlertStatus.ACTIVE: {
        AlertStatus.INVESTIGATING,
        AlertStatus.RESOLVED,
        AlertStatus.DISMISSED,
    },
    AlertStatus.INVESTIGATING: {
        AlertStatus.ACTIVE,
        AlertStatus.RESOLVED,
        AlertStatus.DISMISSED,
    },
    AlertStatus.RESOLVED: {AlertStatus.ACTIVE, AlertStatus.INVESTIGATING},
    AlertStatus.DISMISSED: {AlertStatus.ACTIVE, AlertStatus.INVESTIGATING},
    AlertStatus.CLEARED: {AlertStatus.INVESTIGATING},
}
NO_LONGER_FOUND = "The rules no longer find it in the data as they are now."


class AlertChanged(Exception):
    """Somebody was faster: the alert has a newer version."""

    def __init__(self, alert: Alert) -> None:
        super().__init__(
            f"Alert {alert.pk} has changed meanwhile (version {alert.version}). "
            "Look at it again."
        )
        self.alert = alert


class ImpossibleTransition(ValueError):
    """The status cannot be changed in this way."""


class ReasonMissing(ValueError):
    """Dismissing asks for a reason."""


@dataclass(slots=True)
class Reconciled:
    """What an evaluation did to the alerts of an election."""

    opened: list[Alert] = field(default_factory=list)
    changed: list[Alert] = field(default_factory=list)
    cleared: list[Alert] = field(default_factory=list)

    @property
    def alerts(self) -> list[Alert]:
        """Return all that are not as they were."""
        return [*self.opened, *self.changed, *self.cleared]


class AlertService:
    """Keeps alerts in step with the findings, and lets staff deal with them."""

    def reconcile(
        self,
        election_id: int,
        findings: Iterable[Finding],
        *,
        silent: Collection[tuple[str, int | None]] = (),
        now: datetime,
    ) -> Reconciled:
        """Make the alerts of an election say what the rules say now.

        New findings open alerts, known ones change them, and open alerts that are not found
        any more are cleared. Those of `silent`, rule and constituency, stay as they are:
        nothing could be said of them; a rule without a constituency stands for all of them.

        What staff have resolved or dismissed stays so, with the new figures, until these
        are graver than what was decided on: then it is active again. Nothing is deleted,
        and the history keeps every version.

        Raises:
            NotInTransaction: no transaction is open.
        """
        lock_until_commit(Lock.ALERTS, election_id)
        # Locked: a decision that staff take meanwhile is not written over.
        alerts = Alert.objects.select_for_update(no_key=True).order_by("id")
        known = _by_place(alerts.filter(election_id=election_id))
        decisions = queries.decisions(
            [
                alert.pk
                for alert in chain.from_iterable(known.values())
                if alert.status in DECIDED
            ]
        )
        done, told = Reconciled(), dict[int, Finding]()
        for finding in merged(findings):
            place = (finding.rule, finding.constituency)
            alert = _same(known.get(place, []), finding, told)
            if alert is None and (alert := _holder(known.get(place, []), finding)):
                finding = _joined([told[alert.pk], finding])
            if alert is None:
                alert = _open(finding, now)
                known.setdefault(place, []).append(alert)
                told[alert.pk] = finding
                done.opened.append(alert)
                continue
            told[alert.pk] = finding
            others = {item.started_hour for item in known[place] if item != alert}
            decided = decisions.get(alert.pk)
            if _update(alert, finding, now, taken=others, decided=decided):
                done.changed.append(alert)
        unsaid = set(silent)
        for alert in chain.from_iterable(known.values()):
            is_silent = {
                (alert.rule, None),
                (alert.rule, alert.constituency_id),
            } & unsaid
            if alert.is_open and alert.pk not in told and not is_silent:
                _clear(alert, now)
                done.cleared.append(alert)
        looked_at = Alert.objects.filter(pk__in=told)
        looked_at.update(evaluated_at=now)
        return done

    def change(
        self,
        alert_id: int,
        *,
        version: int,
        by: User,
        now: datetime,
        status: AlertStatus | None = None,
        reason: str | None = None,
        **others: Any,
    ) -> Alert:
        """Change the status of an alert, its reason, or who deals with it.

        Takes `assigned_to`, a user or None, besides.

        Raises:
            Alert.DoesNotExist: there is none with this id.
            AlertChanged: it is no longer at this version.
            ImpossibleTransition: the status cannot be changed in this way.
            ReasonMissing: it would be dismissed without a reason.
        """
        with transaction.atomic(), _on_behalf_of(by):
            alert = Alert.objects.select_for_update().get(pk=alert_id)
            if alert.version != version:
                raise AlertChanged(alert)
            if status is not None and status != alert.status:
                _refuse_impossible(alert, status)
                alert.status = status
                # A reason belongs to one decision, or was the rules'.
                alert.reason = ""
            if reason is not None:
                alert.reason = reason.strip()
            if alert.status == AlertStatus.DISMISSED and not alert.reason:
                raise ReasonMissing("Say in a sentence why it is dismissed.")
            if "assigned_to" in others:
                alert.assigned_to = others["assigned_to"]
            alert.version += 1
            alert.changed_at = now
            alert.save(
                update_fields=[
                    *("status", "reason", "assigned_to", "version", "changed_at")
                ]
            )
            announce([alert])
            WebhookService().tell([alert], Change.DECIDED, now=now)
        return alert

    def add_note(
        self, alert_id: int, *, author: User, text: str, now: datetime
    ) -> AlertNote:
        """Write a note on an alert; it needs no version, because notes only add up.

        Raises:
            Alert.DoesNotExist: there is none with this id.
        """
        with transaction.atomic(), _on_behalf_of(author):
            Alert.objects.select_for_update().get(pk=alert_id)
            note = AlertNote.objects.create(
                alert_id=alert_id, author=author, text=text.strip(), created_at=now
            )
            Alert.objects.filter(pk=alert_id).update(
                version=F("version") + 1, changed_at=now
            )
        return note


def _on_behalf_of(user: User) -> AbstractContextManager[object]:
    """Let the history name the user."""
    return pghistory.context(user=user.pk, username=user.get_username())


def _refuse_impossible(alert: Alert, status: AlertStatus) -> None:
    possible = TRANSITIONS[AlertStatus(alert.status)]
    if status not in possible:
        names = ", ".join(sorted(possible)) or "nothing"
        raise ImpossibleTransition(
            f"An alert that is {alert.status} can become {names}, not {status}."
        )


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Return one finding where a rule found the same hours of a place in several ways.

    Issues and votes rise and fall together; the stronger one speaks, the other stands in
    its evidence.
    """
    places: dict[tuple[Any, ...], list[Finding]] = {}
    for finding in findings:
        direction = (finding.excess or 0) < 0
        key = (finding.rule, finding.constituency, direction)
        places.setdefault(key, []).append(finding)
    found = []
    for parts in places.values():
        parts.sort(key=lambda part: (part.started_hour, part.ended_hour))
        run = [parts[0]]
        for part in parts[1:]:
            if part.started_hour <= max(item.ended_hour for item in run) + _gap(part):
                run.append(part)
            else:
                found.append(_joined(run))
                run = [part]
        found.append(_joined(run))
    return _at_different_hours(found)


def _at_different_hours(findings: Sequence[Finding]) -> list[Finding]:
    """Join what begins together, even where issues rise while votes fall."""
    starts: dict[tuple[Any, ...], list[Finding]] = {}
    for finding in findings:
        key = (finding.rule, finding.constituency, finding.started_hour)
        starts.setdefault(key, []).append(finding)
    return [_joined(parts) for parts in starts.values()]


def _joined(parts: Sequence[Finding]) -> Finding:
    if len(parts) == 1:
        return parts[0]
    ranked = sorted(
        parts,
        key=lambda part: (
            -GRAVITY[part.severity],
            part.q if part.q is not None else 0.0,
            -abs(part.excess or 0),
            -abs(part.statistic or 0),
        ),
    )
    first = ranked[0]
    if first.rule in OF_ACTS:
        first = replace(
            first,
            statistic=OF_ACTS[first.rule](part.statistic or 0 for part in parts),
            excess=sum(part.excess or 0 for part in parts),
        )
    also = [
        {
            "severity": part.severity,
            "started_hour": part.started_hour.isoformat(),
            "ended_hour": part.ended_hour.isoformat(),
            "p": part.p,
            "q": part.q,
            "excess": part.excess,
            **part.evidence,
        }
        for part in ranked[1 : 1 + PARTS_SHOWN]
    ]
    return replace(
        first,
        started_hour=min(part.started_hour for part in parts),
        ended_hour=max(part.ended_hour for part in parts),
        # What one part explains is not explained for the others.
        closed=first.closed if all(part.closed for part in parts) else "",
        evidence={**first.evidence, "also": also, "also_count": len(parts) - 1},
    )


def _by_place(alerts: Iterable[Alert]) -> dict[tuple[str, int | None], list[Alert]]:
    places: dict[tuple[str, int | None], list[Alert]] = {}
    for alert in alerts:
        places.setdefault((alert.rule, alert.constituency_id), []).append(alert)
    return places


def _same(
    candidates: Sequence[Alert], finding: Finding, seen: Collection[int]
) -> Alert | None:
    """Return the alert that already tells of this, an open one before a closed one."""
    near = [
        alert
        for alert in candidates
        if alert.pk not in seen and _is_same(alert, finding)
    ]
    near.sort(
        key=lambda alert: (
            not alert.is_open,
            finding.rule in OF_A_STATE and alert.status not in DECIDED,
            alert.started_hour != finding.started_hour,
            alert.pk,
        )
    )
    return near[0] if near else None


def _holder(candidates: Sequence[Alert], finding: Finding) -> Alert | None:
    """Return the alert that begins in the hour of a finding, and tells of another one."""
    for alert in candidates:
        if alert.started_hour == finding.started_hour:
            return alert
    return None


def _is_same(alert: Alert, finding: Finding) -> bool:
    is_of_a_state = finding.rule in OF_A_STATE
    if is_of_a_state and alert.is_open:
        return True
    if alert.started_hour == finding.started_hour:
        return True
    is_opposed = (alert.excess or 0) * (finding.excess or 0) < 0
    if is_opposed:
        return False
    if is_of_a_state and alert.status in DECIDED:
        # Silence in between, or another first hour, makes no other state of it.
        return True
    # What was decided on is known: it takes up nothing beside it.
    gap = timedelta(0) if alert.status in DECIDED else _gap(finding)
    return (
        finding.started_hour <= alert.ended_hour + gap
        and alert.started_hour <= finding.ended_hour + gap
    )


def _gap(finding: Finding) -> timedelta:
    """Return how far two findings of one rule and place may lie apart, as one alert."""
    return timedelta(0) if finding.rule in OF_EVENTS else EPISODE_GAP


def _figures(finding: Finding) -> dict[str, Any]:
    figures = {name: getattr(finding, name) for name in FIGURES}
    return figures | {
        "severity": str(finding.severity),
        "statistic": storable(finding.statistic),
        "excess": storable(finding.excess),
        "evidence": storable(finding.evidence),
    }


def _open(finding: Finding, now: datetime) -> Alert:
    is_closed = bool(finding.closed)
    return Alert.objects.create(
        status=AlertStatus.CLEARED if is_closed else AlertStatus.ACTIVE,
        reason=finding.closed,
        rule=finding.rule,
        election_id=finding.election,
        constituency_id=finding.constituency,
        **_figures(finding),
        created_at=now,
        changed_at=now,
        evaluated_at=now,
    )


def _update(
    alert: Alert,
    finding: Finding,
    now: datetime,
    *,
    taken: Collection[datetime],
    decided: Decision | None,
) -> bool:
    """Give the alert the figures of the finding; tell whether anything was different.

    Two alerts of one place cannot begin in the same hour: where another one does, this
    keeps its beginning.
    """
    figures = _figures(finding)
    if finding.rule in OF_A_STATE:
        figures["started_hour"] = min(alert.started_hour, finding.started_hour)
    if figures["started_hour"] in taken:
        figures["started_hour"] = alert.started_hour
        figures["ended_hour"] = max(alert.started_hour, finding.ended_hour)
    status = _status_of(alert, finding, decided)
    different = {
        name: value
        for name, value in (figures | status).items()
        if getattr(alert, name) != value
    }
    if not different:
        return False
    for name, value in different.items():
        setattr(alert, name, value)
    _save(alert, different, now)
    return True


def _status_of(
    alert: Alert, finding: Finding, decided: Decision | None
) -> dict[str, Any]:
    """Return what the rules change of a status.

    Of what staff have decided only where it has become graver than what they knew.
    """
    if finding.closed:
        closed = {"status": AlertStatus.CLEARED, "reason": finding.closed}
        return closed if alert.is_open else {}
    if alert.status == AlertStatus.CLEARED:
        return {"status": queries.status_before_cleared(alert.pk), "reason": ""}
    if decided and _is_graver(finding, decided):
        before = extent(decided.severity, decided.excess)
        after = extent(finding.severity, storable(finding.excess))
        reason = f"Graver than what was {alert.status}: {before} → {after}."
        return {"status": AlertStatus.ACTIVE, "reason": reason}
    return {}


def _is_graver(finding: Finding, decided: Decision) -> bool:
    """Tell whether a finding is another matter than what was decided on.

    By what was known then: step by step nothing would ever be.
    """
    if GRAVITY[finding.severity] > GRAVITY[Severity(decided.severity)]:
        return True
    if (decided.excess or 0) * (finding.excess or 0) < 0:
        return True
    if finding.rule in COUNTED:
        before, after = decided.statistic, finding.statistic
    else:
        before, after = decided.excess, finding.excess
    if before is None or after is None:
        return False
    # Twice nothing is nothing.
    return round(abs(after)) > round(abs(before)) and (
        abs(after) >= GRAVER_TIMES * abs(before)
    )


def _clear(alert: Alert, now: datetime) -> None:
    alert.status, alert.reason = AlertStatus.CLEARED, NO_LONGER_FOUND
    _save(alert, ["status", "reason"], now)


def _save(alert: Alert, fields: Iterable[str], now: datetime) -> None:
    alert.version += 1
    alert.changed_at = alert.evaluated_at = now
    alert.save(update_fields=[*fields, "version", "changed_at", "evaluated_at"])
