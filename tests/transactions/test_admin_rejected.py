"""Rejected lines: found, corrected, loaded, exported."""

import csv
import io

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from elections.models import Constituency
from tests.admin_site import (
    EVIL,
    clerk_client,
    list_of,
    messages_of,
    page_of,
    run_action,
    staff_client,
    text_of,
)
from tests.tables import hourly_table, parse_table
from tests.transactions.lines import BROKEN, hour_file, issue, vote
from transactions.models import BatchKind, ImportBatch, RejectedRow

pytestmark = [
    pytest.mark.django_db,
    # Tests run before the static files have been collected.
    pytest.mark.filterwarnings("ignore:No directory at"),
]


@pytest.fixture
def staff(db) -> Client:
    return staff_client()


@pytest.fixture
def rejected(load) -> RejectedRow:
    load(hour_file("09:00", issue("i1"), BROKEN))
    return RejectedRow.objects.get()


def correct(client, row, text):
    return client.post(page_of(row), {"corrected": text})


def found(client, **search):
    page = client.get(list_of(RejectedRow), search)
    return [row.pk for row in page.context["cl"].result_list]


def test_the_form_shows_reason_and_line(staff, rejected):
    page = text_of(staff.get(page_of(rejected)))

    assert rejected.message in page
    assert page.count(rejected.raw) == 2  # as it came, and to be corrected


def test_a_corrected_line_is_loaded_and_the_row_resolved(staff, rejected):
    told = messages_of(correct(staff, rejected, vote("v1").decode() + "\r\n"))

    rejected.refresh_from_db()
    assert told == [f"Line 2 of batch {rejected.batch_id} is loaded."]
    assert rejected.resolved_by.kind == BatchKind.RETRY
    assert rejected.raw == BROKEN.decode()
    assert LogEntry.objects.get().object_id == str(rejected.pk)
    assert hourly_table() == parse_table("""
        hour  | bulletins_issued | votes_cast | transaction_count
        09:00 |                1 |          1 |                 2
    """)


@pytest.mark.django_db(transaction=True)
def test_a_corrected_line_is_loaded_in_a_transaction_of_its_own(rejected):
    # The loader's transaction has to be the outermost one.
    correct(staff_client(), rejected, vote("v1").decode())

    assert Constituency.objects.get().votes_cast == 1


def test_a_line_that_is_still_broken_stays_in_the_form_with_its_reason(staff, rejected):
    still_broken = "torn;" + EVIL

    page = text_of(correct(staff, rejected, still_broken))

    rejected.refresh_from_db()
    assert "fields where 12 are expected" in page
    assert "torn;&lt;script&gt;" in page
    assert EVIL not in page
    assert (rejected.resolved_by, rejected.raw) == (None, BROKEN.decode())
    assert ImportBatch.objects.count() == 1


def test_a_line_is_corrected_once(staff, rejected):
    correct(staff, rejected, vote("v1").decode())

    response = correct(staff, rejected, vote("v2", key="k2").decode())

    assert "form" in response.context
    assert Constituency.objects.get().votes_cast == 1


def test_an_empty_correction_is_refused(staff, rejected):
    assert "This field is required" in text_of(correct(staff, rejected, ""))


def test_who_may_only_look_sees_no_form_and_loads_nothing(rejected):
    clerk = clerk_client("transactions.view_rejectedrow")

    page = text_of(clerk.get(page_of(rejected)))
    refused = correct(clerk, rejected, vote("v1").decode())
    data = {"action": "try_again", "_selected_action": rejected.pk}
    clerk.post(list_of(RejectedRow), data)

    assert "<textarea" not in page
    assert refused.status_code == 403
    rejected.refresh_from_db()
    assert rejected.resolved_by is None


def test_an_unknown_row_leads_back_to_the_index(staff, rejected):
    response = staff.get(page_of(rejected).replace(str(rejected.pk), "999999"))

    assert response.status_code == 302


def test_open_rows_are_listed_unless_others_are_asked_for(staff, load):
    load(hour_file("09:00", BROKEN, b"x;y"))
    first, second = RejectedRow.objects.order_by("line")
    correct(staff, first, vote("v1").decode())

    assert found(staff) == [second.pk]
    assert found(staff, state="resolved") == [first.pk]
    assert found(staff, state="all") == [second.pk, first.pk]


def test_rows_are_found_by_reason_batch_election_and_text(staff, rejected):
    assert found(staff, code="wrong_field_count") == [rejected.pk]
    assert found(staff, code="empty_id") == []
    assert found(staff, batch=rejected.batch_id) == [rejected.pk]
    assert found(staff, election="duma") == [rejected.pk]
    assert found(staff, q="torn") == found(staff, q="12 are") == [rejected.pk]
    assert found(staff, q="whole") == []


def test_lines_that_can_be_read_meanwhile_are_tried_again(staff, load):
    load(hour_file("09:00", BROKEN, b"x;y"))
    first, second = RejectedRow.objects.order_by("line")
    # As if the reader had learned to read the line.
    RejectedRow.objects.filter(pk=first.pk).update(raw=vote("v1").decode())

    told = run_action(staff, "try_again", first, second)

    assert told == [
        "1 line loaded: 1 rows accepted, 0 duplicate, 0 conflicting, 0 rejected.",
        f"Batch {second.batch_id}, line 2: The line has 2 fields where 12 are expected.",
    ]
    assert Constituency.objects.get().votes_cast == 1
    assert list(RejectedRow.objects.filter(resolved_by=None)) == [second]
    assert run_action(staff, "try_again", first) == [
        "All of these lines have been corrected before."
    ]


def test_a_line_that_is_cut_is_not_loaded_as_it_is(staff, rejected):
    RejectedRow.objects.update(is_cut=True)

    page = text_of(correct(staff, rejected, rejected.raw))

    assert "Only a part of this line is kept" in page


def test_an_export_holds_the_lines_and_no_formula(staff, load):
    load(hour_file("09:00", b"=1+1;x", BROKEN))
    data = {
        "action": "export_csv",
        "_selected_action": [row.pk for row in RejectedRow.objects.all()],
    }

    response = staff.post(list_of(RejectedRow), data)

    text = b"".join(response.streaming_content).decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert response.streaming
    assert [(row["line"], row["raw"]) for row in rows] == [
        ("1", "'=1+1;x"),
        ("2", BROKEN.decode()),
    ]
    assert {row["code"] for row in rows} == {"wrong_field_count"}
