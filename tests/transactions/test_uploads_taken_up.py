"""Uploads that were interrupted, sent twice or left behind: each row counts once."""

import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from celery import current_app
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from elections.locks import Lock, alone
from elections.models import Constituency
from tests.beside import (
    DEADLINE_SECONDS,
    beside,
    elsewhere,
    wait_until,
    waiting_sessions,
)
from tests.transactions.conftest import environment_of_test_database
from tests.transactions.lines import BROKEN, content, hour_file, vote
from tests.transactions.test_uploads_api import (
    NINE,
    TEN,
    counts,
    feeder,
    load_now,
    messages,
    own_files,
    poll,
    stored_files,
    upload,
    zipped,
)
from transactions import tasks
from transactions.loader import Loader
from transactions.models import ImportBatch, Upload
from transactions.services import load_upload, resume_uploads
from transactions.services.intake import Deliveries, mark_interrupted
from transactions.services.uploads import MAX_ATTEMPTS, RESEND_AFTER

pytestmark = pytest.mark.django_db


__all__ = ["feeder", "load_now", "messages", "own_files", "poll", "upload"]


def test_a_message_that_comes_twice_loads_once(upload, poll):
    told = upload(NINE.name, content(NINE))

    for _ in range(3):
        tasks.import_upload(batch_id=told["id"], of_a_newer_sender=1)

    assert counts(poll(told)) == (2, 2, 0, 0, 0)
    assert ImportBatch.objects.count() == 2


def test_a_message_about_nothing_does_nothing(db):
    tasks.import_upload(batch_id=7)

    assert not ImportBatch.objects.exists()


class Killed(BaseException):
    """Ends a worker wherever it is."""


def killed_after(monkeypatch, chunks):
    """Let the loader die before it begins this chunk, once."""
    load_chunk, numbers = Loader.load, iter(range(1_000))

    def load(loader, chunk):
        if next(numbers) == chunks:
            raise Killed
        return load_chunk(loader, chunk)

    monkeypatch.setattr(Loader, "load", load)


LONG = hour_file(
    "11:00",
    *(vote(f"w{n}", "11:10", key=f"q{n}") for n in range(5)),
    BROKEN,
    vote("w0", "11:10", key="q0"),
)


@pytest.mark.parametrize("chunks", range(5))
def test_an_upload_that_was_cut_off_is_finished_and_counts_each_row_once(
    upload, poll, settings, monkeypatch, chunks
):
    settings.CHUNK_ROWS = 2
    settings.CHUNK_FILES = 1
    text = zipped(NINE, hour_file("08:00"), LONG, **{"rows.parquet": b"PAR1"})
    told = upload("day.zip", text)
    killed_after(monkeypatch, chunks)
    with pytest.raises(Killed):
        load_upload(told["id"], clock=timezone.now)
    assert poll(told)["status"] == "running"
    assert stored_files() == ["day.zip"]

    tasks.import_upload(batch_id=told["id"])

    after = poll(told)
    assert (after["status"], after["files"]) == ("loaded", 4)
    assert after["rows_read"] == 9
    assert counts(after) == (9, 7, 1, 0, 1)
    assert stored_files() == []
    assert Constituency.objects.get().transaction_count == 7


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("window", "is_committed"), [(300, False), (1, True)])
@pytest.mark.parametrize("chunks", range(5))
def test_who_lost_an_upload_with_its_connection_leaves_it_alone(
    upload, poll, settings, monkeypatch, chunks, window, is_committed
):
    """It was stopped, or the database restarted, and another took the upload up."""
    settings.CHUNK_ROWS = 2
    settings.CHUNK_FILES = 1
    monkeypatch.setattr(Deliveries, "WINDOW_FILES", window)
    later = hour_file("13:00", vote("x", "13:10", key="x"))
    told = upload("day.zip", zipped(NINE, hour_file("08:00"), LONG, later))
    load_chunk, numbers = Loader.load, iter(range(1_000))

    def load(loader, chunk):
        is_last = next(numbers) == chunks
        result = load_chunk(loader, chunk) if is_committed else None
        if is_last:
            connection.close()
            elsewhere(lambda: load_upload(told["id"], clock=timezone.now))
        return result or load_chunk(loader, chunk)

    monkeypatch.setattr(Loader, "load", load)
    load_upload(told["id"], clock=timezone.now)

    after = poll(told)
    assert (after["status"], after["files"], after["files_done"]) == ("loaded", 4, 4)
    assert counts(after) == (10, 8, 1, 0, 1)
    assert Constituency.objects.get().transaction_count == 8


def test_progress_shows_while_it_is_loaded(upload, poll, settings, monkeypatch):
    settings.CHUNK_ROWS = 2
    settings.CHUNK_FILES = 1
    told = upload("day.zip", zipped(LONG, hour_file("08:00", vote("w", key="w"))))
    killed_after(monkeypatch, 2)
    with pytest.raises(Killed):
        load_upload(told["id"], clock=timezone.now)

    now = poll(told)

    assert (now["status"], now["files"], now["files_done"]) == ("running", 2, 1)
    assert (now["rows_read"], now["accepted"]) == (3, 3)


def test_an_upload_that_ends_its_worker_each_time_is_given_up(
    upload, poll, monkeypatch
):
    told = upload(NINE.name, content(NINE))

    def die(*_):
        raise Killed

    monkeypatch.setattr(Loader, "load", die)
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(Killed):
            load_upload(told["id"], clock=timezone.now)

    tasks.import_upload(batch_id=told["id"])

    assert poll(told)["status"] == "failed"
    assert poll(told)["error_code"] == "loading_ends_early"
    assert stored_files() == []


def test_a_stored_file_that_is_gone_is_told(upload, poll):
    told = upload(NINE.name, content(NINE))
    Path(ImportBatch.objects.get().source_path).unlink()

    tasks.import_upload(batch_id=told["id"])

    assert (poll(told)["status"], poll(told)["error_code"]) == ("failed", "file_gone")


def test_other_imports_do_not_take_an_upload_for_interrupted(upload, poll, monkeypatch):
    told = upload(NINE.name, content(NINE))
    killed_after(monkeypatch, 0)
    with pytest.raises(Killed):
        load_upload(told["id"], clock=timezone.now)

    mark_interrupted(timezone.now)

    assert poll(told)["status"] == "running"


# The sweep -------------------------------------------------------------------------


def test_the_sweep_sends_again_what_no_worker_took(upload, messages):
    told = upload(NINE.name, content(NINE))
    messages.clear()
    now = timezone.now() + RESEND_AFTER

    assert resume_uploads(timezone.now()) == []
    assert resume_uploads(now) == [told["id"]]
    assert resume_uploads(now + timedelta(seconds=1)) == []
    assert messages == [({"batch_id": told["id"]}, "import")]


def test_the_sweep_does_not_wait_for_a_clock_that_ran_ahead(upload, messages):
    told = upload(NINE.name, content(NINE))
    Upload.objects.update(sent_at=timezone.now() + timedelta(minutes=40))

    assert resume_uploads(timezone.now()) == [told["id"]]


def test_the_sweep_goes_on_while_the_broker_is_away(upload, monkeypatch):
    ids = [upload(file.name, content(file))["id"] for file in (NINE, TEN)]

    def send_task(name, **_):
        raise BrokerAway("connection refused")

    monkeypatch.setattr(current_app, "send_task", send_task)

    assert resume_uploads(timezone.now() + RESEND_AFTER) == ids


def test_the_sweep_leaves_alone_what_is_loaded(load_now, messages):
    load_now(NINE.name, content(NINE))
    messages.clear()

    assert resume_uploads(timezone.now() + RESEND_AFTER) == []
    assert messages == []


def test_the_sweep_removes_files_that_a_killed_worker_left(upload, monkeypatch):
    told = upload(NINE.name, content(NINE))
    with monkeypatch.context() as patch:
        patch.setattr("transactions.services.uploads._remove_file", lambda upload: None)
        tasks.import_upload(batch_id=told["id"])
    assert stored_files() == [NINE.name]

    tasks.resume_uploads()

    assert stored_files() == []
    assert ImportBatch.objects.get(pk=told["id"]).source_path == ""


@pytest.mark.django_db(transaction=True)
def test_a_second_worker_leaves_alone_what_the_first_has_in_hand(
    upload, poll, messages
):
    told = upload(NINE.name, content(NINE))
    taken, may_end = threading.Event(), threading.Event()

    def hold():
        with alone(Lock.RUNNING_BATCH, told["id"]):
            taken.set()
            may_end.wait(DEADLINE_SECONDS)

    first = beside(hold)
    assert taken.wait(DEADLINE_SECONDS)
    messages.clear()

    tasks.import_upload(batch_id=told["id"])
    assert resume_uploads(timezone.now() + RESEND_AFTER) == []
    assert (poll(told)["status"], messages) == ("queued", [])

    may_end.set()
    first.result(DEADLINE_SECONDS)
    tasks.import_upload(batch_id=told["id"])
    assert poll(told)["status"] == "loaded"


WORKER = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "election_monitor.settings"
import django
django.setup()
from django.conf import settings
from transactions import tasks
print("ready", flush=True)
tasks.import_upload(batch_id=int(sys.argv[1]))
"""


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_in_mid_file_is_followed_by_another(
    election, upload, poll, settings
):
    two = hour_file("09:00", *(vote(f"v{n}", key=f"k{n}") for n in range(6)))
    told = upload(two.name, content(two))
    environment = environment_of_test_database() | {"ELECTION_MONITOR_CHUNK_ROWS": "2"}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(told["id"])],
        cwd=django_settings.BASE_DIR,
        env=environment | {"PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        # Held up by this lock after it has begun.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN; LOCK TABLE transactions_transaction")
        wait_until(
            lambda: worker.poll() is not None or waiting_sessions(),
            "the worker waits for the table",
        )
        assert worker.poll() is None
        worker.send_signal(signal.SIGKILL)
        worker.wait(DEADLINE_SECONDS)
    finally:
        worker.kill()
        worker.communicate()
        with connection.cursor() as cursor:
            cursor.execute("COMMIT")

    def is_loaded():
        tasks.import_upload(batch_id=told["id"])
        return poll(told)["status"] == "loaded"

    wait_until(is_loaded, "the upload is taken up")

    assert counts(poll(told)) == (6, 6, 0, 0, 0)
    assert Constituency.objects.get().votes_cast == 6
