"""Files that staff hand in by the browser."""

import pytest
from celery import current_app
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from elections.models import Constituency
from tests.admin_site import (
    clerk_client,
    list_of,
    messages_of,
    page_of,
    staff_client,
    text_of,
)
from tests.factories import make_election, make_staff
from tests.transactions.lines import BROKEN, content, contract, hour_file, vote
from transactions import tasks
from transactions.models import BatchKind, ImportBatch, Upload, WaitingBatch

pytestmark = [
    pytest.mark.django_db,
    # Tests run before the static files have been collected.
    pytest.mark.filterwarnings("ignore:No directory at"),
]

NINE = hour_file("09:00", vote("v1"), BROKEN)
NOBODYS = contract(99)


@pytest.fixture(autouse=True)
def own_files(settings, tmp_path, monkeypatch):
    """Keep files to this test, and messages from a worker."""
    settings.VAR_DIR = tmp_path / "var"
    settings.MEDIA_ROOT = settings.VAR_DIR / "media"
    monkeypatch.setattr(current_app, "send_task", lambda *_, **__: None)


@pytest.fixture
def staff(election) -> Client:
    return staff_client()


def address() -> str:
    return reverse("admin:transactions_importbatch_upload")


def hand_in(client, file=NINE, name=None, **fields):
    data = {"file": SimpleUploadedFile(name or file.name, content(file)), **fields}
    return client.post(address(), data)


def test_the_list_of_batches_has_a_button(staff):
    assert f'href="{address()}"' in text_of(staff.get(list_of(ImportBatch)))


def test_the_page_asks_for_a_file_and_an_election(staff, election):
    page = text_of(staff.get(address()))

    assert 'type="file"' in page
    assert f">{election.name}<" in page


def test_a_file_is_queued_and_its_batch_shown(staff, election):
    response = hand_in(staff, election=election.pk)

    batch = ImportBatch.objects.get()
    upload = Upload.objects.get()
    assert response.url == page_of(batch)
    assert messages_of(response) == [
        f"{NINE.name} is stored as batch {batch.pk} and will be loaded soon."
    ]
    assert (batch.kind, batch.status) == (BatchKind.UPLOAD, "queued")
    assert upload.election == election.slug
    assert upload.uploaded_by.is_superuser
    assert LogEntry.objects.get().object_id == str(batch.pk)


def test_the_page_of_an_upload_leads_to_its_files_and_theirs_to_it(staff):
    hand_in(staff)
    upload = ImportBatch.objects.get()
    tasks.import_upload(batch_id=upload.pk)
    member = ImportBatch.objects.get(parent=upload)

    files = f"{list_of(ImportBatch)}?upload={upload.pk}"
    page = text_of(staff.get(page_of(upload)))
    listed = staff.get(files).context["cl"].result_list
    assert page.count(files) == 2  # the files in it, and the rejected rows
    assert list(listed) == [member]
    assert page_of(upload) in text_of(staff.get(page_of(member)))


def test_only_files_wait_never_the_upload_around_them(staff):
    hand_in(staff, hour_file("09:00", vote("v1"), contract_id=NOBODYS))
    upload = ImportBatch.objects.get()
    tasks.import_upload(batch_id=upload.pk)

    waiting = staff.get(list_of(WaitingBatch)).context["cl"].result_list
    upload.refresh_from_db()
    assert upload.status == "waiting"
    assert [batch.parent_id for batch in waiting] == [upload.pk]


@pytest.mark.parametrize("fields", [{}, {"file": "text"}])
def test_a_form_without_a_file_is_told_so(staff, fields):
    page = text_of(staff.post(address(), fields))

    assert "This field is required" in page
    assert not ImportBatch.objects.exists()


def test_an_election_that_is_gone_is_told(staff):
    page = text_of(hand_in(staff, election=make_election().pk + 1))

    assert "Select a valid choice" in page
    assert not ImportBatch.objects.exists()


def test_a_name_that_cannot_be_kept_is_told(staff):
    page = text_of(hand_in(staff, name="я" * 130 + ".csv"))

    assert "longer than 255 bytes" in page
    assert not ImportBatch.objects.exists()


def test_a_file_that_is_too_large_is_told(staff, settings):
    settings.UPLOAD_BYTES = 10

    assert "larger than 10 bytes" in text_of(hand_in(staff))
    assert not ImportBatch.objects.exists()


def test_a_body_that_is_too_large_is_told_unread(staff, settings):
    settings.UPLOAD_BYTES = 10
    huge = {"CONTENT_LENGTH": "2000000"}

    response = staff.generic(
        "POST", address(), b"", "multipart/form-data; boundary=x", **huge
    )

    assert messages_of(response) == ["The file is larger than 10 bytes."]
    assert response.url == address()


def test_who_may_only_look_has_no_button_and_no_page(election):
    clerk = clerk_client("transactions.view_importbatch")

    assert address() not in text_of(clerk.get(list_of(ImportBatch)))
    assert clerk.get(address()).status_code == 403
    assert hand_in(clerk).status_code == 403
    assert not ImportBatch.objects.exists()


def test_the_right_to_add_batches_is_the_right_to_upload(election):
    rights = ["transactions.view_importbatch", "transactions.add_importbatch"]
    clerk = clerk_client(*rights)

    assert address() in text_of(clerk.get(list_of(ImportBatch)))
    assert hand_in(clerk).status_code == 302


def test_who_is_no_staff_is_asked_to_sign_in(election, client):
    assert hand_in(client).url.startswith(reverse("admin:login"))
    assert not ImportBatch.objects.exists()


def test_a_forged_form_is_refused(election):
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_staff())

    assert hand_in(client).status_code == 403
    assert not ImportBatch.objects.exists()


def test_nothing_is_loaded_by_the_page_itself(staff):
    hand_in(staff)

    assert Constituency.objects.get().transaction_count == 0
