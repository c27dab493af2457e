"""Deliveries that once stopped an import, or left something behind for ever."""

from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from elections.models import Constituency, Election, Region
from metrics.services import HourlyStatsService, verify
from tests.tables import hourly_table, parse_table, totals_table
from tests.transactions.conftest import register_contracts
from tests.transactions.lines import A, B, contract, create, hour_file, issue, vote
from transactions.formats import discover
from transactions.models import (
    BatchStatus,
    ConflictingRow,
    ImportBatch,
    RejectedRow,
)
from transactions.queries import batches_to_look_at
from transactions.services import (
    ImportService,
    discard,
    import_paths,
    load_waiting,
)

pytestmark = pytest.mark.django_db

NOBODYS = contract(99)
HEADER = "contract_id,timestamp,tx_id,operation\n"


@pytest.fixture(autouse=True)
def waiting_files(settings, tmp_path) -> Path:
    settings.VAR_DIR = tmp_path / "var"
    return settings.VAR_DIR / "waiting"


def table(folder, *contracts: str) -> list[str]:
    """Write one vote per contract as plain columns; return the paths to import."""
    rows = "".join(
        f"{contract_id},2026-09-18T09:10Z,v-{contract_id},vote_cast\n"
        for contract_id in contracts
    )
    (folder / "rows.csv").write_text(HEADER + rows)
    return [str(folder / "rows.csv")]


def waiting() -> list[ImportBatch]:
    return list(ImportBatch.objects.filter(status=BatchStatus.WAITING))


def copies(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_contract_that_ends_before_it_begins_stops_nobody(load, election):
    impossible = create(
        "c1",
        startDateIssueBallots="18-09-2026 08:00:00",
        dateEnd="17-09-2026 08:00:00",
    )

    summary = load(hour_file("08:00", impossible), hour_file("09:00", vote("v1")))

    election.refresh_from_db()
    assert summary.accepted == 2
    assert f"{election.starts_at:%d %H:%M}" == "18 08:00"
    assert election.ends_at is None


def test_a_region_without_a_code_is_known_by_its_long_name(tmp_path):
    name = "Ханты-Мансийский автономный округ – Югра"
    folder = tmp_path / name / "e1" / "d1" / A
    folder.mkdir(parents=True)
    file = hour_file("09:00", vote("v1"))
    (folder / file.name).write_bytes(b"\n".join(file.lines))

    summary = import_paths([str(tmp_path)])

    assert summary.accepted == 1
    assert Region.objects.get().name == name


def test_a_table_with_unknown_contracts_waits_once_however_often_it_comes(
    election, tmp_path, waiting_files
):
    paths = table(tmp_path, A, NOBODYS)
    for _ in range(3):
        import_paths(paths)
    before = hourly_table()

    (batch,) = waiting()
    load_waiting([batch])

    (batch,) = waiting()
    assert copies(waiting_files) == ["rows.csv"]
    assert RejectedRow.objects.filter(resolved_by=None).count() == 1
    assert hourly_table() == before


def test_a_table_is_loaded_when_its_contracts_are_registered(
    election, tmp_path, waiting_files
):
    import_paths(table(tmp_path, A, NOBODYS))
    register_contracts(election, NOBODYS)

    load_waiting(waiting())

    assert waiting() == []
    assert copies(waiting_files) == []
    assert Constituency.objects.get(contract_id=NOBODYS).votes_cast == 1
    assert not RejectedRow.objects.filter(resolved_by=None).exists()


def test_a_waiting_file_can_be_given_up(election, tmp_path, waiting_files):
    import_paths(table(tmp_path, NOBODYS))

    discard(waiting())

    batch = ImportBatch.objects.get()
    assert (batch.status, batch.error) == ("failed", "Discarded by staff.")
    assert copies(waiting_files) == []


def test_a_waiting_batch_without_its_content_imports_nothing_else(
    election, tmp_path, monkeypatch
):
    import_paths(table(tmp_path, NOBODYS))
    ImportBatch.objects.update(source_path="")
    monkeypatch.chdir(tmp_path)

    summary = load_waiting(waiting())

    assert summary.files == 0


def test_a_third_file_that_equals_the_first_is_unchanged(load):
    one, other = hour_file("09:00", vote("v1")), hour_file("09:00", vote("v2"))

    summary = load(one, other, one)

    assert (summary.files, summary.files_unchanged) == (3, 1)


def test_empty_hours_of_other_constituencies_are_not_asked_for(
    two_contracts, load, write
):
    load(hour_file("09:00", contract_id=B))

    with CaptureQueriesContext(connection) as queries:
        ImportService().import_files(write(hour_file("09:00")))

    (asked,) = [
        query["sql"]
        for query in queries
        if "\"status\" = 'loaded'" in query["sql"] and "sha256" in query["sql"]
    ]
    assert A in asked
    assert B not in asked


def test_a_zone_that_changes_during_an_import_is_the_one_that_counts(
    election, load, write
):
    service = ImportService()
    first = write(hour_file("09:00", vote("v1", "09:10")))
    second = write(hour_file("10:00", vote("v2", "10:50", key="k2")))
    service.import_files(first)

    Election.objects.update(timezone="Asia/Kathmandu")
    service.import_files(second)
    HourlyStatsService().aggregate_hourly_stats_for_election(
        "duma", now=ImportBatch.objects.latest("id").started_at
    )

    assert list(verify()) == []
    assert totals_table() == parse_table("""
        votes_cast | transaction_count
                 2 |                 2
    """)


def test_what_was_repaired_is_no_longer_to_be_looked_at(election, tmp_path):
    path = tmp_path / f"{A}_2026-09-18_0900-1000.zip"
    path.write_bytes(b"PK\x03\x04 torn")
    import_paths([str(path)])
    assert [status for _, status, _ in batches_to_look_at()] == ["failed"]

    import_paths([str(path)])
    assert [(s, n) for _, s, n in batches_to_look_at()] == [("failed", 1)]


def test_a_dry_run_counts_constituencies_not_their_creations(
    tmp_path, monkeypatch, settings
):
    tree = tmp_path / "90 - Пермский край" / "Выборы" / "Округ 1"
    for hour in ("09:00", "10:00"):
        file = hour_file(hour, vote(f"v{hour}", hour, key=hour))
        (tree / A).mkdir(parents=True, exist_ok=True)
        (tree / A / file.name).write_bytes(b"\n".join(file.lines))
    monkeypatch.setattr("transactions.services.intake.Deliveries.WINDOW_FILES", 1)

    summary = import_paths([str(tmp_path)], is_trial=True)

    assert (len(summary.constituencies), len(summary.elections)) == (1, 1)
    assert not Constituency.objects.exists()


def test_a_network_folder_that_fails_in_mid_file_fails_the_file(
    election, write, monkeypatch
):
    (file,) = write(hour_file("09:00", issue("i1")))

    def torn(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("transactions.formats.export_file.ExportFile._content", torn)
    summary = ImportService().import_files([replace(file)])

    assert (summary.files_failed, summary.rows_read) == (1, 0)
    assert "Input/output error" in summary.problems[0][1]
    assert discover([file.path]).files


@pytest.mark.parametrize("year", ["0001", "1000", "9998"])
def test_a_contract_of_another_age_tells_no_times(load, election, client, year):
    absurd = create(
        "c1", dateStart=f"02-01-{year} 08:00:00", dateEnd=f"03-01-{year} 08:00:00"
    )

    load(hour_file("08:00", absurd), hour_file("09:00", vote("v1")))

    constituency = Constituency.objects.get()
    assert constituency.issue_opens_at is None
    assert constituency.voting_closes_at is None
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("year", ["0001", "9999"])
def test_a_file_named_for_another_age_is_refused_and_the_others_are_loaded(
    two_contracts, tmp_path, year
):
    (tmp_path / f"{B}_{year}-12-31_0000-0100.csv").write_bytes(vote("v1"))
    (tmp_path / f"{A}_2026-09-18_0900-1000.csv").write_bytes(vote("v2"))

    summary = import_paths([str(tmp_path)])

    assert (summary.accepted, summary.files_failed) == (1, 1)


def test_of_two_waiting_versions_the_one_that_came_first_is_loaded_first(
    election, tmp_path
):
    for folder, clock in (("one", "09:10"), ("two", "09:40")):
        (tmp_path / folder).mkdir()
        file = hour_file("09:00", vote("v1", clock), contract_id=NOBODYS)
        (tmp_path / folder / file.name).write_bytes(b"\n".join(file.lines))
    with connection.cursor() as cursor:
        sequence = "pg_get_serial_sequence('transactions_importbatch', 'id')"
        cursor.execute(f"SELECT setval({sequence}, 999998)")
    import_paths([str(tmp_path / "one")])
    import_paths([str(tmp_path / "two")])
    register_contracts(election, NOBODYS)

    load_waiting(waiting())

    conflict = ConflictingRow.objects.get()
    assert "09:10" in conflict.stored["timestamp"]
    assert "09:40" in conflict.incoming["timestamp"]


@pytest.mark.parametrize("contract_id", ["a/b", "..", "<b>", "=cmd", "Округ"])
def test_a_contract_id_that_no_address_can_hold_is_refused(
    election, tmp_path, contract_id
):
    paths = table(tmp_path, contract_id, A)

    summary = import_paths(paths, election=election)

    assert (summary.accepted, summary.rejected) == (1, 1)
    assert RejectedRow.objects.get().code == "contract_id_not_usable"
