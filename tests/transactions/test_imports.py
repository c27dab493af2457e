"""Files on their way in: statuses, summaries, what waits, what is refused, what is told."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from io import StringIO

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from elections.models import Constituency, Election, Region
from metrics.models import HourlyStats
from tests.oracle import File
from tests.tables import hourly_table, parse_table, totals_table
from tests.transactions.conftest import (
    environment_of_test_database,
    register_contracts,
)
from tests.transactions.lines import (
    BROKEN,
    A,
    B,
    content,
    contract,
    dump,
    fail,
    hour_file,
    issue,
    other,
    rollback_of,
    vote,
)
from transactions.loader import Loader
from transactions.models import (
    BatchStatus,
    ConflictingRow,
    FeedHour,
    ImportBatch,
    RejectedRow,
    RollbackEvent,
    Transaction,
    VanishedRow,
)
from transactions.services import (
    CannotRetry,
    ImportService,
    import_paths,
    load_waiting,
    retry_rejected,
)

pytestmark = pytest.mark.django_db

NOBODYS = contract(99)
KEYS = [
    *("files", "files_unchanged", "files_waiting", "files_failed"),
    *("rows_read", "accepted", "duplicate", "conflicting", "rejected", "vanished"),
    *("bulletins_issued", "votes_cast", "elections", "constituencies", "seconds"),
]
HEADER = b"contract_id,timestamp,tx_id,operation,sender\n"


@pytest.fixture(autouse=True)
def waiting_files(settings, tmp_path):
    """Keep waiting files, and the signals of the command, to this test."""
    settings.VAR_DIR = tmp_path / "var"
    handlers = [(n, signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM)]
    yield settings.VAR_DIR / "waiting"
    for number, handler in handlers:
        signal.signal(number, handler)


@pytest.fixture
def folder(tmp_path):
    """Return an empty folder for exports."""
    path = tmp_path / "exports"
    path.mkdir()
    return path


def put(folder, *files: File):
    for file in files:
        (folder / file.name).write_bytes(content(file))


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def statuses():
    return list(ImportBatch.objects.order_by("id").values_list("status", flat=True))


def everything():
    """Return all that an import could change."""
    models = [Region, Election, Constituency, HourlyStats, Transaction, ImportBatch]
    models += [FeedHour, RejectedRow, ConflictingRow, VanishedRow, RollbackEvent]
    return [list(model.objects.order_by("pk").values()) for model in models]


def command(*words, workers="1"):
    """Run the command; return its exit status, its JSON and what it told on stderr."""
    out, err = StringIO(), StringIO()
    words = ["--workers", workers, "--json", *map(str, words)]
    with pytest.raises(SystemExit) as stop:
        call_command("import_transactions", *words, stdout=out, stderr=err)
    return stop.value.code, json.loads(out.getvalue()), err.getvalue()


# Again ----------------------------------------------------------------------------


def test_replaying_a_file_changes_nothing(load):
    file = hour_file("09:00", vote("v1"), issue("i1"), BROKEN)
    load(file)
    before = hourly_table(), totals_table()

    summary = load(file)

    assert (hourly_table(), totals_table()) == before
    assert statuses() == ["loaded", "unchanged"]
    assert (summary.files, summary.files_unchanged) == (1, 1)
    assert (summary.rows_read, summary.accepted, summary.duplicate) == (3, 0, 3)
    assert (summary.rejected, summary.bulletins_issued, summary.votes_cast) == (0, 0, 0)
    assert RejectedRow.objects.count() == FeedHour.objects.count() == 1


def test_two_copies_side_by_side_are_one_file_and_one_that_is_unchanged(load):
    file = hour_file("09:00", vote("v1"))

    load(file, file)

    assert statuses() == ["loaded", "unchanged"]


def test_the_same_content_of_another_hour_is_another_file(load):
    load(hour_file("09:00"), hour_file("10:00"))

    assert statuses() == ["loaded", "loaded"]


def test_packed_or_not_makes_no_difference(election, folder):
    file = hour_file("09:00", vote("v1"))
    put(folder, file)
    (folder / "a.zip").write_bytes(zipped({file.name: content(file)}))

    summary = import_paths([str(folder)])

    assert (summary.files, summary.files_unchanged) == (2, 1)


def test_a_file_that_failed_is_read_again(election, folder):
    path = folder / f"{A}_2026-09-18_0900-1000.zip"
    path.write_bytes(zipped({f"{path.stem}.csv": content(dump(vote("v1")))})[:-30])
    assert import_paths([str(folder)]).files_failed == 1

    path.write_bytes(zipped({f"{path.stem}.csv": content(dump(vote("v1")))}))
    summary = import_paths([str(folder)])

    assert (summary.files_failed, summary.accepted) == (0, 1)
    assert statuses() == ["failed", "loaded"]


def test_an_interrupted_file_is_finished(load, settings, monkeypatch):
    settings.CHUNK_ROWS = 1
    file = hour_file("09:00", vote("v1"), vote("v2", key="k2"), issue("i1"))
    pieces = iter([False, False, True, True, True])

    stopped = load(file, is_stopped=lambda: next(pieces))
    between = totals_table()
    summary = load(file)

    assert stopped.is_stopped
    assert between == parse_table("""
        votes_cast | transaction_count
                 2 |                 2
    """)
    assert statuses() == ["interrupted", "loaded"]
    assert (summary.rows_read, summary.accepted, summary.duplicate) == (3, 1, 2)
    assert FeedHour.objects.count() == 1


def test_a_batch_that_another_importer_is_loading_is_left_alone(
    load, write, settings, monkeypatch
):
    settings.CHUNK_ROWS = 1
    load_chunk, seen = Loader.load, []

    def load_and_let_another_start(loader, chunk):
        result = load_chunk(loader, chunk)
        ImportService().import_files([])
        seen.append(ImportBatch.objects.get().status)
        return result

    monkeypatch.setattr(Loader, "load", load_and_let_another_start)
    load(hour_file("09:00", other("o1"), other("o2"), other("o3")))

    batch = ImportBatch.objects.get()
    assert seen == ["running", "running", "loaded"]
    assert (batch.status, batch.error_code, batch.error) == ("loaded", "", "")


# Waiting ----------------------------------------------------------------------------


def test_a_file_of_an_unknown_contract_waits_and_the_others_go_on(
    load, election, waiting_files
):
    file = hour_file("09:00", vote("v1"), contract_id=NOBODYS)

    summary = load(file, hour_file("09:00", vote("v1")))

    waiting = ImportBatch.objects.get(status=BatchStatus.WAITING)
    assert (summary.files, summary.files_waiting, summary.accepted) == (2, 1, 1)
    assert waiting.error_code == "unknown_constituency"
    assert NOBODYS in waiting.error
    assert len(list(waiting_files.rglob("*.zip"))) == 1


def test_the_same_file_waits_once(load, waiting_files):
    file = hour_file("09:00", vote("v1"), contract_id=NOBODYS)

    load(file)
    load(file)

    assert statuses() == ["waiting"]


def test_a_waiting_file_is_loaded_when_its_contract_is_registered(
    load, election, waiting_files
):
    load(hour_file("23:00", vote("v1", "23:10"), contract_id=NOBODYS))
    register_contracts(election, NOBODYS)

    summary = load_waiting(ImportBatch.objects.filter(status=BatchStatus.WAITING))

    assert (summary.accepted, summary.files_waiting) == (1, 0)
    assert statuses() == ["loaded"]
    assert f"{FeedHour.objects.get().interval:%H:%M}" == "23:00"
    assert list(waiting_files.rglob("*.zip")) == []


def test_a_table_with_rows_of_unknown_contracts_is_loaded_and_waits_for_the_rest(
    election, folder, waiting_files
):
    table = HEADER + b"".join(
        b"%s,2026-09-18T09:10Z,%s,vote_cast,k1\n" % (owner.encode(), tx_id)
        for owner, tx_id in ((A, b"v1"), (NOBODYS, b"v2"))
    )
    (folder / "rows.csv").write_bytes(table)

    first = import_paths([str(folder)])
    register_contracts(election, NOBODYS)
    second = load_waiting(ImportBatch.objects.filter(status=BatchStatus.WAITING))

    assert (first.accepted, first.rejected, first.files_waiting) == (1, 1, 1)
    assert (second.accepted, second.duplicate, second.rejected) == (1, 1, 0)
    assert totals_table() == parse_table(f"""
        name      | votes_cast | transaction_count
        {A}       |          1 |                 1
        {NOBODYS} |          1 |                 1
    """)


# Refused lines, corrected -----------------------------------------------------------


def test_a_corrected_line_is_loaded_once(load):
    load(hour_file("09:00", BROKEN, issue("i1")))
    row = RejectedRow.objects.get()

    for _ in range(2):
        retry_rejected(row, vote("v1").decode())

    row.refresh_from_db()
    assert row.resolved_by is not None
    assert totals_table() == parse_table("""
        bulletins_issued | votes_cast | transaction_count
                       1 |          1 |                 2
    """)


def test_a_corrected_rollback_outranks_the_earlier_hour(load):
    load(hour_file("08:00", issue("i1")), hour_file("09:00", BROKEN))

    retry_rejected(RejectedRow.objects.get(), rollback_of(issue("i1")).decode())

    assert Transaction.objects.get().rolled_back


def test_a_corrected_line_of_a_table_is_loaded(election, folder):
    (folder / "rows.csv").write_bytes(HEADER + b"%s,oops,v1,vote_cast,\n" % A.encode())
    command(folder)

    retry_rejected(RejectedRow.objects.get(), f"{A},2026-09-18T09:10Z,v1,vote_cast,")

    assert totals_table() == parse_table("""
        votes_cast | transaction_count
                 1 |                 1
    """)


@pytest.mark.parametrize("corrected", ["", BROKEN.decode(), "a;b\nc;d"])
def test_a_line_that_still_cannot_be_read_stays_refused(load, corrected):
    load(hour_file("09:00", BROKEN))
    before = everything()

    with pytest.raises(CannotRetry):
        retry_rejected(RejectedRow.objects.get(), corrected)

    assert everything() == before


# A dry run --------------------------------------------------------------------------


def test_a_dry_run_says_what_an_import_would_do_and_changes_nothing(
    election, folder, load, waiting_files
):
    load(hour_file("09:00", vote("v1"), issue("i1")))
    tree = folder / "90 - Пермский край" / "Выборы" / "Округ 1" / B
    tree.mkdir(parents=True)
    put(tree, hour_file("09:00", vote("v1"), contract_id=B))
    put(
        folder,
        hour_file("09:00", fail(vote("v1"))),
        hour_file("10:00", BROKEN, vote("v2", "10:10", key="k2")),
        hour_file("09:00", contract_id=NOBODYS),
    )
    (folder / "notes.csv").write_bytes(b"nothing to see\n")
    before = everything()

    dry = command(folder, "--dry-run")
    after = everything()
    wet = command(folder)

    assert after == before
    assert not list(waiting_files.rglob("*.zip")) or wet[1]["files_waiting"] == 1
    assert (dry[0], dry[1] | {"seconds": 0}) == (wet[0], wet[1] | {"seconds": 0})
    assert dry[1]["accepted"] == 2


def test_a_dry_run_leaves_an_interrupted_batch_as_it_is(load, settings):
    settings.CHUNK_ROWS = 1
    pieces = iter([False, False, True, True])
    load(dump(vote("v1"), vote("v2")), is_stopped=lambda: next(pieces))
    before = everything()

    ImportService(is_trial=True).import_files([])

    assert everything() == before


@pytest.mark.django_db(transaction=True)
def test_a_dry_run_may_read_for_long_between_its_statements(election, write):
    """The database ends others that do nothing in a transaction, after a minute."""
    files = write(hour_file("09:00", vote("v1")), hour_file("10:00", vote("v2")))
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = 50")
    try:
        trial = ImportService(is_trial=True)
        summary = trial.import_files(files, on_file=lambda: time.sleep(0.2))
    finally:
        connection.close()

    assert summary.accepted == 2


# The command ------------------------------------------------------------------------


def test_the_summary_has_the_keys_of_the_contract(election, folder):
    put(folder, hour_file("09:00", vote("v1"), issue("i1", to="u1 u2")))

    status, told, err = command(folder)

    assert list(told) == KEYS
    assert (status, err) == (0, "")
    assert {k: v for k, v in told.items() if v and k != "seconds"} == {
        "files": 1,
        "rows_read": 2,
        "accepted": 2,
        "bulletins_issued": 2,
        "votes_cast": 1,
        "elections": 1,
        "constituencies": 1,
    }


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([BROKEN, vote("v1")], "rejected"),
        ([fail(vote("known"))], "conflicting"),
        ([issue("i1")], "vanished"),
    ],
)
def test_the_status_is_3_where_somebody_should_look(
    election, folder, load, lines, reason
):
    load(hour_file("09:00", vote("known")))
    put(folder, hour_file("09:00", *lines))

    status, told, _ = command(folder)

    assert (status, told[reason]) == (3, 1)


def test_the_status_is_3_for_a_waiting_file(election, folder):
    put(folder, hour_file("09:00", vote("v1"), contract_id=NOBODYS))

    status, told, err = command(folder)

    assert (status, told["files_waiting"]) == (3, 1)
    assert NOBODYS in err


@pytest.mark.parametrize("name", ["nothing", "notes.txt", "torn.zip"])
def test_the_status_is_1_where_nothing_is_usable(election, folder, name):
    if name != "nothing":
        (folder / name).write_bytes(b"PK\x03\x04 no archive")

    status, told, err = command(folder / name)

    assert (status, told["files_failed"]) == (1, 1)
    assert name in err
    assert statuses() == ["failed"]


def test_the_status_is_0_for_what_is_loaded_already(election, folder):
    put(folder, hour_file("09:00", vote("v1")))
    command(folder)

    status, told, _ = command(folder)

    assert (status, told["files_unchanged"], told["duplicate"]) == (0, 1, 1)


def test_unknown_contracts_are_created_below_the_election_given(folder):
    put(folder, hour_file("09:00", vote("v1"), contract_id=NOBODYS))

    status, told, _ = command(folder, "--election", "new-one")

    assert (status, told["accepted"]) == (0, 1)
    known = Constituency.objects.get(contract_id=NOBODYS)
    assert known.election.slug == "new-one"


@pytest.mark.parametrize("slug", ["Duma 2026", "выборы", "", "x" * 121])
def test_a_slug_that_no_address_can_hold_creates_nothing(folder, slug):
    put(folder, hour_file("09:00", vote("v1"), contract_id=NOBODYS))

    with pytest.raises(CommandError, match=f"--election “{slug}”: "):
        call_command("import_transactions", str(folder), "--election", slug)

    assert not Election.objects.exists()
    assert not ImportBatch.objects.exists()


def test_the_folders_create_region_election_and_constituency(folder):
    tree = folder / "90 - Пермский край" / "Выборы  депутатов" / "Округ №1_3" / B
    tree.mkdir(parents=True)
    put(tree, hour_file("09:00", vote("v1"), contract_id=B))

    command(folder)

    known = Constituency.objects.select_related("region", "election").get()
    assert (known.name, known.region.code, known.region.name) == (
        "Округ №1_3",
        "90",
        "Пермский край",
    )
    assert known.election.name == "Выборы  депутатов"


@pytest.mark.django_db(transaction=True)
def test_a_real_process_tells_the_same(election, folder):
    put(folder, hour_file("09:00", vote("v1"), BROKEN))
    put(folder, hour_file("10:00", vote("v2", "10:10", key="k2"), contract_id=NOBODYS))

    done = subprocess.run(
        [sys.executable, "manage.py", "import_transactions", str(folder), "--json"],
        cwd=django_settings.BASE_DIR,
        env=os.environ | environment_of_test_database(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    told = json.loads(done.stdout)
    assert list(told) == KEYS
    assert (done.returncode, told["accepted"], told["files_waiting"]) == (3, 1, 1)
    assert "Traceback" not in done.stderr
    assert NOBODYS in done.stderr


# Bad input (DOMAIN 5) ---------------------------------------------------------------


def changed(number: int, value: bytes) -> bytes:
    fields = vote("bad").split(b";")
    fields[number] = value
    return b";".join(fields)


BAD_LINES = {
    "truncated": vote("bad")[:-30],
    "no separators": b"just some words",
    "too many fields": vote("bad") + b";;",
    "wrong encoding": changed(0, b"\xff\xfe"),
    "empty id": changed(0, b""),
    "long id": changed(0, b"x" * 200),
    "NUL in the id": changed(0, b"a\0b"),
    "type 105": changed(1, b"105"),
    "time no number": changed(4, b"yesterday"),
    "time before 2000": changed(4, b"12"),
    "time after 2100": changed(4, b"4102444800000"),
    "time of 5,000 digits": changed(4, b"9" * 5_000),
    "params broken": changed(8, b'[{"key":'),
    "params no array": changed(8, b"{}"),
    "params without operation": changed(8, b"[]"),
    "diff broken": changed(9, b'[{"key"'),
    "diff no array": changed(9, b'"x"'),
    "unknown rollback": changed(11, b"-2"),
    "nested too deeply": changed(8, b"[" * 5_000),
    "issue without data": other("bad", operation="blindSigIssue").replace(
        b"MAIN_KEY", b"BLINDSIG_bad"
    ),
}


@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_never_stops_the_good_ones(election, folder, bad):
    put(folder, hour_file("09:00", vote("v1"), bad, issue("i1")))

    status, told, _ = command(folder)

    row = RejectedRow.objects.get()
    assert (status, told["accepted"], told["rejected"]) == (3, 2, 1)
    assert (row.line, row.message[-1]) == (2, ".")
    assert totals_table() == parse_table("""
        bulletins_issued | votes_cast | transaction_count
                       1 |          1 |                 2
    """)


def declared_too_small() -> bytes:
    """Return a zip archive whose member is larger than the directory says."""
    raw = bytearray(zipped({f"{B}_dump.csv": content(dump(vote("v1"))) * 50}))
    at = raw.index(b"PK\x01\x02") + 24
    raw[at : at + 4] = (10).to_bytes(4, "little")
    return bytes(raw)


GOOD = {f"{B}_dump.csv": content(dump(vote("v1")))}
BAD_FILES = {
    "truncated.zip": zipped(GOOD)[:-20],
    "no-archive.zip": b"PK\x03\x04garbage",
    "lies.zip": declared_too_small(),
    "bomb.zip": zipped({f"{B}_dump.csv": b"\0" * 70_000_000}),
    "empty.zip": zipped({}),
    "matryoshka.zip": zipped({"inner.zip": zipped(GOOD)}),
    f"{B}_2026-09-18_0930-0900.csv": content(dump(vote("v1"))),
    f"{B}_2026-13-45_0900-1000.csv": content(dump(vote("v1"))),
    "who-knows.csv": content(dump(vote("v1"))),
    "half.csv": b"contract_id,tx_id,operation\na,b,c\n",
    "rows.parquet": b"PAR1 no table PAR1",
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_never_stops_the_good_ones(two_contracts, folder, name):
    (folder / name).write_bytes(BAD_FILES[name])
    put(folder, hour_file("09:00", vote("v1")))

    status, told, err = command(folder)

    failed = ImportBatch.objects.exclude(status=BatchStatus.LOADED).get()
    assert (status, told["accepted"], told["files_failed"]) == (3, 1, 1)
    assert failed.status == BatchStatus.FAILED
    assert failed.error.endswith(".")
    assert failed.error_code
    assert "Traceback" not in err


def test_members_that_climb_out_of_their_archive_are_read_in_place(
    two_contracts, folder
):
    names = [f"../../{B}_dump.csv", f"/etc/{A}_dump.csv"]
    (folder / "climb.zip").write_bytes(
        zipped({name: content(dump(vote("v1"))) for name in names})
    )

    command(folder)

    assert not (folder.parent / f"{B}_dump.csv").exists()
    assert Transaction.objects.count() <= 2


def test_a_link_out_of_the_folder_is_refused(election, folder, tmp_path):
    put(tmp_path, hour_file("10:00", vote("v2")))
    name = hour_file("10:00").name
    (folder / name).symlink_to(tmp_path / name)
    put(folder, hour_file("09:00", vote("v1")))

    status, told, _ = command(folder)

    assert (status, told["accepted"], told["files_failed"]) == (3, 1, 1)


def test_several_exports_in_one_archive_are_files_of_their_own(two_contracts, folder):
    files = [hour_file("09:00", vote("v1")), dump(vote("v1"), contract_id=B)]
    (folder / "day.zip").write_bytes(zipped({f.name: content(f) for f in files}))

    _, told, _ = command(folder)

    assert (told["files"], told["accepted"], told["constituencies"]) == (2, 2, 2)


@pytest.mark.parametrize("end", ["0000", "2400"])
def test_the_last_hour_of_the_day_has_two_names(election, folder, end):
    (folder / f"{A}_2026-09-18_2300-{end}.csv").write_bytes(
        content(dump(vote("v1", "23:10")))
    )

    assert command(folder)[0] == 0
    assert f"{FeedHour.objects.get().interval:%H:%M}" == "23:00"


def test_numbers_beyond_all_measure_stop_nobody(election, folder):
    rows = b"".join(
        b"%s,2026-09-18T09:10Z,i%d,bulletin_issued,2147483647\n" % (A.encode(), n)
        for n in range(2)
    )
    (folder / "rows.csv").write_bytes(HEADER.replace(b"sender", b"quantity") + rows)
    put(folder, hour_file("09:00", vote("v1")))

    status, told, _ = command(folder)

    assert status == 3
    assert told["votes_cast"] == 1


# Two sources of one ledger ------------------------------------------------------------


def test_portal_and_plain_columns_tell_of_the_same_transaction(election, folder, load):
    load(hour_file("09:00", vote("v1", "09:10")))
    (folder / "rows.csv").write_bytes(
        HEADER + b"%s,2026-09-18T09:10:00Z,v1,vote_cast,\n" % A.encode()
    )

    _, told, _ = command(folder)

    assert (told["duplicate"], told["conflicting"]) == (1, 0)


def test_lines_with_and_without_a_sender_are_statements_about_one_id(election, folder):
    """They agree, so they take the ordinals 1 and 2 and the second one holds."""
    rows = [
        b"%s,2026-09-18T09:10Z,v1,vote_cast,k1,true\n",
        b"%s,2026-09-18T09:10Z,v1,vote_cast,,\n",
    ]
    header = HEADER.replace(b"sender", b"sender,rolled_back")
    (folder / "rows.csv").write_bytes(
        header + b"".join(row % A.encode() for row in rows)
    )

    command(folder)

    assert not Transaction.objects.get().rolled_back


def test_a_clock_can_be_given(load):
    moment = timezone.now()

    load(hour_file("09:00", vote("v1")), clock=lambda: moment)

    batch = ImportBatch.objects.get()
    assert batch.started_at == batch.finished_at == moment
