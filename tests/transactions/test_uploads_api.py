"""Files uploaded over HTTP: stored, queued, loaded by a worker, and told of."""

import io
import zipfile
from pathlib import Path

import pytest
from celery import current_app
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerAway

from elections.models import Constituency, Election
from tests.feed import make_batch
from tests.tables import parse_table, totals_table
from tests.transactions.conftest import register_contracts
from tests.transactions.lines import (
    BROKEN,
    A,
    content,
    contract,
    hour_file,
    issue,
    vote,
)
from tests.transactions.test_api_batches import client_of
from transactions import tasks
from transactions.models import BatchKind, BatchStatus, ImportBatch, Upload
from transactions.queries import batches_to_look_at, newest_file
from transactions.services import (
    IMPORT_UPLOAD,
    UnusableName,
    discard,
    load_waiting,
    receive_upload,
)

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/imports/"
NOBODYS = contract(99)
NINE = hour_file("09:00", vote("v1"), issue("i1"))
TEN = hour_file("10:00", vote("v2", "10:10", key="k2"), BROKEN)
COUNTS = ["rows_read", "accepted", "duplicate", "conflicting", "rejected"]


@pytest.fixture(autouse=True)
def own_files(settings, tmp_path):
    """Keep stored and waiting files to this test."""
    settings.VAR_DIR = tmp_path / "var"
    settings.MEDIA_ROOT = settings.VAR_DIR / "media"


@pytest.fixture(autouse=True)
def messages(monkeypatch):
    """Collect what is sent to workers: tests run the tasks themselves."""
    sent = []

    def send_task(name, kwargs=None, queue=None, **_):
        # Figures are refreshed by tasks, too.
        if name == IMPORT_UPLOAD:
            sent.append((kwargs, queue))

    monkeypatch.setattr(current_app, "send_task", send_task)
    return sent


@pytest.fixture
def feeder(election) -> Client:
    return client_of("feeder")


@pytest.fixture
def upload(feeder):
    """Upload a file; return the answer, whose status has to be the one stated."""

    def upload(name, text, status=202, **fields):
        data = {"file": SimpleUploadedFile(name, text), **fields}
        response = feeder.post(ADDRESS, data)
        assert response.status_code == status, response.content
        return response.json()

    return upload


@pytest.fixture
def poll(feeder):
    """Return what an import is told to be, or a list of its rows."""

    def poll(told, rows=""):
        response = feeder.get(f"{ADDRESS}{told['id']}/{rows}")
        assert response.status_code == 200, response.content
        return response.json()

    return poll


@pytest.fixture
def load_now(upload, poll):
    """Upload a file, run the task as a worker would, and return what is told then."""

    def load_now(name, text, **fields):
        told = upload(name, text, **fields)
        tasks.import_upload(batch_id=told["id"])
        return poll(told)

    return load_now


def zipped(*files, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.writestr(file.name, content(file))
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def stored_files() -> list[str]:
    root = Path(django_settings.MEDIA_ROOT)
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def counts(told) -> tuple[int, ...]:
    return tuple(told[name] for name in COUNTS)


def members_of(told) -> list[tuple[str, str]]:
    members = ImportBatch.objects.filter(parent=told["id"]).order_by("id")
    return list(members.values_list("name", "status"))


# On its way ------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_upload_is_stored_and_queued(upload, messages, feeder):
    told = upload(NINE.name, content(NINE))

    assert (told["kind"], told["name"]) == ("upload", NINE.name)
    assert (told["status"], told["files"], told["rows_read"]) == ("queued", None, 0)
    assert stored_files() == [NINE.name]
    assert messages == [({"batch_id": told["id"]}, "import")]
    assert Upload.objects.get().uploaded_by.username == "user0"
    assert not Constituency.objects.get().transaction_count


def test_the_tasks_are_registered():
    current_app.loader.import_default_modules()

    assert "transactions.import_upload" in current_app.tasks
    assert "transactions.resume_uploads" in current_app.tasks


def test_a_worker_loads_it_and_the_stored_file_is_removed(load_now):
    told = load_now(NINE.name, content(NINE))

    assert (told["status"], told["files"], told["files_done"]) == ("loaded", 1, 1)
    assert counts(told) == (2, 2, 0, 0, 0)
    assert told["finished_at"] >= told["started_at"]
    assert stored_files() == []
    assert totals_table() == parse_table("""
        bulletins_issued | votes_cast | transaction_count
                       1 |          1 |                 2
    """)


def test_a_zip_is_one_upload_and_a_batch_for_each_file(load_now, poll):
    told = load_now("day.zip", zipped(NINE, TEN))

    assert members_of(told) == [
        (f"day.zip!{NINE.name}", "loaded"),
        (f"day.zip!{TEN.name}", "loaded"),
    ]
    assert (told["status"], told["files"], told["files_done"]) == ("loaded", 2, 2)
    assert counts(told) == (4, 3, 0, 0, 1)
    rejected = poll(told, "rejected/")["results"]
    assert [(row["line"], row["raw"]) for row in rejected] == [(2, BROKEN.decode())]
    assert rejected[0]["file"] == f"day.zip!{TEN.name}"


def test_a_file_that_is_large_enough_for_the_disk_is_moved(upload, settings):
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 10

    upload(NINE.name, content(NINE))

    stored = Path(ImportBatch.objects.get().source_path)
    assert stored.read_bytes() == content(NINE)


def test_the_same_file_again_is_unchanged(load_now):
    load_now(NINE.name, content(NINE))

    told = load_now("again.zip", zipped(NINE))

    assert told["status"] == "unchanged"
    assert counts(told) == (2, 0, 2, 0, 0)


def test_an_empty_hour_file_is_data(load_now):
    empty = hour_file("11:00")

    told = load_now(empty.name, b"")

    assert (told["status"], told["error"], told["files"]) == ("loaded", "", 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", [BrokerAway("connection refused"), OSError("gone")])
def test_a_broker_that_is_away_fails_no_upload(upload, monkeypatch, fault):
    asked = []

    def send_task(name, **_):
        asked.append(name)
        raise fault

    monkeypatch.setattr(current_app, "send_task", send_task)

    assert upload(NINE.name, content(NINE))["status"] == "queued"
    assert asked == [IMPORT_UPLOAD]


def test_an_upload_names_the_election_of_unknown_contracts(load_now):
    new = hour_file("09:00", vote("v1"), contract_id=NOBODYS)

    told = load_now(new.name, content(new), election="duma")

    assert (told["status"], told["election"]) == ("loaded", "duma")
    created = Constituency.objects.get(contract_id=NOBODYS)
    assert created.election.slug == "duma"


def test_an_election_that_is_gone_when_the_file_is_loaded_fails_it(upload, poll):
    other = Election.objects.create(slug="other", name="Other")
    told = upload(NINE.name, content(NINE), election="other")
    other.delete()

    tasks.import_upload(batch_id=told["id"])

    assert poll(told)["error_code"] == "election_gone"
    assert not ImportBatch.objects.exclude(pk=told["id"]).exists()


# Waiting ---------------------------------------------------------------------------


UNKNOWN = hour_file("09:00", vote("v1"), contract_id=NOBODYS)


def test_an_upload_of_an_unknown_contract_waits_until_it_is_registered(
    load_now, poll, election
):
    told = load_now("day.zip", zipped(NINE, UNKNOWN))
    assert (told["status"], told["error_code"]) == ("waiting", "unknown_constituency")
    assert stored_files() == []
    register_contracts(election, NOBODYS)

    waiting = ImportBatch.objects.filter(status=BatchStatus.WAITING)
    load_waiting(waiting.exclude(kind=BatchKind.UPLOAD))

    after = poll(told)
    assert (after["status"], after["error"]) == ("loaded", "")
    assert counts(after) == (3, 3, 0, 0, 0)


def test_the_same_waiting_file_shows_in_each_upload_that_brought_it(
    load_now, poll, election
):
    uploads = [load_now(UNKNOWN.name, content(UNKNOWN)) for _ in range(2)]
    assert [each["status"] for each in uploads] == ["waiting", "waiting"]
    register_contracts(election, NOBODYS)

    load_waiting(list(ImportBatch.objects.exclude(kind=BatchKind.UPLOAD)))

    assert [poll(each)["status"] for each in uploads] == ["loaded", "loaded"]
    assert Constituency.objects.get(contract_id=NOBODYS).votes_cast == 1


def test_an_upload_whose_waiting_file_is_discarded_has_failed(load_now, poll):
    told = load_now(UNKNOWN.name, content(UNKNOWN))

    discard(ImportBatch.objects.filter(parent=told["id"]))

    assert (poll(told)["status"], poll(told)["error_code"]) == ("failed", "discarded")


# Not what they say -----------------------------------------------------------------


def bomb() -> bytes:
    return zipped(**{NINE.name: b"0" * (65 << 20)})


@pytest.mark.parametrize(
    ("name", "make", "code"),
    [
        (f"{NINE.name[:-4]}.zip", lambda: b"PK\x03\x04 no zip", "broken_zip"),
        (f"{NINE.name[:-4]}.zip", lambda: b"", "broken_zip"),
        ("day.zip", lambda: zipped(NINE)[:-40], "broken_zip"),
        ("day.zip", lambda: zipped(), "zip_without_export"),
        ("day.zip", bomb, "zip_bomb"),
        ("day.zip", lambda: zipped(**{"a.zip": zipped(NINE)}), "zip_in_zip"),
        ("rows.parquet", lambda: b"PAR1 no parquet", "broken_parquet"),
        ("picture.png", lambda: b"\x89PNG\r\n", "unknown_kind"),
        ("notes.csv", lambda: b"a;b\n1;2\n", "missing_column"),
        ("rows.csv", lambda: b"tx_id,operation\nv1,vote_cast\n", "missing_column"),
        (
            f"{A}_2026-13-01_0900-1000.csv",
            lambda: content(NINE),
            "interval_inconsistent",
        ),
    ],
)
def test_a_file_that_is_not_what_it_says_fails_with_its_reason(
    load_now, name, make, code
):
    told = load_now(name, make())

    assert (told["status"], told["error_code"]) == ("failed", code)
    assert told["error"]
    assert counts(told) == (0, 0, 0, 0, 0)
    assert stored_files() == []


def test_portal_lines_in_a_wrong_encoding_are_refused_and_the_others_loaded(load_now):
    text = content(NINE) + "ошибка;104\n".encode("cp1251")

    told = load_now(NINE.name, text)

    assert (told["status"], counts(told)) == ("loaded", (3, 2, 0, 0, 1))


def test_a_bad_member_does_not_stop_the_others(load_now, poll):
    told = load_now("day.zip", zipped(NINE, **{"rows.parquet": b"PAR1"}))

    assert (told["status"], told["error_code"]) == ("loaded", "some_files_failed")
    assert "1 file could not be used, such as day.zip!rows.parquet:" in told["error"]
    assert counts(told) == (2, 2, 0, 0, 0)


def test_where_a_file_is_stored_is_not_told(load_now, poll, feeder):
    told = load_now("picture.png", b"\x89PNG\r\n")

    listed = feeder.get(ADDRESS).content.decode()
    assert members_of(told) == [("picture.png", "failed")]
    assert str(django_settings.VAR_DIR) not in listed


def test_names_of_members_that_try_to_climb_write_nothing(load_now, tmp_path):
    before = set(tmp_path.rglob("*"))

    told = load_now("day.zip", zipped(**{f"../../../{NINE.name}": content(NINE)}))

    written = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert (told["status"], told["accepted"]) == ("loaded", 2)
    assert written <= before


# Names -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../x.csv", "/etc/x.csv", "a\\x.csv", "x\0.csv", "x\n.csv"),
        *("я" * 130 + ".csv", "\udc80.csv"),
    ],
)
def test_a_name_that_is_none_of_a_file_is_refused(db, name):
    with pytest.raises(UnusableName):
        receive_upload(ContentFile(b""), name=name, now=timezone.now())

    assert stored_files() == []
    assert not ImportBatch.objects.exists()


@pytest.mark.parametrize("path", ["../../", "/etc/", "C:\\Temp\\"])
def test_of_a_path_in_the_request_only_the_name_is_taken(feeder, path):
    body = (
        '--x\r\nContent-Disposition: form-data; name="file"; '
        f'filename="{path}{NINE.name}"\r\n\r\nline\r\n--x--\r\n'
    )

    response = feeder.post(ADDRESS, body, "multipart/form-data; boundary=x")

    stored = Path(ImportBatch.objects.get().source_path)
    assert response.json()["name"] == stored.name == NINE.name
    assert stored.is_relative_to(django_settings.MEDIA_ROOT / "uploads")


def test_a_name_that_is_too_long_is_an_error_of_its_field(upload):
    told = upload("я" * 130 + ".csv", b"", status=400)

    assert told["code"] == "file_name_not_usable"
    assert "file" in told


def test_names_are_kept_as_published(load_now):
    name = f"Округ №1_3 {A}.csv"

    told = load_now(name, b"contract_id,timestamp,tx_id,operation\n")

    assert (told["name"], told["status"]) == (name, "loaded")


# The request -----------------------------------------------------------------------


def test_a_request_without_a_file_is_an_error(feeder):
    response = feeder.post(ADDRESS, {"election": "duma"})

    assert response.status_code == 400
    assert response.json() == {"file": ["No file was submitted."], "code": "required"}


def test_text_in_place_of_a_file_is_an_error(feeder):
    response = feeder.post(ADDRESS, {"file": "text"})

    assert (response.status_code, response.json()["code"]) == (400, "invalid")


@pytest.mark.parametrize("slug", ["nobodys", "a\0b", "x" * 1_000])
def test_an_election_that_nobody_knows_is_an_error(upload, slug):
    told = upload(NINE.name, content(NINE), status=400, election=slug)

    assert "election" in told
    assert stored_files() == []
    assert not ImportBatch.objects.exists()


def test_json_is_no_upload(feeder):
    response = feeder.post(ADDRESS, {"file": "x"}, "application/json")

    assert response.status_code == 415


@pytest.mark.parametrize("body", [b"", b"--x", b"--x\r\nno form at all"])
def test_a_broken_form_is_an_error(feeder, body):
    response = feeder.post(ADDRESS, body, "multipart/form-data; boundary=x")

    assert response.status_code == 400


def test_a_file_that_is_too_large_is_refused(upload, settings):
    settings.UPLOAD_BYTES = 10

    told = upload(NINE.name, content(NINE), status=413)

    assert told["code"] == "file_too_large"
    assert stored_files() == []


def test_a_body_that_is_too_large_is_refused_unread(feeder, settings):
    settings.UPLOAD_BYTES = 10
    huge = {"CONTENT_LENGTH": "2000000"}

    response = feeder.generic(
        "POST", ADDRESS, b"", "multipart/form-data; boundary=x", **huge
    )

    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


def test_a_disk_that_is_full_leaves_nothing_behind(db, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transactions.services.uploads._store", fail)

    with pytest.raises(OSError, match="No space"):
        receive_upload(ContentFile(b""), name="x.csv", now=timezone.now())

    assert not ImportBatch.objects.exists()
    assert list((django_settings.MEDIA_ROOT / "uploads").iterdir()) == []


def test_files_left_from_another_database_are_in_nobodys_way(load_now, monkeypatch):
    left = django_settings.MEDIA_ROOT / "uploads" / f"{4711:012}" / NINE.name
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of others")
    monkeypatch.setattr(
        "transactions.services.uploads.next_batch_ids", lambda _: [4711]
    )

    told = load_now(NINE.name, content(NINE))

    assert (told["id"], told["status"]) == (4711, "loaded")
    assert left.read_bytes() == b"of others"


@pytest.mark.parametrize("path", ["", "1/", "1/rejected/", "1/conflicting/"])
def test_imports_are_for_those_who_feed(client, settings, path):
    settings.API_PUBLIC_READ = True

    assert client.get(ADDRESS + path).status_code == 401
    assert client_of("viewer").get(ADDRESS + path).status_code == 403


def test_who_may_not_feed_cannot_upload(election):
    data = {"file": SimpleUploadedFile(NINE.name, content(NINE))}

    response = client_of("analyst").post(ADDRESS, data)

    assert response.status_code == 403
    assert stored_files() == []


# Lists -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["7/", "7/rejected/", "7/conflicting/", "7/vanished/", "9" * 18 + "/"]
)
def test_an_import_that_nobody_made_is_not_found(feeder, path):
    assert feeder.get(ADDRESS + path).status_code == 404


def listed(client, **filters):
    response = client.get(ADDRESS, filters)
    assert response.status_code == 200, response.content
    return [batch["name"] for batch in response.json()["results"]]


def test_imports_are_listed_and_filtered(load_now, feeder, election):
    told = load_now("day.zip", zipped(NINE, UNKNOWN))
    load_now(TEN.name, content(TEN), election="duma")

    nine, unknown = f"day.zip!{NINE.name}", f"day.zip!{UNKNOWN.name}"
    assert listed(feeder) == [TEN.name, TEN.name, unknown, nine, "day.zip"]
    assert listed(feeder, status="waiting") == [unknown, "day.zip"]
    assert listed(feeder, constituency=A) == [TEN.name, nine]
    assert listed(feeder, constituency=NOBODYS) == [unknown]
    assert listed(feeder, election="duma") == [TEN.name, TEN.name, nine]
    assert listed(feeder, upload=told["id"], status="loaded") == [nine]
    assert listed(feeder, kind="upload", ordering="id") == ["day.zip", TEN.name]


@pytest.mark.parametrize(
    "filters",
    [
        {"status": "eaten"},
        {"election": "x"},
        {"upload": "x"},
        {"upload": "4.5"},
        {"upload": "-2e65"},
        {"upload": 2**63},
        {"limit": 0},
    ],
)
def test_a_filter_that_makes_no_sense_is_an_error(feeder, filters):
    response = feeder.get(ADDRESS, filters)

    assert response.status_code == 400
    assert next(iter(filters)) in response.json()


def test_conflicting_and_vanished_rows_are_listed(load_now, poll):
    load_now(NINE.name, content(NINE))
    changed = hour_file("09:00", vote("v1", key="k9"))

    told = load_now(changed.name, content(changed))

    [conflict] = poll(told, "conflicting/")["results"]
    [vanished] = poll(told, "vanished/")["results"]
    assert counts(told) == (1, 0, 0, 1, 0)
    assert (conflict["tx_id"], conflict["constituency"]) == ("v1", A)
    assert conflict["stored"]["sender"] != conflict["incoming"]["sender"]
    assert (vanished["tx_id"], vanished["earlier_version"]) == ("i1", 1)


def test_the_number_of_queries_does_not_grow_with_the_list(
    load_now, feeder, django_assert_num_queries
):
    load_now("day.zip", zipped(NINE, TEN))
    # Session, user, groups; count and page.
    with django_assert_num_queries(5):
        feeder.get(ADDRESS)

    for hour in ("11:00", "12:00", "13:00"):
        load_now("x.zip", zipped(hour_file(hour, vote(hour, hour, key=hour))))

    with django_assert_num_queries(5):
        feeder.get(ADDRESS)


# No row is added up twice ----------------------------------------------------------


def test_an_upload_and_its_file_are_one_thing_to_look_at(load_now):
    load_now("picture.png", b"\x89PNG\r\n")
    load_now("day.zip", zipped(UNKNOWN, **{"rows.parquet": b"PAR1"}))

    found = {status: number for _, status, number in batches_to_look_at()}
    assert found == {"failed": 2, "waiting": 1}


def test_an_upload_that_failed_as_a_whole_is_one_to_look_at(db):
    made_up = {"kind": BatchKind.UPLOAD, "status": BatchStatus.FAILED, "name": "x.csv"}
    upload = make_batch(**made_up)
    make_batch(kind=BatchKind.PLAIN_CSV, name="x.csv", parent=upload)

    assert [(s, n) for _, s, n in batches_to_look_at()] == [("failed", 1)]

    make_batch(**made_up | {"status": BatchStatus.LOADED})

    assert list(batches_to_look_at()) == []


def test_the_newest_file_is_never_an_upload(load_now):
    load_now("day.zip", zipped(NINE))

    assert newest_file().name == f"day.zip!{NINE.name}"


# Again, and after a crash ----------------------------------------------------------
