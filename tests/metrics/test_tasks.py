"""What Celery runs, without Celery; the real worker is in tests/journeys."""

from datetime import UTC, datetime, timedelta

import pytest
from celery import current_app

from elections.locks import Lock, alone, key_of
from elections.models import Election
from metrics import tasks
from metrics.models import MetricsUpdate
from metrics.services.wake_up import PROCESS_UPDATES, wake_worker
from tests.elections.test_locks import elsewhere

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
