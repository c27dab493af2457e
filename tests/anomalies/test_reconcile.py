"""Alerts follow the findings, and what staff decided stays."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from anomalies.models import Alert, Evaluation
from anomalies.rules.findings import Finding, Severity
from anomalies.rules.verdicts import false_discovery
from anomalies.services import AlertService, AnomalyService
from anomalies.services.evaluation import Assessment
from anomalies.services.queue import ask_for_due
from elections.models import Election
from metrics.models import HourlyStats, MetricsUpdate
from tests.anomalies.factories import FOUND_AT, HOUR
from tests.factories import make_constituency, make_election, make_staff

pytestmark = pytest.mark.django_db

ONE = timedelta(hours=1)


@pytest.fixture
def place(db):
    return make_constituency(election=make_election(slug="duma"))


def finding(place, first, last, **fields):
    return Finding(
        **{
            "rule": "S01",
            "election": place.election_id,
            "constituency": place.pk,
            "started_hour": HOUR + first * ONE,
            "ended_hour": HOUR + last * ONE,
            "severity": Severity.WARNING,
            "q": 0.01,
            "excess": 10.0,
            **fields,
        }
    )


def reconcile(place, *findings, **options):
    with transaction.atomic():
        return AlertService().reconcile(
            place.election_id, findings, now=FOUND_AT, **options
        )


def hours():
    return [
        (
            (alert.started_hour - HOUR) // ONE,
            (alert.ended_hour - HOUR) // ONE,
            alert.status,
        )
        for alert in Alert.objects.order_by("id")
    ]


def test_what_goes_on_stays_open_beside_what_was_explained(place):
    """An outage that was caught up, and another within two hours that was not."""
    reconcile(place, finding(place, 0, 1, closed="Caught up."), finding(place, 3, 5))

    assert hours() == [(0, 5, "active")]


def test_what_was_caught_up_is_told_and_closed(place):
    reconcile(place, finding(place, 0, 1))
    reconcile(place, finding(place, 0, 1, closed="Caught up."))

    [alert] = Alert.objects.all()
    assert (alert.status, alert.reason) == ("cleared", "Caught up.")


def test_an_open_alert_goes_on_before_a_dismissed_one_takes_its_hours(place):
    reconcile(place, finding(place, 0, 0))
    Alert.objects.update(status="dismissed", reason="A drill.")
    reconcile(place, finding(place, 0, 0), finding(place, 4, 5))

    reconcile(place, finding(place, 0, 5, severity=Severity.CRITICAL))

    assert hours() == [(0, 0, "dismissed"), (4, 5, "active")]
    assert Alert.objects.get(status="active").severity == "critical"


def test_of_what_nothing_can_be_said_the_alert_stays(place):
    reconcile(place, finding(place, 0, 0))

    reconcile(place, silent={("S01", place.pk)})

    assert hours() == [(0, 0, "active")]


def test_a_finding_that_comes_back_opens_its_alert_again(place):
    reconcile(place, finding(place, 0, 0))
    reconcile(place)
    assert hours() == [(0, 0, "cleared")]

    reconcile(place, finding(place, 0, 0))

    assert hours() == [(0, 0, "active")]


def test_who_was_at_it_finds_it_as_it_was(place):
    reconcile(place, finding(place, 0, 0))
    [alert] = Alert.objects.all()
    AlertService().change(
        alert.pk, version=1, by=make_staff(), now=FOUND_AT, status="investigating"
    )
    reconcile(place)

    reconcile(place, finding(place, 0, 0))

    assert hours() == [(0, 0, "investigating")]


def test_issues_that_rise_while_votes_fall_are_one_alert(place):
    reconcile(place, finding(place, 0, 0), finding(place, 0, 0, excess=-8.0))

    [alert] = Alert.objects.all()
    assert len(alert.evidence["also"]) == 1


def test_a_clock_that_ran_ahead_stops_no_evaluation(place):
    now = timezone.now()
    Evaluation.objects.create(
        election=place.election, evaluated_at=now + timedelta(days=365)
    )
    found = Assessment(place.election_id, now, HOUR, findings=[finding(place, 0, 0)])

    with transaction.atomic():
        AnomalyService().write(found, now=now)

    assert hours() == [(0, 0, "active")]


def test_an_election_is_looked_at_for_a_day_after_its_end(place):
    now = HOUR + 24 * ONE
    for slug, ended in (("fresh", now - 3 * ONE), ("old", now - 30 * ONE)):
        election = make_election(slug=slug, starts_at=HOUR - 48 * ONE, ends_at=ended)
        make_constituency(election=election, last_transaction_at=ended)

    ask_for_due(now)

    fresh = MetricsUpdate.objects.get(scope__startswith="evaluate:").scope
    assert fresh == f"evaluate:{Election.objects.get(slug='fresh').pk}"


def test_without_any_test_nothing_is_adjusted():
    assert false_discovery({}) == {}


def test_numbers_stand_at_hours_that_begin_at_half_past(place):
    half = HOUR + timedelta(minutes=30)
    HourlyStats.objects.create(
        election=place.election, constituency=place, hour=half, timestamp=half
    )
    found = Assessment(
        place.election_id, FOUND_AT, HOUR, counts=[(place.pk, HOUR, 2)], has_flow=True
    )

    with transaction.atomic():
        AnomalyService().write(found, now=FOUND_AT)

    place.refresh_from_db()
    assert HourlyStats.objects.get().anomaly_count == 2
    assert place.anomaly_count == 2
