"""Staff take an alert from its opening to its resolution in the admin."""

import pytest
from django.urls import reverse
from django.utils import timezone

from anomalies.models import Evaluation, RuleSetting
from metrics.models import MetricsUpdate
from tests.anomalies.factories import make_alert
from tests.factories import make_election, make_staff, make_user

pytestmark = pytest.mark.django_db

WINDOW = {
    "hours": 1,
    "counted": 186.0,
    "expected": 18.6,
    "excess_interval": [156.0, 177.0],
    "p": 6.4e-44,
}


@pytest.fixture
def staff(client):
    user = make_staff(username="vera")
    client.force_login(user)
    return user


@pytest.fixture
def alert(db):
    alert = make_alert(evidence={"windows": [WINDOW]})
    constituency = alert.constituency
    constituency.stated_registered_voters = 400
    constituency.save(update_fields=["stated_registered_voters"])
    return alert


def page(alert):
    return reverse("admin:anomalies_alert_change", args=[alert.pk])


def save(client, alert, **fields):
    form = {
        "status": alert.status,
        "reason": alert.reason,
        "assigned_to": "",
        "note": "",
        "seen_version": alert.version,
    }
    return client.post(page(alert), {**form, **fields}, follow=True)


def test_the_list_names_rule_and_place(client, staff, alert):
    text = client.get(reverse("admin:anomalies_alert_changelist")).content.decode()

    assert "S01 Unusual flow" in text
    assert alert.constituency.name in text
    assert "warning" in text


def test_the_page_says_in_words_what_was_seen(client, staff, alert):
    text = client.get(page(alert)).content.decode()

    assert "40 ballots more than there should be, 10.0 % of the register." in text
    assert "fewer than 1 in 100 are expected to be chance" in text
    assert "Plain reasons can be:" in text
    assert "fraud" not in text.lower()
    assert "<td>186</td><td>18.6</td><td>+156 … +177</td>" in text


def test_the_page_shows_how_even_minutes_are(client, staff):
    window = {"hours": 6, "D": 168.4, "df": 324.0, "p": 3e-14}
    alert = make_alert(rule="S06", excess=None, evidence={"windows": [window]})

    text = client.get(page(alert)).content.decode()

    assert "The minutes are more alike than chance lets them be." in text
    assert "<td>6 h</td><td>168.4</td><td>324</td><td>3e-14</td>" in text


def test_an_alert_goes_from_active_to_resolved(client, staff, alert):
    save(client, alert, status="investigating", assigned_to=staff.pk, note="Called.")
    alert.refresh_from_db()
    save(client, alert, status="resolved", reason="A factory.", assigned_to=staff.pk)

    alert.refresh_from_db()
    assert (alert.status, alert.reason, alert.assigned_to) == (
        "resolved",
        "A factory.",
        staff,
    )
    text = client.get(page(alert)).content.decode()
    assert "Called." in text
    assert "<td>vera</td>" in text
    assert "the rules" in text


def test_who_was_slower_is_told_and_changes_nothing(client, staff, alert):
    seen = alert.version
    save(client, alert, status="investigating")

    answer = save(client, alert, status="resolved", seen_version=seen)

    assert "Nothing was changed" in answer.content.decode()
    alert.refresh_from_db()
    assert alert.status == "investigating"


def test_dismissing_asks_for_a_reason(client, staff, alert):
    answer = save(client, alert, status="dismissed")

    assert "Say in a sentence why it is dismissed." in answer.content.decode()
    alert.refresh_from_db()
    assert (alert.status, alert.version) == ("active", 1)


def test_several_are_taken_at_once(client, staff, alert):
    other = make_alert(election=alert.election)

    client.post(
        reverse("admin:anomalies_alert_changelist"),
        {"action": "take", "_selected_action": [alert.pk, other.pk]},
    )

    for each in (alert, other):
        each.refresh_from_db()
        assert (each.status, each.assigned_to) == ("investigating", staff)


def test_an_observer_in_the_admin_reads_and_changes_nothing(client, alert):
    observer = make_user("observer", is_staff=True)
    client.force_login(observer)

    assert client.get(page(alert)).status_code == 200
    assert save(client, alert, status="resolved").status_code == 403
    alert.refresh_from_db()
    assert alert.status == "active"


def test_the_list_is_filtered_by_rule_and_by_what_is_to_do(client, staff, alert):
    done = make_alert(election=alert.election, status="resolved", rule="S15")
    address = reverse("admin:anomalies_alert_changelist")

    by_rule = client.get(address, {"rule": "S15"}).context["cl"].result_list
    to_do = client.get(address, {"open": "yes"}).context["cl"].result_list

    assert list(by_rule) == [done]
    assert list(to_do) == [alert]


def setting(client, election, **fields):
    form = {"election": election.pk, "rule": "S01", "is_on": "on", "q": "", **fields}
    return client.post(reverse("admin:anomalies_rulesetting_add"), form, follow=True)


def test_a_threshold_is_set_for_one_election(client, staff):
    election = make_election()

    setting(client, election, q="0.01")

    assert RuleSetting.objects.get().q == 0.01
    update = MetricsUpdate.objects.get(scope=f"evaluate:{election.pk}")
    assert update.trigger == "manual"


@pytest.mark.parametrize("q", ["0.5", "0", "-1", "nan", "often"])
def test_a_threshold_outside_its_range_is_refused(client, staff, q):
    answer = setting(client, make_election(), q=q)

    assert answer.status_code == 200
    assert answer.context["errors"]
    assert not RuleSetting.objects.exists()


def test_a_logical_rule_has_no_threshold(client, staff):
    answer = setting(client, make_election(), rule="H01", q="0.05")

    assert "true or false" in answer.content.decode()
    assert not RuleSetting.objects.exists()


def test_staff_see_which_rules_could_not_be_applied_and_why(client, staff):
    election = make_election()
    evaluation = Evaluation.objects.create(
        election=election,
        evaluated_at=timezone.now(),
        tests=120,
        unverifiable={"H02": {"register_unknown": 7}, "S05": {"rule_failed": 0}},
    )

    listed = client.get(reverse("admin:anomalies_evaluation_changelist"))
    page = client.get(
        reverse("admin:anomalies_evaluation_change", args=[evaluation.pk])
    ).content.decode()

    assert "not everywhere: H02, S05" in listed.content.decode()
    assert "nobody states the register, in 7 constituencies" in page
    assert "the rule failed, as the log tells, everywhere" in page
    assert 'name="_save"' not in page


def test_an_evaluation_of_everything_says_so(client, staff):
    now = timezone.now()
    Evaluation.objects.create(election=make_election(), evaluated_at=now, until=now)

    text = client.get(reverse("admin:anomalies_evaluation_changelist")).content

    assert b"all applied" in text


@pytest.mark.parametrize(
    ("rule", "evidence", "shown"),
    [
        (
            "S17",
            {
                "jumps": [
                    {
                        "series": "votes_cast",
                        "from": "2026-09-18T13:25:00+00:00",
                        "counted": 40351.0,
                        "expected": 21257.0,
                        "z": 19.8,
                    }
                ]
            },
            ["16:25", "votes cast", "40,351", "21,257", "19.8"],
        ),
        (
            "H13",
            {"successes": 120.0, "trials": 400.0, "rate": 0.012, "points": 28.8},
            ["120 of 400", "30.00 %", "1.20 %", "+28.80"],
        ),
        ("S03", {"counted": 5000.0, "expected": 9000.0}, ["5,000", "9,000"]),
        ("S09", {"silent": 40, "judged": 60}, ["40 of 60", "–"]),
        ("S01", {"windows": [{"hours": 3, "counted": None}]}, ["3 h", "–"]),
    ],
    ids=["jump", "share", "total", "figures missing", "figure unknown"],
)
def test_figures_are_a_table_whatever_the_rule(client, staff, rule, evidence, shown):
    election = make_election(timezone="Europe/Moscow")
    alert = make_alert(
        election=election, constituency=None, rule=rule, evidence=evidence
    )

    text = client.get(page(alert)).content.decode()

    table = text.partition("field-compared_with")[2].partition("</table>")[0]
    assert [cell for cell in shown if f"<td>{cell}</td>" not in table] == []
