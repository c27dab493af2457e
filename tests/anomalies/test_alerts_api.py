"""Observers read alerts over the API, analysts deal with them."""

import json
from datetime import timedelta

import pytest
from django.test import Client

from anomalies.models import Alert, Evaluation
from metrics.models import HourlyStats
from tests.anomalies.factories import HOUR, make_alert
from tests.factories import make_constituency, make_election, make_token, make_user
from tests.feed import receive

pytestmark = pytest.mark.django_db

FIELDS = [
    *("id", "rule", "severity", "status", "election", "constituency"),
    *("sentence", "started_hour", "ended_hour", "statistic", "p", "q", "excess"),
    *("evidence", "assigned_to", "reason", "version", "created_at", "changed_at"),
]


@pytest.fixture
def analyst():
    return make_user("analyst", username="vera", password=None)


@pytest.fixture
def client(analyst):
    return Client(headers={"authorization": f"Token {make_token(analyst)}"})


@pytest.fixture
def alert(db):
    election = make_election(slug="duma")
    constituency = make_constituency(election=election, contract_id="A")
    return make_alert(election=election, constituency=constituency)


def send(client, method, path, body=None):
    return client.generic(
        method, f"/api/v1/alerts/{path}", json.dumps(body or {}), "application/json"
    )


def change(client, alert, **body):
    body.setdefault("version", alert.version)
    return send(client, "PATCH", f"{alert.pk}/", body)


def test_an_alert_shows_what_was_found(client, alert):
    [told] = client.get("/api/v1/alerts/").json()["results"]

    assert list(told) == FIELDS
    assert told["election"] == "duma"
    assert told["constituency"] == "A"
    assert told["status"] == "active"
    assert told["q"] == alert.q


@pytest.mark.parametrize(
    ("query", "is_found"),
    [
        ("election=duma", True),
        ("constituency=A", True),
        ("rule=S01", True),
        ("rule=S02", False),
        ("severity=warning", True),
        ("severity=critical", False),
        ("status=active", True),
        ("open=true", True),
        ("open=false", False),
        ("start=2026-09-19T07:00:00Z", True),
        ("start=2026-09-19T08:00:00Z", False),
        ("end=2026-09-19T07:00:00Z", False),
        ("end=2026-09-19T08:00:00Z", True),
    ],
)
def test_alerts_are_filtered(client, alert, query, is_found):
    assert client.get(f"/api/v1/alerts/?{query}").json()["count"] == is_found


def test_system_alerts_have_no_constituency(client, alert):
    make_alert(election=alert.election, constituency=None, rule="S03", excess=None)

    told = client.get("/api/v1/alerts/?rule=S03").json()["results"]

    assert [item["constituency"] for item in told] == [None]


def test_an_alert_is_assigned_and_investigated_and_resolved(client, alert):
    assigned = change(client, alert, status="investigating", assigned_to="vera").json()
    resolved = change(
        client,
        alert,
        version=assigned["version"],
        status="resolved",
        reason="A factory voted together.",
    ).json()

    assert (assigned["status"], assigned["assigned_to"]) == ("investigating", "vera")
    assert (resolved["status"], resolved["reason"]) == (
        "resolved",
        "A factory voted together.",
    )
    assert resolved["version"] == alert.version + 2


def test_the_history_tells_who_changed_what(client, alert):
    change(client, alert, status="investigating")

    history = client.get(f"/api/v1/alerts/{alert.pk}/").json()["history"]

    assert [
        (item["change"], item["status"], item["by"], item["version"])
        for item in history
    ] == [("found", "active", None, 1), ("changed", "investigating", "vera", 2)]


def test_who_was_slower_is_told_so_and_changes_nothing(client, alert):
    change(client, alert, status="investigating")

    late = change(client, alert, version=1, status="resolved")

    assert late.status_code == 409
    assert late.json()["code"] == "alert_changed"
    alert.refresh_from_db()
    assert (alert.status, alert.version) == ("investigating", 2)


def test_dismissing_asks_for_a_reason(client, alert):
    refused = change(client, alert, status="dismissed")
    blank = change(client, alert, status="dismissed", reason="  ")
    dismissed = change(client, alert, status="dismissed", reason="A drill.")

    assert (refused.status_code, refused.json()["code"]) == (400, "required")
    assert "reason" in refused.json()
    assert blank.status_code == 400
    assert dismissed.json()["status"] == "dismissed"


def test_a_dismissed_alert_can_be_opened_again_without_its_reason(client, alert):
    dismissed = change(client, alert, status="dismissed", reason="A drill.").json()

    reopened = change(client, alert, version=dismissed["version"], status="active")

    assert (reopened.json()["status"], reopened.json()["reason"]) == ("active", "")


@pytest.mark.parametrize("status", ["cleared"])
def test_nobody_clears_an_alert_but_the_rules(client, alert, status):
    refused = change(client, alert, status=status)

    assert (refused.status_code, refused.json()["code"]) == (
        400,
        "impossible_transition",
    )
    alert.refresh_from_db()
    assert (alert.status, alert.version) == ("active", 1)


@pytest.mark.parametrize(
    ("body", "name", "code"),
    [
        ({"version": None}, "version", "null"),
        ({"status": "gone"}, "status", "invalid_choice"),
        ({"assigned_to": "nobody"}, "assigned_to", "does_not_exist"),
        ({"severity": "info"}, "severity", "unknown_parameter"),
        ({"reason": "x" * 1001}, "reason", "max_length"),
    ],
)
def test_bad_changes_are_refused_by_name(client, alert, body, name, code):
    refused = send(client, "PATCH", f"{alert.pk}/", {"version": 1, **body})

    assert refused.status_code == 400
    assert name in refused.json()
    assert refused.json()["code"] == code
    alert.refresh_from_db()
    assert alert.version == 1


def test_a_change_without_a_version_is_refused(client, alert):
    refused = send(client, "PATCH", f"{alert.pk}/", {"status": "resolved"})

    assert "version" in refused.json()


def test_notes_add_up_and_stay(client, alert):
    first = send(client, "POST", f"{alert.pk}/notes/", {"text": "Called them."})
    send(client, "POST", f"{alert.pk}/notes/", {"text": "They call back."})

    told = client.get(f"/api/v1/alerts/{alert.pk}/").json()
    assert first.status_code == 201
    assert [(note["author"], note["text"]) for note in told["notes"]] == [
        ("vera", "Called them."),
        ("vera", "They call back."),
    ]
    assert told["version"] == 3


@pytest.mark.parametrize("text", ["", "   ", "x" * 4001, None])
def test_an_empty_or_endless_note_is_refused(client, alert, text):
    refused = send(client, "POST", f"{alert.pk}/notes/", {"text": text})

    assert refused.status_code == 400
    assert alert.notes.count() == 0


def test_the_evidence_is_a_file_with_hours_and_hashes(client, alert):
    twin = make_constituency(election=alert.election, contract_id="B")
    Alert.objects.filter(pk=alert.pk).update(evidence={"twins": [twin.pk]})
    for constituency, issued in ((alert.constituency, 190), (twin, 20)):
        HourlyStats.objects.create(
            election=alert.election,
            constituency=constituency,
            hour=HOUR,
            timestamp=HOUR,
            bulletins_issued=issued,
        )
    # Ten o'clock in Moscow, as its name says.
    receive(alert.constituency, "2026-09-19 10:00")
    receive(alert.constituency, "2026-09-19 18:00")

    answer = client.get(f"/api/v1/alerts/{alert.pk}/evidence/")

    told = answer.json()
    assert answer["Content-Disposition"].startswith("attachment; filename=")
    assert told["alert"]["id"] == alert.pk
    assert [
        (row["constituency"], row["bulletins_issued"]) for row in told["hours"]
    ] == [
        ("A", 190),
        ("B", 20),
    ]
    assert [file["interval"] for file in told["files"]] == ["2026-09-19T10:00:00Z"]


def test_the_latest_hours_come_first(client, alert):
    later = make_alert(
        election=alert.election,
        constituency=alert.constituency,
        started_hour=HOUR + timedelta(hours=5),
        ended_hour=HOUR + timedelta(hours=5),
    )

    told = client.get("/api/v1/alerts/").json()["results"]

    assert [item["id"] for item in told] == [later.pk, alert.pk]


def test_an_alert_that_is_not_there_is_404(client):
    assert client.get("/api/v1/alerts/999/").status_code == 404
    assert send(client, "PATCH", "999/", {"version": 1}).status_code == 404
    assert send(client, "POST", "999/notes/", {"text": "x"}).status_code == 404


def test_an_observer_reads_and_changes_nothing(alert):
    observer = make_user("observer", password=None)
    client = Client(headers={"authorization": f"Token {make_token(observer)}"})

    assert client.get(f"/api/v1/alerts/{alert.pk}/").status_code == 200
    assert change(client, alert, status="resolved").status_code == 403
    assert send(client, "POST", f"{alert.pk}/notes/", {"text": "x"}).status_code == 403


def test_a_list_takes_few_queries_however_long(
    client, alert, django_assert_num_queries
):
    for number in range(5):
        make_alert(
            election=alert.election,
            constituency=make_constituency(
                election=alert.election, contract_id=f"C{number}"
            ),
        )
    client.get("/api/v1/alerts/")

    with django_assert_num_queries(4):
        client.get("/api/v1/alerts/")


def test_an_evaluation_says_what_could_not_be_judged(client):
    election = make_election(slug="duma")
    Evaluation.objects.create(
        election=election,
        evaluated_at=HOUR + timedelta(hours=1),
        until=HOUR + timedelta(hours=1),
        tests=7,
        unverifiable={"S05": {"rule_failed": 0}, "H02": {"register_unknown": 7}},
    )

    told = client.get("/api/v1/elections/duma/evaluation/").json()

    assert (told["election"], told["tests"]) == ("duma", 7)
    assert [
        (item["rule"], item["reason"], item["constituencies"], item["sentence"])
        for item in told["unverifiable"]
    ] == [
        (
            *("H02", "register_unknown", 7),
            "Register exceeded: nobody states the register, in 7 constituencies.",
        ),
        (
            *("S05", "rule_failed", None),
            "Unusual spread: the rule failed, as the log tells, everywhere.",
        ),
    ]


def test_an_election_that_was_never_evaluated_is_not_said_to_be_fine(client):
    make_election(slug="duma")

    told = client.get("/api/v1/elections/duma/evaluation/").json()
    unknown = client.get("/api/v1/elections/nowhere/evaluation/")

    assert (told["evaluated_at"], told["until"]) == (None, None)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
