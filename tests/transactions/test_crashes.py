"""Killed, stopped, cut off: what was committed stays, and the next run finishes."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.conf import settings as django_settings
from django.db import OperationalError, connection, connections, transaction

from elections.models import Constituency
from metrics.models import HourlyStats
from metrics.services import HourlyStatsService
from tests.beside import (
    DEADLINE_SECONDS,
    beside,
    stand_still,
    wait_until,
    waiting_sessions,
)
from tests.oracle import recount
from tests.tables import hourly_table, parse_table, totals_table
from tests.transactions.conftest import (
    environment_of_test_database,
    register_contracts,
)
from tests.transactions.lines import (
    A,
    B,
    content,
    fresh_contracts,
    hour_file,
    issue,
    rollback_of,
    vote,
)
from tests.transactions.test_exactness import expected_state, stored_state
from transactions.formats import UnusableFile
from transactions.loader import Loader
from transactions.models import BatchStatus, ImportBatch, Transaction
from transactions.services import ImportService
from transactions.services.summary import ImportSummary
from transactions.signals import ledger_committed

pytestmark = pytest.mark.django_db(transaction=True)

# The hour is there before, so that a test can hold its row and the loader waits for it.
BEFORE = hour_file("08:00", vote("v0", "10:01", key="k0"))
# With two rows per chunk: the second chunk is the first to touch 10:00.
FILE = hour_file(
    "09:00",
    issue("i1", "09:05", to="u1 u2"),
    vote("v1", "09:10", key="k1"),
    vote("v2", "10:10", key="k1"),
    issue("i2", "10:20"),
    rollback_of(issue("i1", "09:05", to="u1 u2")),
    vote("v3", "11:00", key="k3"),
)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr("transactions.loader.patience.FIRST_PAUSE_SECONDS", 0.02)


@contextmanager
def holding(rows):
    """Hold the locks of some rows, so that a loader waits for them."""
    with transaction.atomic():
        assert list(rows.select_for_update())
        yield


def ten_oclock():
    return HourlyStats.objects.filter(hour__hour=10)


def exact(election, *files):
    counted = recount([BEFORE, *files], {A: ZoneInfo("UTC")})
    assert stored_state(election) == expected_state(counted, [A])


# A process of its own -----------------------------------------------------------------


@pytest.fixture
def command(tmp_path):
    """Start `manage.py import_transactions` on a file, two rows per chunk."""
    started = []

    def start(name=FILE.name, text=None):
        path = tmp_path / name
        path.write_bytes(text or content(FILE))
        words = ["manage.py", "import_transactions", path, "--workers", "1", "--json"]
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=django_settings.BASE_DIR,
            env=os.environ
            | environment_of_test_database()
            | {"ELECTION_MONITOR_CHUNK_ROWS": "2"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_until_blocked(process):
    """Wait until the process waits for a lock that this test holds."""

    def is_blocked():
        assert process.poll() is None, process.stderr.read()
        return waiting_sessions()

    wait_until(is_blocked, "the chunk that is held up")


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait(DEADLINE_SECONDS)


def is_alone():
    """Tell whether the sessions of killed loaders have ended."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return cursor.fetchone() == (0,)


def finish(process):
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert "Traceback" not in err, err
    return process.returncode, json.loads(out)


def test_a_loader_killed_in_mid_chunk_is_finished_by_the_next(election, load, command):
    load(BEFORE)
    with holding(ten_oclock()):
        victim = command()
        wait_until_blocked(victim)
        kill(victim)
    wait_until(is_alone, "the end of the killed loader's session")
    left = ImportBatch.objects.get(status=BatchStatus.RUNNING)
    between = hourly_table()

    status, told = finish(command())

    left.refresh_from_db()
    assert between == parse_table("""
        hour  | bulletins_issued | votes_cast | transaction_count
        09:00 |                2 |          1 |                 2
        10:00 |                0 |          1 |                 1
    """)
    assert (left.status, left.chunks, left.rows_read) == (BatchStatus.INTERRUPTED, 1, 2)
    assert (status, told["rows_read"], told["accepted"]) == (0, 6, 4)
    exact(election, FILE)


PLAIN = b"""contract_id,timestamp,tx_id,operation,sender
%(A)s,2026-09-18T09:10Z,v1,vote_cast,k1
%(A)s,2026-09-18T10:10Z,v2,vote_cast,k1
%(B)s,2026-09-18T09:20Z,v1,vote_cast,k1
%(B)s,2026-09-18T09:30Z,v2,vote_cast,k2
""" % {b"A": A.encode(), b"B": B.encode()}


def test_a_loader_killed_between_chunks_is_finished_by_the_next(two_contracts, command):
    # The first chunk is all A; the second waits for B before it writes anything.
    with holding(Constituency.objects.filter(contract_id=B)):
        victim = command("rows.csv", PLAIN)
        wait_until_blocked(victim)
        kill(victim)
    wait_until(is_alone, "the end of the killed loader's session")
    left = ImportBatch.objects.get()
    between = totals_table()

    status, told = finish(command("rows.csv", PLAIN))

    left.refresh_from_db()
    assert between == parse_table(f"""
        name | votes_cast | revotes | transaction_count
        {A}  |          1 |       1 |                 2
        {B}  |          0 |       0 |                 0
    """)
    assert (left.status, left.chunks, left.rows_read) == (BatchStatus.INTERRUPTED, 1, 2)
    assert (status, told["accepted"], told["duplicate"]) == (0, 2, 2)
    assert totals_table() == parse_table(f"""
        name | votes_cast | revotes | transaction_count
        {A}  |          1 |       1 |                 2
        {B}  |          2 |       0 |                 2
    """)


def test_ctrl_c_finishes_the_chunk_in_hand_and_the_next_run_the_rest(
    election, load, command
):
    load(BEFORE)
    with holding(ten_oclock()):
        process = command()
        wait_until_blocked(process)
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE_SECONDS)

    stopped = ImportBatch.objects.exclude(status=BatchStatus.LOADED).get()
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "again to finish" in err
    assert json.loads(out)["rows_read"] == 4
    assert (stopped.chunks, stopped.rows_read) == (2, 4)
    exact(election, replace(FILE, lines=FILE.lines[:4]))

    status, _ = finish(command())

    stopped.refresh_from_db()
    assert stopped.status == BatchStatus.INTERRUPTED
    assert status == 0
    exact(election, FILE)


@contextmanager
def short_stillness():
    """Let the server end new sessions that stand still in a transaction for a second."""
    name = connection.settings_dict["NAME"]
    change = f'ALTER DATABASE "{name}" {{}} idle_in_transaction_session_timeout'
    with connection.cursor() as cursor:
        cursor.execute(change.format("SET") + " = '1s'")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(change.format("RESET"))


def test_a_loader_that_is_stopped_in_mid_chunk_holds_up_nobody_and_goes_on_later(
    election, load, command
):
    """Somebody pressed Ctrl-Z, or its machine sleeps."""
    load(BEFORE)
    with short_stillness():
        with holding(ten_oclock()):
            stopped = command()
            wait_until_blocked(stopped)
            stopped.send_signal(signal.SIGSTOP)
        # Its session has the lock now, and nobody to go on.
        status, told = finish(command())
        exact(election, FILE)
        stopped.send_signal(signal.SIGCONT)
        later_status, later_told = finish(stopped)

    assert (status, later_status) == (0, 0)
    assert told["rows_read"] == later_told["rows_read"] == 6
    assert told["accepted"] + later_told["accepted"] == 6
    exact(election, FILE)


# A connection that breaks -------------------------------------------------------------


def test_a_connection_that_breaks_in_mid_chunk_is_tried_again(
    election, load, write, settings
):
    load(BEFORE)
    settings.CHUNK_ROWS = 2
    files = write(FILE)
    with holding(ten_oclock()):
        importing = beside(lambda: ImportService().import_files(files))
        (first,) = wait_until(waiting_sessions, "the second chunk")
        connection.cursor().execute("SELECT pg_terminate_backend(%s)", [first])
        wait_until(lambda: waiting_sessions() - {first}, "the second try")

    assert importing.result(DEADLINE_SECONDS).rows_read == 6
    assert ImportBatch.objects.get(interval=FILE.interval).status == BatchStatus.LOADED
    exact(election, FILE)


def test_a_connection_that_breaks_between_chunks_is_opened_again(
    election, load, write, settings, monkeypatch
):
    load(BEFORE)
    settings.CHUNK_ROWS = 2
    after_chunks(monkeypatch, 2, lambda: connection.connection.close())

    summary = load(FILE)

    assert (summary.rows_read, summary.accepted) == (6, 6)
    exact(election, FILE)


def after_chunks(monkeypatch, number, action):
    """Do something after each of the first committed chunks."""
    load_chunk, actions = Loader.load, iter([action] * number)

    def load_and_act(loader, chunk):
        result = load_chunk(loader, chunk)
        next(actions, lambda: None)()
        return result

    monkeypatch.setattr(Loader, "load", load_and_act)


def answer_lost(raw):
    raw.commit()
    raw.close()


def never_arrived(raw):
    raw.close()


def arrives_late(raw):
    """Commit while the client asks already what became of it."""

    def commit():
        time.sleep(0.3)
        raw.commit()
        raw.close()

    threading.Thread(target=commit).start()


@contextmanager
def commits_that_fail(monkeypatch, number, fate):
    """Let the COMMIT with this number end in an error, whatever became of it."""
    wrapper = connections["default"]
    numbers = iter(range(1, 1_000))

    def commit(original=wrapper.commit):
        if next(numbers) != number:
            return original()
        raw, wrapper.connection = wrapper.connection, None
        fate(raw)
        raise OperationalError("server closed the connection unexpectedly")

    with monkeypatch.context() as patch:
        patch.setattr(wrapper, "commit", commit)
        yield


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("fate", [answer_lost, never_arrived, arrives_late])
def test_a_commit_without_an_answer_counts_once_and_is_told(
    election, load, settings, monkeypatch, number, fate
):
    load(BEFORE)
    settings.CHUNK_ROWS = 2
    told = []

    def hear(*, places, **_):
        told.append(places)

    ledger_committed.connect(hear)

    try:
        with commits_that_fail(monkeypatch, number, fate):
            summary = load(FILE)
    finally:
        ledger_committed.disconnect(hear)

    # Whoever keeps answers has to end them, once per chunk at least.
    assert len(told) >= 3
    assert {place for places in told for place in places} == {("duma", A)}

    batch = ImportBatch.objects.get(interval=FILE.interval)
    assert (summary.rows_read, summary.accepted) == (6, 6)
    assert (batch.rows_read, batch.accepted, batch.chunks) == (6, 6, 3)
    assert batch.status == BatchStatus.LOADED
    exact(election, FILE)


def test_a_database_that_stays_away_is_an_error_and_nothing_is_half_done(
    election, load, settings, monkeypatch
):
    load(BEFORE)
    settings.CHUNK_ROWS = 2
    monkeypatch.setattr("transactions.loader.patience.ATTEMPTS", 2)
    monkeypatch.setattr(HourlyStatsService, "apply", refusing_from(2))

    with pytest.raises(OperationalError):
        load(FILE)

    assert Transaction.objects.count() == 3
    assert ImportBatch.objects.get(interval=FILE.interval).status == BatchStatus.RUNNING


def refusing_from(number, original=HourlyStatsService.apply):
    """Return an `apply` that fails from this call on."""
    calls = iter(range(1, 1_000))

    def apply(service, deltas, *, now):
        if next(calls) >= number:
            raise OperationalError("the database system is shutting down")
        return original(service, deltas, now=now)

    return apply


def terminate():
    """End the session of this thread, as a restart of the server does."""
    pid = connection.connection.info.backend_pid
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@pytest.mark.parametrize(("lose", "least"), [(terminate, 20), (stand_still, 10)])
def test_whatever_statement_meets_a_lost_connection_the_import_goes_on(
    election, load, write, monkeypatch, lose, least
):
    """Also between two chunks: looking up, recording what is repeated or unusable."""
    monkeypatch.setattr("transactions.loader.patience.FIRST_PAUSE_SECONDS", 0)
    told: list[ImportSummary] = []
    lost = [0]
    while lost:
        known, unknown = next(fresh_contracts), next(fresh_contracts)
        register_contracts(election, known)
        first = hour_file("09:00", issue("i1"), contract_id=known)
        second = hour_file("10:00", vote("v1", "10:10"), contract_id=known)
        gone = hour_file("11:00", issue("i2", "11:10"), contract_id=known)
        waiting = hour_file("09:00", issue("i1"), contract_id=unknown)
        load(first)
        files = write(first, second, second, gone, waiting)
        Path(files[3].path).unlink()
        with connection_lost_at(len(told) + 1, lose) as lost:
            done = ImportService().refuse_files([UnusableFile(known, "odd", "Odd.")])
            done += ImportService().import_files(files)
        told.append(done)
        kept = ImportBatch.objects.filter(contract_id=known).order_by("id")
        assert [batch.status for batch in kept] == [
            *("loaded", "unchanged", "loaded", "unchanged", "failed")
        ]
        assert ImportBatch.objects.get(contract_id=unknown).status == "waiting"
        assert ImportBatch.objects.get(name=known).error_code == "odd"
        assert Transaction.objects.filter(constituency__contract_id=known).count() == 2

    assert len(told) > least
    assert {(done.files, done.accepted, done.rows_read) for done in told} == {(6, 1, 3)}


@contextmanager
def connection_lost_at(number, lose):
    """Lose the session of this thread before its n-th statement; yield what met that.

    Outside of a transaction nobody is ended for standing still.
    """
    statements, lost = itertools.count(1), []

    def execute_or_lose(execute, sql, params, many, context):
        can_be_lost = lose is terminate or connection.in_atomic_block
        if can_be_lost and next(statements) == number:
            lost.append(sql)
            lose()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(execute_or_lose):
        yield lost
