"""Batches, waiting files, conflicts, versions of hours: what staff see of the feed."""

from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from elections.models import Constituency, Election
from tests.admin_site import (
    EVIL,
    LONG,
    clerk_client,
    list_of,
    page_of,
    run_action,
    staff_client,
    text_of,
)
from tests.factories import make_constituency
from tests.transactions.lines import (
    BROKEN,
    A,
    B,
    hour_file,
    issue,
    rollback_of,
    vote,
)
from transactions.admin.feed import differences_of
from transactions.formats import discover
from transactions.models import (
    BatchKind,
    BatchStatus,
    ConflictingRow,
    FeedHour,
    ImportBatch,
    RejectedRow,
    RollbackEvent,
    VanishedRow,
    WaitingBatch,
)
from transactions.services import ImportService

pytestmark = [
    pytest.mark.django_db,
    # Tests run before the static files have been collected.
    pytest.mark.filterwarnings("ignore:No directory at"),
]
READ_ONLY = [
    ImportBatch,
    WaitingBatch,
    RejectedRow,
    ConflictingRow,
    VanishedRow,
    RollbackEvent,
    FeedHour,
]


@pytest.fixture
def staff(db) -> Client:
    return staff_client()


@pytest.fixture
def everything(load):
    """Load files after which every list of the feed has a row."""
    load(
        hour_file("09:00", vote("v1"), issue("i1"), vote("v3", key="k3"), BROKEN),
        hour_file("09:00", vote("v1", "09:30"), issue("i1"), vote("v2", key="k2")),
        hour_file("10:00", rollback_of(issue("i1"))),
        hour_file("09:00", vote("v1"), contract_id=B),
    )


def one_of_each():
    return [model.objects.order_by("pk").first() for model in READ_ONLY[2:]] + [
        ImportBatch.objects.order_by("pk").first(),
        WaitingBatch.objects.get(status=BatchStatus.WAITING),
    ]


def found(client, model, **search):
    page = client.get(f"{list_of(model)}?{urlencode(search)}")
    return [row.pk for row in page.context["cl"].result_list]


# Who sees what --------------------------------------------------------------------


def test_staff_open_every_list_and_page_and_names_are_escaped(staff, everything):
    Constituency.objects.update(name=EVIL)
    ImportBatch.objects.update(name=EVIL)
    RejectedRow.objects.update(raw=EVIL, message=EVIL)

    for obj in one_of_each():
        for address in (list_of(type(obj)), page_of(obj)):
            page = text_of(staff.get(address))
            assert EVIL not in page, address
            assert "alert(" in page, address


def test_staff_without_rights_and_strangers_open_none(everything):
    clerk = clerk_client()

    for obj in one_of_each():
        for address in (list_of(type(obj)), page_of(obj)):
            assert clerk.get(address).status_code == 403, address
            assert Client().get(address).url.startswith(reverse("admin:login"))


def test_nothing_can_be_added_or_deleted(staff, everything):
    for obj in one_of_each():
        name = f"admin:transactions_{obj._meta.model_name}"
        delete = reverse(f"{name}_delete", args=[obj.pk])

        assert staff.get(reverse(f"{name}_add")).status_code == 403
        assert staff.post(delete, {"post": "yes"}).status_code == 403
        assert "delete_selected" not in text_of(staff.get(list_of(type(obj))))
        assert type(obj).objects.filter(pk=obj.pk).exists()


@pytest.mark.parametrize("model", READ_ONLY)
def test_lists_never_count_their_whole_table(staff, everything, model):
    with CaptureQueriesContext(connection) as queries:
        staff.get(list_of(model))

    table = model._meta.db_table
    counts = [
        q["sql"] for q in queries if "COUNT" in q["sql"] and f'"{table}"' in q["sql"]
    ]
    assert counts
    for sql in counts:
        assert "LIMIT 10001" in sql


def test_a_batch_list_needs_the_same_number_of_queries_for_many_rows(staff, everything):
    with CaptureQueriesContext(connection) as few:
        staff.get(list_of(ImportBatch))
    for _ in range(20):
        ImportBatch.objects.create(
            kind=BatchKind.PLAIN_CSV,
            name="plain.csv",
            status=BatchStatus.LOADED,
            started_at=timezone.now(),
            constituency=make_constituency(),
        )

    with CaptureQueriesContext(connection) as many:
        staff.get(list_of(ImportBatch))

    assert len(many) == len(few) <= 9


def test_a_capped_list_says_so(staff, everything, monkeypatch):
    monkeypatch.setattr("elections.admin.base.CappedPaginator.MOST_ROWS", 2)

    page = text_of(staff.get(list_of(ImportBatch)))

    assert "more than 2 import batches" in page


def test_every_capped_list_says_so_and_no_search_counts_results(staff, monkeypatch):
    monkeypatch.setattr("elections.admin.base.CappedPaginator.MOST_ROWS", 1)
    for _ in range(2):
        make_constituency(name="Пермь")

    page = text_of(staff.get(list_of(Constituency), {"q": "Пермь"}))

    assert "more than 1 constituencies: narrow the list" in page
    assert "2 constituencies" not in page
    assert " results" not in page


# Batches --------------------------------------------------------------------------


def test_a_batch_shows_its_counts_and_links_to_its_rows(staff, everything):
    first, second = ImportBatch.objects.order_by("pk")[:2]

    pages = text_of(staff.get(page_of(first))) + text_of(staff.get(page_of(second)))

    assert f"{list_of(RejectedRow)}?batch={first.pk}&amp;state=all" in pages
    assert f"{list_of(ConflictingRow)}?batch={second.pk}" in pages
    assert f"{list_of(VanishedRow)}?batch={second.pk}" in pages


def test_batches_are_found_by_status_election_and_trouble(staff, everything):
    first, second, third, waiting = ImportBatch.objects.order_by("pk")

    assert found(staff, ImportBatch, status__exact="waiting") == [waiting.pk]
    assert found(staff, ImportBatch, election="duma") == [third.pk, second.pk, first.pk]
    assert found(staff, ImportBatch, **{"with": "rejected"}) == [first.pk]
    assert found(staff, ImportBatch, **{"with": "vanished"}) == [second.pk]
    assert found(staff, ImportBatch, constituency="nobody") == []


def test_a_batch_of_a_failed_file_shows_its_sentence(staff):
    batch = ImportBatch.objects.create(
        kind=BatchKind.UNKNOWN,
        name=LONG,
        status=BatchStatus.FAILED,
        error="The zip archive is damaged or cut off.",
        started_at=timezone.now(),
    )

    assert batch.error in text_of(staff.get(list_of(ImportBatch)))
    assert batch.error in text_of(staff.get(page_of(batch)))


# Waiting files --------------------------------------------------------------------


@pytest.fixture
def waiting(load) -> WaitingBatch:
    """Return a file of contract B, which nobody has registered."""
    load(hour_file("09:00", vote("v1"), contract_id=B))
    return WaitingBatch.objects.get()


def test_a_waiting_file_leads_to_the_form_that_registers_its_contract(staff, waiting):
    add = f"{reverse('admin:elections_constituency_add')}?contract_id={B}"

    assert add in text_of(staff.get(list_of(WaitingBatch)))
    form = staff.get(add).context["adminform"].form
    assert form["contract_id"].value() == B


def test_a_waiting_file_is_loaded_once_its_contract_is_registered(staff, waiting):
    make_constituency(contract_id=B, election=Election.objects.get())

    (told,) = run_action(staff, "load", waiting)

    assert told.startswith("1 of 1 files loaded: 1 rows accepted")
    assert Constituency.objects.get(contract_id=B).votes_cast == 1
    assert not WaitingBatch.objects.filter(status=BatchStatus.WAITING).exists()


def test_a_file_of_many_contracts_is_loaded_once_they_are_registered(
    staff, election, tmp_path
):
    path = tmp_path / "plain.csv"
    path.write_text(
        "contract_id,timestamp,tx_id,operation\n"
        f"{A},2026-09-18T09:10:00Z,v1,vote_cast\n"
        f"{B},2026-09-18T09:10:00Z,v1,vote_cast\n"
    )
    ImportService().import_files(discover([path]).files)
    make_constituency(contract_id=B, election=election)

    run_action(staff, "load", WaitingBatch.objects.get())

    votes = Constituency.objects.values_list("votes_cast", flat=True)
    assert list(votes) == [1, 1]
    assert found(staff, WaitingBatch) == []


def test_a_file_of_an_unknown_contract_waits_on(staff, waiting):
    (told,) = run_action(staff, "load", waiting)

    assert told == "1 file is still waiting: register their constituencies first."
    assert list(WaitingBatch.objects.all()) == [waiting]


def test_the_waiting_list_shows_waiting_files_only(staff, waiting, load):
    load(hour_file("09:00", vote("v1")))

    assert found(staff, WaitingBatch) == [waiting.pk]


def test_who_may_only_look_loads_nothing(waiting):
    make_constituency(contract_id=B, election=Election.objects.get())
    clerk = clerk_client("transactions.view_importbatch")

    page = text_of(clerk.get(list_of(WaitingBatch)))
    clerk.post(
        list_of(WaitingBatch), {"action": "load", "_selected_action": waiting.pk}
    )

    assert 'value="load"' not in page
    assert list(WaitingBatch.objects.all()) == [waiting]


# Conflicts, vanished rows, rollbacks ----------------------------------------------


def test_a_conflict_shows_both_versions_and_what_differs(staff, everything):
    conflict = ConflictingRow.objects.get(tx_id="v1")

    page = staff.get(page_of(conflict))

    rows = {row.name: row for row in page.context["comparison"]}
    assert [name for name, row in rows.items() if row.differs] == ["timestamp"]
    assert rows["timestamp"].stored == "2026-09-18T09:10:00.000+00:00"
    assert rows["timestamp"].incoming == "2026-09-18T09:30:00.000+00:00"
    for batch_id in (conflict.batch_id, conflict.stored_batch_id):
        address = reverse("admin:transactions_importbatch_change", args=[batch_id])
        assert address in text_of(page)
    assert text_of(page).count('<tr class="em-differs">') == 1


def test_rows_about_a_transaction_are_found_by_its_id(staff, everything):
    assert len(found(staff, ConflictingRow, tx_id="v1")) == 1
    assert found(staff, ConflictingRow, tx_id="v2") == []
    assert len(found(staff, VanishedRow, tx_id="v3")) == 1
    assert len(found(staff, RollbackEvent, tx_id="i1", constituency=A)) == 1


def test_a_batch_that_is_no_number_is_refused(staff, everything):
    assert staff.get(list_of(ConflictingRow), {"batch": "x"}).url.endswith("?e=1")


# Hour files -----------------------------------------------------------------------


def test_two_versions_of_an_hour_are_compared_both_ways(staff, load):
    load(
        hour_file("09:00", vote("v1"), vote("v2", key="k2"), vote("v3", key="k3")),
        hour_file("09:00", vote("v1"), vote("v4", key="k4")),
    )
    first, second = FeedHour.objects.order_by("version")

    (from_first,), (from_second,) = differences_of(first), differences_of(second)

    assert (from_first.only_here, from_first.only_there) == (2, 1)
    assert (from_second.only_here, from_second.only_there) == (1, 2)
    assert page_of(second) in text_of(staff.get(page_of(first)))


def test_an_hour_that_was_published_once_says_so(staff, load):
    load(hour_file("09:00", vote("v1")))

    page = text_of(staff.get(page_of(FeedHour.objects.get())))

    assert "This hour was published once." in page


def test_the_list_of_hours_reads_no_hashes(staff, everything):
    with CaptureQueriesContext(connection) as queries:
        rows = staff.get(list_of(FeedHour)).context["cl"].result_list

    assert [row.line_count for row in rows] == [1, 3, 3]
    selects = [q["sql"] for q in queries if 'FROM "transactions_feedhour"' in q["sql"]]
    assert not [sql for sql in selects if '"row_hashes",' in sql]


# Coverage -------------------------------------------------------------------------


def at_hour(hour):
    return datetime(2026, 9, 18, hour, tzinfo=UTC)


@pytest.fixture
def with_gap(election, load) -> Constituency:
    """Return a constituency whose file of 10:00 did not come."""
    window = {"issue_opens_at": at_hour(9), "voting_closes_at": at_hour(20)}
    Constituency.objects.update(**window)
    load(
        hour_file("09:00", vote("v1")),
        hour_file("11:00", vote("v2", "11:10", key="k2")),
        hour_file("12:00", vote("v3", "12:10", key="k3")),
        hour_file("13:00", vote("v4", "13:10", key="k4")),
    )
    return Constituency.objects.get()


def test_elections_and_constituencies_name_the_hours_that_are_missing(staff, with_gap):
    for obj in (with_gap, with_gap.election):
        page = text_of(staff.get(page_of(obj)))
        assert "2026-09-18 10:00" in page
        assert "2026-09-18 11:00" not in page


def test_a_large_election_names_missing_hours_on_request(staff, with_gap, monkeypatch):
    monkeypatch.setattr("transactions.admin.places.QUICK_CONSTITUENCIES", 0)
    address = page_of(with_gap.election)

    assert "2026-09-18 10:00" not in text_of(staff.get(address))
    assert f"{address}?missing=1" in text_of(staff.get(address))
    assert "2026-09-18 10:00" in text_of(staff.get(address, {"missing": 1}))


def test_lists_tell_how_many_hour_files_came(staff, with_gap):
    for model in (Election, Constituency):
        (row,) = staff.get(list_of(model)).context["cl"].result_list
        assert row.coverage.expected == row.coverage.received + 1
