"""From the commit to the refreshed metrics, by real workers and beats."""

import json

import pytest
import redis

from election_monitor.celery import app
from elections.models import Constituency
from metrics.models import ElectionMinute, MetricsUpdate
from metrics.services.wake_up import PROCESS_UPDATES
from tests.beside import wait_until
from tests.journeys.processes import Processes
from tests.transactions.conftest import election, write
from tests.transactions.lines import A, hour_file, issue, vote

__all__ = ["election", "write"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def processes(transactional_db):
    running = Processes()
    redis.Redis.from_url(running.redis_url).flushdb()
    yield running
    running.end_all()


@pytest.fixture
def export(election, write):
    """Return the path of an hour file with one issue and one vote."""
    [file] = write(hour_file("09:00", issue("i1"), vote("v1")))
    return str(file.path)


def is_refreshed() -> bool:
    return Constituency.objects.exclude(metrics_updated_at=None).exists()


def is_all_done() -> bool:
    # Old hours wait half a minute for more of their kind.
    updates = MetricsUpdate.objects.exclude(scope__startswith="history:")
    return updates.exists() and not updates.exclude(status="done").exists()


def test_every_task_that_is_sent_by_name_is_registered():
    app.loader.import_default_modules()

    sent = {PROCESS_UPDATES, "transactions.import_upload"}
    sent |= {entry["task"] for entry in app.conf.beat_schedule.values()}

    assert sent <= set(app.tasks)


def test_a_commit_wakes_the_worker(processes, export):
    processes.worker()

    processes.manage("import_transactions", export)

    wait_until(is_refreshed, "the constituency is refreshed")


def test_a_lost_message_is_made_up_for_by_the_sweep(processes, export, tmp_path):
    processes.manage("import_transactions", export)
    redis.Redis.from_url(processes.redis_url).flushdb()

    processes.worker()
    processes.beat(str(tmp_path / "beat"))

    wait_until(is_refreshed, "the constituency is refreshed")


def test_two_beats_and_two_workers_are_harmless(processes, export, tmp_path):
    for number in range(2):
        processes.worker()
        processes.beat(str(tmp_path / f"beat{number}"))

    processes.manage("import_transactions", export)

    wait_until(is_refreshed, "the constituency is refreshed")
    wait_until(is_all_done, "nothing waits any more")
    assert not MetricsUpdate.objects.filter(attempts__gt=1).exists()


def test_an_update_survives_the_worker_that_had_it_in_hand(processes, export, tmp_path):
    processes.manage("import_transactions", export)
    MetricsUpdate.objects.update(
        status="processing", attempts=1, locked_at="2026-09-18T12:00:00Z"
    )

    processes.kill(processes.worker())
    processes.worker()
    processes.beat(str(tmp_path / "beat"))

    wait_until(is_refreshed, "the constituency is refreshed")


def test_the_minutes_of_the_election_follow_its_constituencies(
    processes, export, tmp_path, monkeypatch
):
    processes.worker()
    processes.beat(str(tmp_path / "beat"))
    processes.manage("import_transactions", export)
    wait_until(is_refreshed, "the constituency is refreshed")
    # Old hours wait for more of their kind.
    MetricsUpdate.objects.filter(scope__startswith="history:").update(
        available_at="2026-09-18T12:00:00Z"
    )

    wait_until(ElectionMinute.objects.exists, "the series is counted")

    [minute] = ElectionMinute.objects.all()
    assert (minute.bulletins_issued, minute.votes_cast) == (1, 1)


def test_listeners_are_told_the_totals_of_what_was_committed(processes, export):
    processes.manage("import_transactions", export)

    stream = redis.Redis.from_url(processes.redis_url)
    [(_, event)] = stream.xrange("live:duma")

    place = Constituency.objects.get(contract_id=A)
    told = json.loads(event[b"data"])
    assert event[b"type"] == b"metrics"
    assert (
        told.items()
        >= {
            "constituency": A,
            "bulletins_issued": 1,
            "votes_cast": 1,
            "version": place.version,
        }.items()
    )
