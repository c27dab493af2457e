"""The update queue over HTTP and in the admin: see, ask, retry."""

import pytest
from django.urls import reverse
from django.utils import timezone

from metrics.models import MetricsUpdate, UpdateStatus
from metrics.services import MetricsUpdateService
from tests.factories import make_constituency, make_election, make_staff

PATH = "/api/v1/metrics/updates/"


@pytest.fixture
def place(db):
    return make_constituency(contract_id="A", election=make_election(slug="duma"))


@pytest.fixture
def staff(client, db):
    client.force_login(make_staff())
    return client


def post(client, body, path=PATH):
    return client.post(path, body, content_type="application/json")


@pytest.mark.parametrize("body", [{"election": "duma"}, {"constituency": "A"}])
def test_an_update_asked_for_by_hand_waits_in_the_queue(staff, place, body):
    answer = post(staff, body)

    [kind] = body
    pk = place.pk if kind == "constituency" else place.election.pk
    row = MetricsUpdate.objects.get()
    assert answer.status_code == 202
    assert (
        answer.json().items()
        >= {
            "id": row.pk,
            "scope": f"{kind}:{pk}",
            "trigger": "manual",
            "status": "pending",
        }.items()
    )


def test_asking_twice_is_one_update(staff, place):
    first = post(staff, {"election": "duma"}).json()
    second = post(staff, {"election": "duma"}).json()

    assert second["id"] == first["id"]
    assert second["requests"] == 2


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"election": "nobody"}, 404, "unknown_election"),
        ({"constituency": "nobody"}, 404, "unknown_constituency"),
        ({}, 400, "one_of_two"),
        ({"election": "duma", "constituency": "A"}, 400, "one_of_two"),
        ({"election": ["duma"]}, 400, "invalid"),
        ({"election": "x\0"}, 400, "null_characters_not_allowed"),
        ([], 400, "invalid"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(staff, place, body, status, code):
    answer = post(staff, body)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not MetricsUpdate.objects.exists()


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_queue_is_not_for_strangers(client, place, method):
    assert getattr(client, method)(PATH).status_code == 401


def test_an_update_can_be_seen_through(staff, place):
    asked = post(staff, {"constituency": "A"}).json()

    seen = staff.get(f"{PATH}{asked['id']}/")
    listed = staff.get(PATH, {"status": "pending"}).json()

    assert seen.json() == asked
    assert [row["id"] for row in listed["results"]] == [asked["id"]]


def test_the_api_tells_what_failed_without_the_traceback(staff, place):
    asked = post(staff, {"constituency": "A"}).json()
    MetricsUpdate.objects.update(
        status=UpdateStatus.DEAD, error="Traceback …\n  File x\nValueError: no\n"
    )

    assert staff.get(f"{PATH}{asked['id']}/").json()["error"] == "ValueError: no"


def test_a_dead_update_can_be_retried(staff, place):
    asked = post(staff, {"constituency": "A"}).json()
    MetricsUpdate.objects.update(status=UpdateStatus.DEAD, attempts=5)

    answer = staff.post(f"{PATH}{asked['id']}/retry/")

    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["attempts"]) == ("failed", 0)


def test_a_retry_that_a_worker_has_merged_already_is_answered_with_the_later_one(
    staff, place, monkeypatch
):
    asked = post(staff, {"constituency": "A"}).json()
    MetricsUpdate.objects.update(status=UpdateStatus.DEAD, attempts=5)
    later = post(staff, {"constituency": "A"}).json()
    retry = MetricsUpdateService.retry

    def retry_beside_a_worker(service, ids, *, now):
        done = retry(service, ids, now=now)
        service.process(limit=10, clock=timezone.now)
        return done

    monkeypatch.setattr(MetricsUpdateService, "retry", retry_beside_a_worker)

    answer = staff.post(f"{PATH}{asked['id']}/retry/")

    assert (answer.status_code, answer.json()["id"]) == (202, later["id"])


def test_what_still_waits_cannot_be_retried(staff, place):
    asked = post(staff, {"constituency": "A"}).json()

    answer = staff.post(f"{PATH}{asked['id']}/retry/")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_given_up")


class TestAdmin:
    def test_the_queue_names_what_is_updated(self, staff, place):
        post(staff, {"constituency": "A"})
        MetricsUpdate.objects.create(
            scope="nonsense",
            trigger="manual",
            priority=0,
            requested_at="2026-09-18T12:00Z",
            available_at="2026-09-18T12:00Z",
        )

        page = staff.get(reverse("admin:metrics_metricsupdate_changelist"))

        text = page.content.decode()
        assert place.name in text
        assert "nonsense" in text

    def test_staff_ask_for_a_refresh_from_the_list_of_elections(self, staff, place):
        staff.post(
            reverse("admin:elections_election_changelist"),
            {"action": "refresh", "_selected_action": [place.election.pk]},
        )

        assert MetricsUpdate.objects.get().scope == f"election:{place.election.pk}"

    def test_the_page_of_an_update_shows_its_traceback(self, staff, place):
        post(staff, {"constituency": "A"})
        MetricsUpdate.objects.update(status="dead", error="Traceback\nKeyError: <b>")
        row = MetricsUpdate.objects.get()

        page = staff.get(reverse("admin:metrics_metricsupdate_change", args=[row.pk]))

        assert "KeyError: &lt;b&gt;" in page.content.decode()

    def test_run_now_makes_it_manual_and_retry_revives(self, staff, place):
        post(staff, {"constituency": "A"})
        MetricsUpdate.objects.update(status="dead", attempts=5, trigger="scheduled")
        row = MetricsUpdate.objects.get()
        address = reverse("admin:metrics_metricsupdate_changelist")

        staff.post(address, {"action": "retry", "_selected_action": [row.pk]})
        row.refresh_from_db()
        assert (row.status, row.attempts) == ("failed", 0)

        staff.post(address, {"action": "run_now", "_selected_action": [row.pk]})
        assert MetricsUpdate.objects.get(status="pending").trigger == "manual"
