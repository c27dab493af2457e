"""What Celery runs, without Celery; the real worker is in tests/journeys."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from celery import current_app
from django.db import transaction

from elections.clock import database_now
from elections.locks import Lock, alone, key_of
from elections.models import Constituency, Election
from metrics import tasks
from metrics.models import MetricsUpdate, UpdateTrigger
from metrics.services import MetricsUpdateService, Request
from metrics.services.updates import handlers
from metrics.services.wake_up import PROCESS_UPDATES, wake_worker
from tests.admin_site import run_action, staff_client
from tests.beside import DEADLINE_SECONDS, beside, elsewhere
from tests.factories import make_staff
from tests.transactions.lines import hour_file, issue

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    "task", ["refresh_active_elections", "watch_feeds", "prune", "verify_sample"]
)
def test_a_periodic_task_that_runs_already_is_not_run_again(task, monkeypatch):
    called = []
    for name in ("MetricsUpdateService", "MinuteStatsService", "close_ended"):
        monkeypatch.setattr(tasks, name, lambda *_, name=name: called.append(name))
    with alone(Lock.PERIODIC_TASK, key_of(task)):
        assert elsewhere(getattr(tasks, task)) == 0
    assert called == []


def test_active_elections_are_asked_for(election):
    now = datetime.now(UTC)
    day = timedelta(days=1)
    Election.objects.update(starts_at=now - day, ends_at=now + day)

    assert tasks.refresh_active_elections() == 1

    update = MetricsUpdate.objects.get()
    assert (update.scope, update.trigger) == (f"election:{election.pk}", "scheduled")


def test_wake_ups_do_not_pile_up_before_a_single_process(monkeypatch):
    sent = []
    monkeypatch.setattr(
        current_app, "send_task", lambda name, **options: sent.append((name, options))
    )

    wake_worker()

    assert sent == [(PROCESS_UPDATES, {"expires": 60})]


def test_while_one_process_works_another_waits_for_what_is_due_soon(db, monkeypatch):
    """Else a second change of a constituency waits for the sweep, five seconds."""
    is_at_it, is_over, made = threading.Event(), threading.Event(), []

    def take_long(update, now):
        is_at_it.set()
        assert is_over.wait(30)

    def note(update, now):
        made.append(update.scope)
        is_over.set()

    monkeypatch.setitem(handlers._handlers, "long", take_long)
    monkeypatch.setitem(handlers._handlers, "test", note)
    ask_soon("long:1")
    first = beside(tasks.process_updates)
    assert is_at_it.wait(DEADLINE_SECONDS)
    ask_soon("test:1")

    tasks.process_updates()
    is_over.set()

    assert made == ["test:1"]
    assert first.result(DEADLINE_SECONDS) == 1


def ask_soon(scope):
    request = Request(scope, delay_seconds=0.2)
    with transaction.atomic():
        MetricsUpdateService().enqueue(
            [request], trigger=UpdateTrigger.SCHEDULED, now=database_now()
        )


@pytest.mark.parametrize("minutes", [-90, 90])
class TestClocksOfTwoMachines:
    """The queue goes by the database's clock, however wrong that of a machine is."""

    @pytest.fixture(autouse=True)
    def wrong_clock(self, monkeypatch, minutes):
        off = timedelta(minutes=minutes)
        monkeypatch.setattr(
            "django.utils.timezone.now", lambda: datetime.now(UTC) + off
        )

    def test_neither_takes_what_the_other_has_in_hand(self, election, load):
        load(hour_file("09:00", issue("i1")))
        [taken] = MetricsUpdateService().claim(limit=1, now=database_now())

        tasks.process_updates()

        update = MetricsUpdate.objects.get(pk=taken.id)
        assert (update.status, update.attempts) == ("processing", 1)
        assert update.lease_token == taken.lease_token

    def test_what_one_asks_for_the_other_makes_when_it_is_due(self, election, load):
        """A constituency that was refreshed a moment ago waits for its interval."""
        Election.objects.update(refresh_seconds=300)
        Constituency.objects.update(metrics_updated_at=database_now())
        MetricsUpdate.objects.all().delete()

        load(hour_file("09:00", issue("i1")))
        tasks.process_updates()

        update = MetricsUpdate.objects.get()
        assert update.status == "pending"
        assert 290 < (update.available_at - database_now()).total_seconds() < 300

    def test_what_a_person_asks_for_is_due_at_once(self, election, client):
        client.force_login(make_staff())
        asked = client.post(
            "/api/v1/metrics/updates/",
            {"election": election.slug},
            content_type="application/json",
        )
        assert asked.status_code == 202, asked.json()

        update = MetricsUpdate.objects.get(pk=asked.json()["id"])
        assert is_now(update.requested_at)

        tasks.process_updates()

        update.refresh_from_db()
        assert update.status == "done"

    def test_the_admin_asks_by_the_same_clock(self, two_contracts):
        run_action(staff_client(), "refresh", two_contracts)

        asked = MetricsUpdate.objects.get()
        assert is_now(asked.requested_at)
        assert is_now(asked.available_at)

    def test_the_admin_retries_by_the_same_clock(self, election, load):
        load(hour_file("09:00", issue("i1")))
        later = database_now() + timedelta(minutes=5)
        MetricsUpdate.objects.update(status="failed", available_at=later)
        run_action(staff_client(), "retry", MetricsUpdate.objects.get())

        assert is_now(MetricsUpdate.objects.get().available_at)


def is_now(moment):
    return abs(moment - database_now()) < timedelta(minutes=1)
