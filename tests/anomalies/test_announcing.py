"""Who watches an election hears of its alerts."""

import orjson
import pytest
from django.utils import timezone

from anomalies.services import AlertService
from elections.tags import DASHBOARD
from metrics import events
from metrics.cache import metrics_cache
from tests.anomalies.factories import make_alert
from tests.factories import make_election, make_staff

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def active():
    return make_election(slug="duma", status_override="active")


def decide(alert, **changes):
    AlertService().change(
        alert.pk, version=alert.version, by=make_staff(), now=timezone.now(), **changes
    )


def detailed(client, settings):
    settings.API_PUBLIC_READ = True
    return client.get("/api/v1/metrics/dashboard/detailed/").json()["alerts"]


def test_open_alerts_stand_on_the_dashboard_the_gravest_first(client, settings, active):
    make_alert(election=active, severity="warning")
    grave = make_alert(election=active, severity="critical", rule="H07", q=None)
    make_alert(election=active, status="resolved", rule="S15")
    make_alert(election=make_election(status_override="completed"))

    told = detailed(client, settings)

    assert [(item["rule"], item["severity"]) for item in told] == [
        ("H07", "critical"),
        ("S01", "warning"),
    ]
    assert told[0]["title"] == "Issued by another key"
    assert told[0]["constituency"] == grave.constituency.contract_id
    assert "evidence" not in told[0]


def test_a_decision_shows_on_the_dashboard_at_once(client, settings, active):
    alert = make_alert(election=active)
    assert detailed(client, settings)

    decide(alert, status="resolved")

    assert detailed(client, settings) == []


def test_a_decision_ends_kept_answers_and_is_told_to_listeners(active, monkeypatch):
    alert = make_alert(election=active)
    ended, told = [], []
    monkeypatch.setattr(
        type(metrics_cache()), "invalidate", lambda _, tags: ended.extend(tags)
    )
    monkeypatch.setattr(events, "publish", told.extend)

    decide(alert, status="investigating")

    assert {DASHBOARD, "election:duma"} <= set(ended)
    [event] = told
    assert (event.election, event.kind) == ("duma", "alert")
    content = orjson.loads(orjson.dumps(event.content))
    assert (content["id"], content["status"], content["version"]) == (
        alert.pk,
        "investigating",
        2,
    )
