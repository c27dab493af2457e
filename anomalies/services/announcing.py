"""Whoever looks at alerts hears of their changes, once they are committed."""

from collections.abc import Sequence
from typing import Any

from anomalies import queries
from anomalies.models import Alert
from anomalies.wording import sentence, title
from elections.tags import DASHBOARD, election_tag
from metrics import events
from metrics.services.freshness import forget_tags
from metrics.services.update_handlers import tell_events

ALERT = "alert"


def announce(alerts: Sequence[Alert]) -> None:
    """End the answers that show these alerts, and send each as an event."""
    pks = [alert.pk for alert in alerts]
    found = list(queries.alerts().filter(pk__in=pks)) if pks else []
    if found:
        forget_tags(
            [DASHBOARD, *{election_tag(alert.election.slug) for alert in found}]
        )
        tell_events(
            events.Event(alert.election.slug, ALERT, alert_event(alert))
            for alert in found
        )


def alert_event(alert: Alert) -> dict[str, Any]:
    """Return what a listener hears of an alert."""
    return {
        "id": alert.pk,
        "rule": alert.rule,
        "severity": alert.severity,
        "status": alert.status,
        "election": alert.election.slug,
        "constituency": alert.constituency and alert.constituency.contract_id,
        "started_hour": alert.started_hour.isoformat(),
        "ended_hour": alert.ended_hour.isoformat(),
        "version": alert.version,
    }


def alert_message(alert: Alert) -> dict[str, Any]:
    """Return what a webhook is sent of an alert: enough to act on without asking back."""
    place = alert.constituency
    return {
        **alert_event(alert),
        "is_simulated": alert.election.is_simulated,
        "constituency_name": place and place.name,
        "title": title(alert.rule),
        "sentence": sentence(alert, voters=place.registered_voters if place else None),
        "p": alert.p,
        "q": alert.q,
        "excess": alert.excess,
        "reason": alert.reason,
        "created_at": alert.created_at.isoformat(),
        "changed_at": alert.changed_at.isoformat(),
    }
