"""A folder that is watched: what has arrived is loaded, once, and nothing too early."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import OperationalError

from elections.locks import Lock, alone, key_of
from elections.models import Constituency, Election
from tests.beside import DEADLINE_SECONDS, at_once, beside
from tests.tables import parse_table, totals_table
from tests.transactions.conftest import environment_of_test_database
from tests.transactions.lines import (
    BROKEN,
    A,
    B,
    content,
    contract,
    hour_file,
    issue,
    vote,
)
from transactions.management.commands import watch_folder
from transactions.models import BatchStatus, ImportBatch
from transactions.services import FolderWatch, ImportService

pytestmark = pytest.mark.django_db

NOBODYS = contract(99)
NINE = hour_file("09:00", vote("v1"), issue("i1"))
TEN = hour_file("10:00", vote("v2", "10:10", key="k2"))


@pytest.fixture(autouse=True)
def own_files(settings, tmp_path):
    """Keep waiting files, and the signals of the command, to this test."""
    settings.VAR_DIR = tmp_path / "var"
    handlers = [(n, signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM)]
    yield
    for number, handler in handlers:
        signal.signal(number, handler)


@pytest.fixture
def folder(tmp_path, election) -> Path:
    path = tmp_path / "exports"
    path.mkdir()
    return path


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def passes(self, seconds):
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watcher(folder, clock):
    """Return a watch that takes a file for complete after two seconds."""

    def watcher(**options):
        return FolderWatch(folder, settle_seconds=2, monotonic=clock, **options)

    return watcher


def put(folder, *files):
    for file in files:
        (folder / file.name).write_bytes(content(file))


def told(arrivals):
    return {arrival.path.name: arrival.files for arrival in arrivals}


def arrivals_after(watch, clock, *, seconds=2.0):
    """Look twice, so long apart; return what the second look loaded."""
    assert watch.look() == []
    clock.passes(seconds)
    return watch.look()


# What has arrived, and what has not -------------------------------------------------


def test_what_has_arrived_is_loaded(folder, watcher, clock):
    put(folder, NINE, TEN)

    arrivals = arrivals_after(watcher(), clock)

    assert told(arrivals) == {NINE.name: {"loaded": 1}, TEN.name: {"loaded": 1}}
    assert [str(each) for each in arrivals] == [
        f"{NINE.name}: loaded",
        f"{TEN.name}: loaded",
    ]
    assert totals_table() == parse_table("""
        bulletins_issued | votes_cast | transaction_count
                       1 |          2 |                 3
    """)


def test_a_file_is_left_alone_until_it_is_old_enough(folder, watcher, clock):
    watch = watcher()
    put(folder, NINE)

    assert arrivals_after(watch, clock, seconds=1.9) == []
    clock.passes(0.1)
    assert len(watch.look()) == 1


def test_a_file_that_grows_is_left_alone(folder, watcher, clock):
    watch = watcher()
    path = folder / NINE.name
    for end in (40, 90, len(content(NINE))):
        path.write_bytes(content(NINE)[:end])
        assert watch.look() == []
        clock.passes(2)

    arrivals = watch.look()

    assert told(arrivals) == {NINE.name: {"loaded": 1}}
    assert ImportBatch.objects.get().rejected == 0


def test_a_file_that_is_written_over_in_its_size_is_left_alone(folder, watcher, clock):
    watch = watcher()
    put(folder, NINE)
    watch.look()
    clock.passes(2)
    os.utime(folder / NINE.name, ns=(1, 1))

    assert watch.look() == []
    clock.passes(2)
    assert len(watch.look()) == 1


@pytest.mark.parametrize(
    "name",
    [f".{NINE.name}", "manifest.json"]
    + [NINE.name + end for end in (".part", ".TMP", ".filepart", ".crdownload", "~")],
)
def test_names_of_unfinished_and_hidden_files_are_left_alone(
    folder, watcher, clock, name
):
    (folder / name).write_bytes(content(NINE))

    assert arrivals_after(watcher(), clock) == []
    assert not ImportBatch.objects.exists()


def test_a_file_that_is_renamed_when_it_is_whole_is_loaded(folder, watcher, clock):
    watch = watcher()
    part = folder / f"{NINE.name}.part"
    part.write_bytes(content(NINE))
    arrivals_after(watch, clock)
    part.rename(folder / NINE.name)

    assert told(arrivals_after(watch, clock)) == {NINE.name: {"loaded": 1}}


def test_a_tree_tells_elections_and_constituencies_as_in_an_import(
    folder, watcher, clock
):
    new = hour_file("09:00", vote("v1"), contract_id=NOBODYS)
    place = folder / "90 - Пермский край" / "Выборы губернатора" / "Округ №1"
    place.mkdir(parents=True)
    put(place, new)

    arrivals_after(watcher(), clock)

    created = Constituency.objects.get(contract_id=NOBODYS)
    assert (created.name, created.region.code) == ("Округ №1", "90")
    assert created.election.name == "Выборы губернатора"


def test_unknown_contracts_are_created_below_the_election_given(
    folder, watcher, clock, election
):
    put(folder, hour_file("09:00", vote("v1"), contract_id=NOBODYS))

    arrivals_after(watcher(election=election), clock)

    assert Constituency.objects.get(contract_id=NOBODYS).election == election


# Once -------------------------------------------------------------------------------


def test_a_file_is_not_even_read_again_while_it_stays_the_same(
    folder, watcher, clock, django_assert_num_queries
):
    watch = watcher()
    put(folder, NINE)
    arrivals_after(watch, clock)

    with django_assert_num_queries(0):
        assert arrivals_after(watch, clock, seconds=60) == []
    assert ImportBatch.objects.count() == 1


def test_a_file_that_changes_is_loaded_again(folder, watcher, clock):
    watch = watcher()
    put(folder, NINE)
    arrivals_after(watch, clock)
    put(folder, hour_file("09:00", vote("v1"), issue("i1"), issue("i2")))

    arrivals_after(watch, clock)

    assert Constituency.objects.get().bulletins_issued == 2


def test_after_a_restart_the_content_says_that_it_was_loaded(folder, watcher, clock):
    put(folder, NINE)
    arrivals_after(watcher(), clock)

    assert told(arrivals_after(watcher(), clock)) == {NINE.name: {"unchanged": 1}}


def test_files_that_are_no_exports_are_passed_over_once(folder, watcher, clock):
    (folder / "README").write_text("Exports of the portal")
    watch = watcher()

    assert arrivals_after(watch, clock) == []
    assert not watch.expects_more
    assert not ImportBatch.objects.exists()


def test_a_file_that_cannot_be_used_is_told_once_and_the_others_go_on(
    folder, watcher, clock
):
    watch = watcher()
    (folder / f"{B}_2026-09-18_0900-1000.zip").write_bytes(b"PK\x03\x04")
    put(folder, NINE)

    bad, good = sorted(arrivals_after(watch, clock), key=lambda each: each.is_done)

    assert (
        str(bad) == f"{bad.path.name}: failed. The zip archive is damaged or cut off."
    )
    assert good.files == {"loaded": 1}
    assert arrivals_after(watch, clock) == []
    assert ImportBatch.objects.filter(status=BatchStatus.FAILED).count() == 1


def test_an_archive_tells_of_all_its_files(folder, watcher, clock):
    unknown = hour_file("09:00", vote("v1"), contract_id=NOBODYS)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file in (NINE, TEN, unknown):
            archive.writestr(file.name, content(file))
        archive.writestr("rows.parquet", b"PAR1")
    (folder / "day!1.zip").write_bytes(buffer.getvalue())

    [arrival] = arrivals_after(watcher(), clock)

    assert arrival.files == {"loaded": 2, "waiting": 1, "failed": 1}
    assert str(arrival).startswith("day!1.zip: 1 failed, 2 loaded, 1 waiting. No const")


def test_a_link_that_leaves_the_folder_is_not_followed(
    folder, watcher, clock, tmp_path
):
    outside = tmp_path / NINE.name
    outside.write_bytes(content(NINE))
    (folder / NINE.name).symlink_to(outside)

    [arrival] = arrivals_after(watcher(), clock)

    assert arrival.files == {"failed": 1}
    assert Constituency.objects.get().transaction_count == 0


def test_a_broken_manifest_is_no_news_at_each_look(folder, watcher, clock):
    (folder / "manifest.json").write_text("{")
    watch = watcher()
    for file in (NINE, TEN):
        put(folder, file)
        arrivals_after(watch, clock)

    assert not ImportBatch.objects.filter(status=BatchStatus.FAILED).exists()


# Moved away -------------------------------------------------------------------------


def test_what_is_loaded_is_moved_away(folder, watcher, clock, tmp_path):
    (folder / "day").mkdir()
    put(folder / "day", NINE)

    arrivals_after(watcher(move_to=tmp_path / "loaded"), clock)

    assert list((folder / "day").iterdir()) == []
    moved = tmp_path / "loaded" / "day" / NINE.name
    assert moved.read_bytes() == content(NINE)


def test_what_failed_stays_and_what_waits_is_kept_elsewhere(
    folder, watcher, clock, tmp_path
):
    watch = watcher(move_to=tmp_path / "loaded")
    put(folder, hour_file("09:00", vote("v1"), contract_id=NOBODYS))
    (folder / "broken.zip").write_bytes(b"PK\x03\x04")

    arrivals_after(watch, clock)

    assert [path.name for path in folder.iterdir()] == ["broken.zip"]
    assert len(list((tmp_path / "var" / "waiting").rglob("*.zip"))) == 1


def test_nothing_that_was_moved_before_is_overwritten(folder, watcher, clock, tmp_path):
    watch = watcher(move_to=tmp_path / "loaded")
    versions = [NINE, hour_file("09:00", vote("v1"), issue("i1"), issue("i2"))]
    for version in versions:
        put(folder, version)
        arrivals_after(watch, clock)

    stem = NINE.name.removesuffix(".csv")
    assert {path.name for path in (tmp_path / "loaded").iterdir()} == {
        NINE.name,
        f"{stem} (2).csv",
    }


def test_the_folder_to_move_to_may_lie_inside_and_is_not_watched(
    folder, watcher, clock
):
    watch = watcher(move_to=folder / "done")
    put(folder, NINE)
    arrivals_after(watch, clock)

    assert arrivals_after(watch, clock) == []
    assert ImportBatch.objects.count() == 1


def test_a_file_that_cannot_be_moved_is_loaded_and_remembered(
    folder, watcher, clock, tmp_path
):
    (tmp_path / "loaded").write_text("a file, not a folder")
    watch = watcher(move_to=tmp_path / "loaded")
    put(folder, NINE)

    [arrival] = arrivals_after(watch, clock)

    assert "cannot be moved away" in str(arrival)
    assert arrivals_after(watch, clock) == []


# Two watchers -------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_moved", [False, True])
def test_two_watchers_on_one_folder_load_each_row_once(
    folder, two_contracts, tmp_path, is_moved
):
    files = [
        hour_file(f"{hour:02}:00", *lines, contract_id=contract_id)
        for hour in range(8, 20)
        for contract_id in (A, B)
        for lines in [
            [vote(f"v{hour}-{n}", "09:10", key=f"k{hour}-{n}") for n in (1, 2)]
        ]
    ]
    both_looked = threading.Barrier(2)

    def watch():
        watcher = FolderWatch(
            folder,
            settle_seconds=0,
            move_to=tmp_path / "loaded" if is_moved else None,
        )
        watcher.look()
        both_looked.wait(DEADLINE_SECONDS)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while watcher.expects_more and time.monotonic() < deadline:
            watcher.look()
        return watcher.summary

    put(folder, *files)
    summaries = at_once(watch, watch)

    assert sum(summary.accepted for summary in summaries) == 48
    assert [each.votes_cast for each in Constituency.objects.all()] == [24, 24]
    assert not ImportBatch.objects.filter(status=BatchStatus.FAILED).exists()
    assert len(list(folder.iterdir())) == (0 if is_moved else 24)


@pytest.mark.django_db(transaction=True)
def test_a_watcher_waits_while_another_loads(folder, watcher, clock):
    watch = watcher()
    put(folder, NINE)
    watch.look()
    clock.passes(2)
    held, may_end = threading.Event(), threading.Event()

    def hold():
        key = key_of(str(folder.resolve()))
        with alone(Lock.WATCHED_FOLDER, key) as is_alone:
            assert is_alone
            held.set()
            may_end.wait(DEADLINE_SECONDS)

    other = beside(hold)
    assert held.wait(DEADLINE_SECONDS)
    assert watch.look() == []
    may_end.set()
    other.result(DEADLINE_SECONDS)

    assert told(watch.look()) == {NINE.name: {"loaded": 1}}


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(b"t")])
def test_a_file_that_is_gone_or_changed_when_its_turn_comes_is_left_alone(
    folder, watcher, clock, monkeypatch, change
):
    watch = watcher()
    put(folder, NINE)
    complete = watch._complete

    def complete_and_change():
        found = complete()
        for path in found:
            change(path)
        return found

    monkeypatch.setattr(watch, "_complete", complete_and_change)

    assert arrivals_after(watch, clock) == []
    assert not ImportBatch.objects.exists()


# Stopped, and cut off ----------------------------------------------------------------


def test_a_stop_leaves_the_rest_for_the_next_time(folder, clock, watcher, settings):
    settings.CHUNK_ROWS = 1
    settings.CHUNK_FILES = 1
    put(folder, NINE, TEN)
    answers = iter([False, True])
    stopped = watcher(is_stopped=lambda: next(answers, True))
    assert arrivals_after(stopped, clock) == []
    assert Constituency.objects.get().transaction_count == 1

    arrivals = arrivals_after(watcher(), clock)

    assert told(arrivals) == {NINE.name: {"loaded": 1}, TEN.name: {"loaded": 1}}
    assert Constituency.objects.get().transaction_count == 3


def test_a_database_that_is_away_leaves_files_for_the_next_look(
    folder, watcher, clock, monkeypatch
):
    watch = watcher()
    put(folder, NINE)

    def fail(*_, **__):
        raise OperationalError("the database system is shutting down")

    with monkeypatch.context() as patch:
        patch.setattr(ImportService, "import_files", fail)
        with pytest.raises(OperationalError):
            arrivals_after(watch, clock)

    assert told(watch.look()) == {NINE.name: {"loaded": 1}}


def test_a_folder_that_is_away_does_not_look_empty(folder, watcher, clock):
    watch = watcher()
    folder.rmdir()

    with pytest.raises(FileNotFoundError):
        watch.look()


# The command -------------------------------------------------------------------------


def command(*words):
    """Run the command; return its exit status and what it told."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("watch_folder", *map(str, words), stdout=out, stderr=err)
        status = 0
    except SystemExit as stop:
        status = stop.code
    return status, out.getvalue(), err.getvalue()


def test_once_loads_what_is_there_and_ends(folder):
    put(folder, NINE)

    status, out, _ = command(folder, "--once", "--settle", 0)

    assert status == 0
    arrival, total = out.splitlines()
    assert arrival == f"{NINE.name}: loaded"
    assert total == (
        "1 files (0 unchanged, 0 waiting, 0 failed): 2 rows = 2 accepted + 0 duplicate "
        "+ 0 conflicting + 0 rejected; 0 vanished"
    )


def test_json_is_one_object_and_lines_for_people_go_elsewhere(folder):
    put(folder, hour_file("09:00", vote("v1"), BROKEN))

    status, out, err = command(folder, "--once", "--settle", 0, "--json")

    figures = json.loads(out)
    assert status == 3
    assert (figures["files"], figures["accepted"], figures["rejected"]) == (1, 1, 1)
    assert ": loaded\n" in err


def test_an_empty_folder_is_no_fault(folder):
    status, out, _ = command(folder, "--once", "--settle", 86_400)

    assert (status, out.startswith("0 files")) == (0, True)


def test_the_command_creates_the_election_it_is_told(folder):
    put(folder, hour_file("09:00", vote("v1"), contract_id=NOBODYS))

    command(folder, "--once", "--settle", 0, "--election", "new-one")

    assert Election.objects.get(slug="new-one").constituencies.count() == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "nowhere is no folder"),
        ([".", "--election", "no slug"], "--election"),
        ([".", "--interval", "-1"], "--interval takes seconds"),
        ([".", "--settle", "nan"], "--settle takes seconds"),
    ],
)
def test_what_makes_no_sense_is_told(db, words, sentence):
    with pytest.raises(CommandError, match=sentence):
        command(*words)


def test_the_command_goes_on_when_database_and_folder_come_back(folder, monkeypatch):
    put(folder, NINE)
    look, faults = FolderWatch.look, []
    wrong = iter([OperationalError("starting up"), OSError("gone"), None, None, None])

    def fail_and_look(watch):
        fault = next(wrong)
        if fault is not None:
            faults.append(fault)
            raise fault
        arrivals = look(watch)
        if arrivals:
            os.kill(os.getpid(), signal.SIGTERM)
        return arrivals

    monkeypatch.setattr(FolderWatch, "look", fail_and_look)
    monkeypatch.setattr(watch_folder.connection, "close", lambda: None)
    monkeypatch.setattr(watch_folder, "LONGEST_PAUSE_SECONDS", 0.05)

    status, out, err = command(folder, "--interval", 0.05, "--settle", 0)

    assert (status, len(faults)) == (0, 2)
    assert f"{NINE.name}: loaded" in out
    assert "starting up Looking again" in err


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_loads_what_arrives_until_it_is_stopped(folder, number):
    words = ["manage.py", "watch_folder", str(folder), "--interval", "0.1"]
    process = subprocess.Popen(
        [sys.executable, *words, "--settle", "0.1"],
        cwd=django_settings.BASE_DIR,
        env=os.environ | environment_of_test_database(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for file in (NINE, TEN):
            put(folder, file)
            assert process.stdout.readline() == f"{file.name}: loaded\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=DEADLINE_SECONDS)
    finally:
        process.kill()
        process.communicate()

    assert process.returncode == 0, err
    assert out.startswith("2 files (0 unchanged")
    assert Constituency.objects.get().transaction_count == 3
