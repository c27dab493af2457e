"""The ledger as staff search it."""

from itertools import pairwise
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from elections.models import Constituency
from tests.admin_site import EVIL, clerk_client, staff_client, text_of
from tests.transactions.lines import (
    A,
    B,
    dump,
    fail,
    hour_file,
    issue,
    other,
    rollback_of,
    vote,
)
from transactions.admin import ledger as page
from transactions.models import ConflictingRow, Transaction

pytestmark = [
    pytest.mark.django_db,
    # Tests run before the static files have been collected.
    pytest.mark.filterwarnings("ignore:No directory at"),
]


@pytest.fixture
def staff(db) -> Client:
    return staff_client()


@pytest.fixture
def loaded(two_contracts, load):
    load(
        hour_file("09:00", issue("i1", "09:05"), vote("v1", "09:10"), other("o1")),
        hour_file("09:00", vote("v1", "09:40"), contract_id=B),
        hour_file("10:00", rollback_of(issue("i1", "09:05")), vote("v1", "10:59")),
        hour_file("11:00", fail(vote("f1", "11:10")), vote("w1", "11:20", key="k1")),
    )


def address(**search):
    return f"{reverse('admin:transactions_ledger_changelist')}?{urlencode(search)}"


def search(client, **terms):
    return client.get(address(**terms))


def found(client, **terms):
    items = search(client, **terms).context["rows"]
    return [(item.place.contract_id, item.row.tx_id) for item in items]


def errors(client, **terms):
    form = search(client, **terms).context["form"]
    return [str(error) for errors in form.errors.values() for error in errors]


def test_staff_open_the_ledger_from_the_index(staff):
    assert address().rstrip("?") in text_of(staff.get(reverse("admin:index")))
    assert "Search by id" in text_of(staff.get(address()))


def test_the_ledger_needs_its_own_right(loaded):
    clerk = clerk_client("transactions.view_importbatch")
    observer = clerk_client("transactions.view_transaction")

    assert clerk.get(address()).status_code == 403
    assert address().rstrip("?") not in text_of(clerk.get(reverse("admin:index")))
    assert found(observer, tx_id="i1") == [(A, "i1")]
    assert Client().get(address()).url.startswith(reverse("admin:login"))


def test_an_id_is_found_across_constituencies(staff, loaded):
    assert found(staff, tx_id="v1") == [(A, "v1"), (B, "v1")]
    assert found(staff, tx_id="v1", constituency=B) == [(B, "v1")]
    assert found(staff, tx_id="v") == []


def test_a_constituency_is_read_in_the_order_of_time(staff, loaded):
    assert [tx_id for _, tx_id in found(staff, constituency=A)] == [
        "o1",
        "i1",
        "v1",
        "f1",
        "w1",
    ]


def test_a_constituency_is_narrowed_by_time_and_operation(staff, loaded):
    assert found(staff, constituency=A, operation=2) == [
        (A, "v1"),
        (A, "f1"),
        (A, "w1"),
    ]
    assert found(
        staff, constituency=A, start="2026-09-18T09:05", end="2026-09-18T09:10"
    ) == [(A, "i1")]


def test_a_short_time_is_read_across_constituencies(staff, loaded):
    assert found(staff, start="2026-09-18T09:05", end="2026-09-18T10:00") == [
        (A, "i1"),
        (A, "v1"),
        (B, "v1"),
    ]


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ({"operation": "2"}, "Give a transaction id, a constituency, or both ends"),
        ({"start": "2026-09-18T09:00"}, "both ends of a time"),
        (
            {"start": "2026-09-18T09:00", "end": "2026-09-18T10:01"},
            "may span one hour at most",
        ),
        (
            {"start": "2026-09-18T09:00", "end": "2026-09-18T09:00"},
            "must lie before the end",
        ),
        ({"constituency": "nobody"}, "No constituency has this contract id."),
        ({"start": "noon", "constituency": A}, "Enter a valid date/time."),
        ({"operation": "99", "constituency": A}, "Select a valid choice."),
        ({"constituency": A, "after": "x"}, "This page does not exist."),
        ({"constituency": A, "after": "2026-09-18 1 v"}, "This page does not exist."),
    ],
)
def test_a_search_that_cannot_be_says_why(staff, loaded, terms, sentence):
    assert any(sentence in error for error in errors(staff, **terms))


def test_pages_follow_each_other_without_gap_or_repetition(staff, load, monkeypatch):
    monkeypatch.setattr(page, "PAGE_ROWS", 3)
    # Four in one millisecond, so that a page ends among them.
    same = [vote(f"s{n}", "09:10", key=f"s{n}") for n in range(4)]
    load(hour_file("09:00", *same, *(other(f"o{n}", "09:05") for n in range(4))))
    terms, pages = {"constituency": A}, []

    while terms:
        response = search(staff, **terms)
        pages.append([item.row.tx_id for item in response.context["rows"]])
        following = urlsplit(response.context["next_page"]).query
        terms = {name: values[0] for name, values in parse_qs(following).items()}

    assert pages == [["o0", "o1", "o2"], ["o3", "s0", "s1"], ["s2", "s3"]]


def test_pages_across_constituencies_follow_each_other(staff, two_contracts, load):
    load(
        hour_file("09:00", vote("v1"), vote("v2", key="k2")),
        hour_file("09:00", vote("v1"), vote("v2", key="k2"), contract_id=B),
    )
    rows = list(Transaction.objects.order_by("timestamp", "tx_id", "constituency"))

    for before, row in pairwise(rows):
        following = page.find(tx_id="", after=page._cursor(before)).rows
        assert following[0].pk == row.pk


@pytest.mark.parametrize(
    ("tx_id", "state"),
    [
        ("i1", "rolled back"),
        ("v1", "counted"),
        ("w1", "revote"),
        ("f1", "refused by the contract"),
        ("o1", "a transaction only"),
    ],
)
def test_a_transaction_tells_what_it_counts_for(staff, loaded, tx_id, state):
    (item,) = search(staff, tx_id=tx_id, constituency=A).context["rows"]

    assert f">{state}<" in item.state


def test_a_transaction_shows_its_rollbacks_conflicts_and_digests(staff, loaded):
    rolled_back = text_of(search(staff, tx_id="i1"))
    in_conflict = text_of(search(staff, tx_id="v1", constituency=A))
    vote = Transaction.objects.get(tx_id="v1", constituency__contract_id=A)

    conflict = ConflictingRow.objects.get()
    address = reverse("admin:transactions_conflictingrow_change", args=[conflict.pk])
    assert "rolled back</span> at" in rolled_back
    assert address in in_conflict
    assert bytes(vote.sender).hex() in in_conflict
    assert bytes(vote.payload).hex() in in_conflict


def test_a_constituencys_ledger_has_an_address_of_its_own(staff, loaded):
    place = Constituency.objects.get(contract_id=A)

    response = staff.get(reverse("admin:transactions_ledger_change", args=[place.pk]))

    assert response.url == address(constituency=A)


def test_nothing_is_added_changed_or_deleted(staff, loaded):
    place = Constituency.objects.get(contract_id=A)
    delete = reverse("admin:transactions_ledger_delete", args=[place.pk])

    assert staff.get(reverse("admin:transactions_ledger_add")).status_code == 403
    assert staff.post(delete, {"post": "yes"}).status_code == 403
    assert Constituency.objects.filter(pk=place.pk).exists()


def test_what_is_searched_and_found_is_escaped(staff, load):
    load(dump(vote(EVIL)))

    response = search(staff, tx_id=EVIL)

    assert len(response.context["rows"]) == 1
    assert EVIL not in text_of(response)
    assert "alert(" in text_of(response)


def test_times_show_to_the_millisecond_on_the_constituencys_clock(staff, loaded):
    place = Constituency.objects.get(contract_id=A)
    place.election.timezone = "Asia/Kathmandu"
    place.election.save(update_fields=["timezone"])

    shown = text_of(search(staff, tx_id="i1"))

    place.election.timezone = "UTC"
    place.election.save(update_fields=["timezone"])
    assert "2026-09-18 14:50:00.000" in shown
