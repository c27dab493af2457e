"""Alerts follow the findings, and what staff decided stays."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from anomalies.models import Alert, Evaluation
from anomalies.queries import history
from anomalies.rules.findings import Finding, Severity
from anomalies.rules.verdicts import false_discovery
from anomalies.services import AlertService, AnomalyService, ReasonMissing
from anomalies.services.evaluation import Assessment
from anomalies.services.queue import ask_for_due
from elections.models import Election
from metrics.models import HourlyStats, MetricsUpdate
from tests.anomalies.factories import FOUND_AT, HOUR
from tests.factories import make_constituency, make_election, make_staff
from transactions.models import ImportBatch

pytestmark = pytest.mark.django_db

ONE = timedelta(hours=1)
DAY = 24 * ONE


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


def dismiss():
    """Dismiss the only alert, as staff do who deal with it."""
    alert, staff = Alert.objects.get(), make_staff()
    return AlertService().change(
        alert.pk,
        version=alert.version,
        by=staff,
        now=FOUND_AT,
        status="dismissed",
        reason="A drill.",
        assigned_to=staff,
    )


@pytest.mark.parametrize("rule", ["H01", "H02", "S11", "S12"])
def test_a_state_that_was_dismissed_stays_one_alert_while_it_goes_on(place, rule):
    """Not found for hours in between, and with another beginning."""
    reconcile(place, finding(place, 5, 5, rule=rule))
    dismiss()
    reconcile(place)

    reconcile(place, finding(place, 9, 9, rule=rule))
    reconcile(place, finding(place, 1, 12, rule=rule))

    assert hours() == [(1, 12, "dismissed")]


def test_the_opposite_of_what_was_dismissed_is_another_state(place):
    reconcile(place, finding(place, 5, 5, rule="S11"))
    dismiss()

    reconcile(place, finding(place, 9, 9, rule="S11", excess=-10.0))

    assert hours() == [(5, 5, "dismissed"), (9, 9, "active")]


def test_a_state_that_was_cleared_and_comes_back_later_is_told_anew(place):
    reconcile(place, finding(place, 5, 5, rule="H01"))
    reconcile(place)

    reconcile(place, finding(place, 9, 9, rule="H01"))

    assert hours() == [(5, 5, "cleared"), (9, 9, "active")]


def test_a_state_turns_out_to_have_begun_where_another_did(place):
    reconcile(place, finding(place, 1, 1, rule="H01"))
    reconcile(place)
    reconcile(place, finding(place, 9, 9, rule="H01"))

    reconcile(place, finding(place, 1, 10, rule="H01"))

    assert hours() == [(1, 1, "cleared"), (9, 10, "active")]


def test_an_alert_that_cannot_begin_earlier_does_not_end_before_it_begins(place):
    reconcile(place, finding(place, 0, 0))
    dismiss()
    reconcile(place, finding(place, 0, 0), finding(place, 4, 5))

    reconcile(place, finding(place, 0, 2))

    assert hours() == [(0, 0, "dismissed"), (4, 4, "active")]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            {"excess": 12.0},
            {"excess": 60.0, "severity": Severity.CRITICAL},
            "warning, 12 ballots → critical, 60 ballots",
        ),
        (
            {"excess": 12.4},
            {"excess": 13.0, "severity": Severity.CRITICAL},
            "warning, 12 ballots → critical, 13 ballots",
        ),
        ({"excess": 1.0}, {"excess": 2.0}, "warning, 1 ballot → warning, 2 ballots"),
        (
            {"excess": -600.0},
            {"excess": -1200.0},
            "warning, −600 ballots → warning, −1,200 ballots",
        ),
        (
            {"excess": None},
            {"excess": None, "severity": Severity.CRITICAL},
            "warning → critical",
        ),
    ],
)
def test_what_becomes_graver_than_what_was_dismissed_is_active_again(
    place, before, after, words
):
    reconcile(place, finding(place, 0, 0, **before))
    dismissed = dismiss()

    done = reconcile(place, finding(place, 0, 1, **after))

    [alert] = Alert.objects.all()
    assert done.changed == [alert]
    assert (alert.status, alert.reason) == (
        "active",
        f"Graver than what was dismissed: {words}.",
    )
    assert (alert.version, alert.assigned_to) == (
        dismissed.version + 1,
        dismissed.assigned_to,
    )
    told = [(event.status, event.reason) for event in history(alert.pk)]
    assert told[1:] == [("dismissed", "A drill."), ("active", alert.reason)]


@pytest.mark.parametrize(
    "after",
    [
        {"excess": 19.0},
        {"excess": 10.0, "severity": Severity.INFO},
        {"excess": None},
        {"excess": 60.0, "closed": "Caught up."},
    ],
)
def test_what_is_no_graver_stays_dismissed_with_the_new_figures(place, after):
    reconcile(place, finding(place, 0, 0, excess=10.0))
    dismiss()

    reconcile(place, finding(place, 0, 1, **after))

    [alert] = Alert.objects.all()
    assert (alert.status, alert.reason) == ("dismissed", "A drill.")
    assert (alert.ended_hour, alert.excess) == (HOUR + ONE, after["excess"])


def test_small_steps_do_not_creep_past_what_was_decided_on(place):
    reconcile(place, finding(place, 0, 0, excess=100.0))
    dismiss()

    reconcile(place, finding(place, 0, 1, excess=150.0))
    assert hours() == [(0, 1, "dismissed")]
    reconcile(place, finding(place, 0, 2, excess=225.0))

    assert hours() == [(0, 2, "active")]


def test_a_later_decision_is_held_against_what_was_known_then(place):
    reconcile(place, finding(place, 0, 0, excess=100.0))
    dismiss()
    reconcile(place, finding(place, 0, 1, excess=200.0))
    dismiss()

    reconcile(place, finding(place, 0, 2, excess=399.0))
    assert hours() == [(0, 2, "dismissed")]
    reconcile(place, finding(place, 0, 3, excess=400.0))

    assert hours() == [(0, 3, "active")]


def test_why_the_rules_opened_it_again_is_no_reason_to_dismiss_it(place):
    reconcile(place, finding(place, 0, 0))
    dismiss()
    reconcile(place, finding(place, 0, 0, excess=20.0))
    [alert] = Alert.objects.all()

    with pytest.raises(ReasonMissing):
        AlertService().change(
            alert.pk,
            version=alert.version,
            by=make_staff(),
            now=FOUND_AT,
            status="dismissed",
        )

    assert hours() == [(0, 0, "active")]


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


def asked(now):
    """Return the elections whose evaluation is asked for at `now`."""
    ask_for_due(now)
    scopes = MetricsUpdate.objects.filter(scope__startswith="evaluate:")
    ids = [scope.partition(":")[2] for scope in scopes.values_list("scope", flat=True)]
    elections = Election.objects.filter(pk__in=ids).order_by("slug")
    return list(elections.values_list("slug", flat=True))


def test_an_election_is_looked_at_for_a_day_after_its_end(db):
    now = HOUR + 24 * ONE
    for slug, ended in (("fresh", now - 3 * ONE), ("old", now - 30 * ONE)):
        election = make_election(slug=slug, starts_at=HOUR - 48 * ONE, ends_at=ended)
        make_constituency(election=election, last_transaction_at=ended)

    assert asked(now) == ["fresh"]


@pytest.mark.parametrize(
    ("heard", "wanted"),
    [
        ({"last_transaction_at": HOUR - DAY}, ["endless"]),
        ({"last_transaction_at": HOUR - 3 * DAY}, []),
        # Rows of an old hour that came late.
        (
            {
                "last_transaction_at": HOUR - 3 * DAY,
                "metrics_updated_at": HOUR - DAY,
            },
            ["endless"],
        ),
        # The sender's clock, which closes no day.
        (
            {
                "last_transaction_at": HOUR + 900 * DAY,
                "metrics_updated_at": HOUR - 3 * DAY,
            },
            [],
        ),
        (
            {
                "last_transaction_at": HOUR + 900 * DAY,
                "metrics_updated_at": HOUR - DAY,
            },
            ["endless"],
        ),
    ],
)
def test_one_without_an_end_is_looked_at_until_a_day_is_silent(db, heard, wanted):
    make_constituency(election=make_election(slug="endless"), **heard)

    assert asked(HOUR) == wanted


def test_empty_files_are_something_heard(db):
    place = make_constituency(
        election=make_election(slug="endless"), last_transaction_at=HOUR - 3 * DAY
    )
    ImportBatch.objects.create(
        constituency=place, kind="portal_hour", status="loaded", started_at=HOUR
    )

    assert asked(HOUR) == ["endless"]


def test_a_feed_that_falls_silent_in_a_vote_that_goes_on_is_still_looked_at(db):
    election = make_election(
        slug="goes-on", starts_at=HOUR - 5 * DAY, ends_at=HOUR + DAY
    )
    make_constituency(election=election, last_transaction_at=HOUR - 3 * DAY)

    assert asked(HOUR) == ["goes-on"]


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


def violation(place, hour, count, *, rule="H06"):
    """Return what a logical rule says of one hour."""
    return finding(
        place,
        hour,
        hour,
        rule=rule,
        q=None,
        excess=count,
        statistic=count,
        severity=Severity.CRITICAL,
    )


@pytest.mark.parametrize("rule", ["H03", "H05", "H06", "H07"])
def test_acts_of_several_hours_add_up(place, rule):
    reconcile(place, violation(place, 0, 1, rule=rule))
    dismiss()

    reconcile(
        place,
        *(violation(place, hour, 2, rule=rule) for hour in range(1, 4)),
        violation(place, 0, 1, rule=rule),
    )

    alert = Alert.objects.get()
    assert (alert.status, alert.excess) == ("active", 7)
    assert alert.statistic == (2 if rule == "H03" else 7)
    assert alert.evidence["also_count"] == 3


def test_events_of_the_whole_election_speak_with_the_strongest(place):
    events = [
        finding(place, hour, hour, rule="S03", constituency=None, q=None, excess=excess)
        for hour, excess in ((0, 100.0), (1, 5000.0))
    ]

    reconcile(place, *events)

    assert Alert.objects.get().excess == 5000


@pytest.mark.parametrize("is_decided", [True, False], ids=["dismissed", "cleared"])
def test_what_begins_where_another_alert_does_joins_it(place, is_decided):
    """Late data: more in ten hours, of which one has fewer."""
    fewer = finding(place, 0, 0, excess=-10.0)
    reconcile(place, fewer)
    if is_decided:
        dismiss()
    more = finding(place, 8, 10, excess=10.0)
    reconcile(place, *[fewer] * is_decided, more)

    reconcile(
        place, finding(place, 0, 10, excess=10.0), finding(place, 8, 8, excess=-10.0)
    )

    assert Alert.objects.count() == 2
    assert Alert.objects.get(started_hour=HOUR + 8 * ONE).status == "active"


def test_fewer_where_more_was_dismissed_is_another_matter(place):
    reconcile(place, finding(place, 0, 0, excess=10.0))
    dismiss()

    reconcile(place, finding(place, 0, 0, excess=-15.0))

    assert Alert.objects.get().status == "active"


@pytest.mark.parametrize("hour", [1, 2])
def test_what_was_dismissed_takes_up_nothing_beside_it(place, hour):
    reconcile(place, finding(place, 0, 0, excess=10.0))
    dismiss()

    reconcile(place, finding(place, hour, hour, excess=15.0))

    assert hours() == [(0, 0, "dismissed"), (hour, hour, "active")]


@pytest.mark.parametrize("rule", ["H04", "H09", "H10", "H13", "S04", "S05"])
def test_what_has_no_ballots_is_graver_by_what_it_counts(place, rule):
    def counted(number):
        return finding(place, 0, 0, rule=rule, excess=None, statistic=number)

    reconcile(place, counted(3.0))
    dismiss()
    reconcile(place, counted(5.0))
    assert Alert.objects.get().status == "dismissed"

    reconcile(place, counted(6.0))

    assert Alert.objects.get().status == "active"
