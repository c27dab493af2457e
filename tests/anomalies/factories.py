"""Alerts, for tests of what is done with them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from anomalies.models import Alert
from tests.factories import make_constituency, make_election

HOUR = datetime(2026, 9, 19, 7, tzinfo=UTC)
FOUND_AT = HOUR + timedelta(hours=1, seconds=5)


def make_alert(**fields: Any) -> Alert:
    """Make an alert of S01 about a constituency of its own."""
    if "election" not in fields:
        fields["election"] = make_election()
    if "constituency" not in fields:
        fields["constituency"] = make_constituency(election=fields["election"])
    made_up = {
        "rule": "S01",
        "severity": "warning",
        "started_hour": HOUR,
        "ended_hour": HOUR,
        "p": 1e-6,
        "q": 1e-4,
        "excess": 40.0,
        "created_at": FOUND_AT,
        "changed_at": FOUND_AT,
        "evaluated_at": FOUND_AT,
    }
    return Alert.objects.create(**{**made_up, **fields})
