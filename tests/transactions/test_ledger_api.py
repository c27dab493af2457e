"""The ledger over HTTP: who may read it, what it tells, and how it is paged."""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256
from itertools import chain

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from elections.models import Constituency, Election
from tests.factories import make_staff
from tests.transactions.lines import (
    A,
    B,
    dump,
    fail,
    hour_file,
    issue,
    register,
    rollback_of,
    vote,
)
from tests.transactions.test_api_batches import client_of
from transactions.models import ImportBatch, Transaction

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/transactions/"


@pytest.fixture
def staff(db) -> Client:
    client = Client()
    client.force_login(make_staff())
    return client


@pytest.fixture
def get(staff):
    """Return the body of a GET, whose status has to be the one stated."""

    def get(status=200, /, **parameters):
        response = staff.get(ADDRESS, parameters)
        assert response.status_code == status, response.content
        assert response["Content-Type"] == "application/json"
        return response.json()

    return get


@pytest.fixture
def hour(two_contracts, load):
    revote = vote("v2", "09:20", key="k1")
    load(
        hour_file(
            "09:00",
            register("r1", "09:00", add=3),
            issue("i1", "09:05", to="u1 u2"),
            vote("v1", "09:10:00.250", key="k1"),
            revote,
            fail(vote("v3", "09:30", key="k3")),
            vote("v4", "09:40", key="k4"),
            rollback_of(vote("v4", "09:40", key="k4")),
        ),
        hour_file("09:00", vote("w1", "09:15", key="k9"), contract_id=B),
    )


def ids(answer):
    return [row["tx_id"] for row in answer["results"]]


def clock(hour, minute=0):
    return f"2026-09-18T{hour:02}:{minute:02}:00Z"


# What it tells ------------------------------------------------------------------------


def test_the_ledger_of_a_constituency_in_the_order_of_time(get, hour):
    answer = get(constituency=A)

    rows = answer.pop("results")
    assert answer == {
        "next": None,
        "previous": None,
        "as_of": clock(9, 40),
        "coverage": None,
        "is_simulated": False,
    }
    batch = ImportBatch.objects.get(constituency__contract_id=A)
    digest = bytes(Transaction.objects.get(tx_id="v1").sender).hex()
    assert rows[2] == {
        "constituency": A,
        "tx_id": "v1",
        "timestamp": "2026-09-18T09:10:00.250000Z",
        "operation": "vote_cast",
        "outcome": "accepted",
        "quantity": rows[2]["quantity"],
        "sender": digest,
        "uik": "",
        "batch": batch.pk,
        "rolled_back": False,
        "counted": True,
    }
    assert len(digest) == 32
    told = [
        (row["tx_id"], row["operation"], row["outcome"], row["counted"]) for row in rows
    ]
    assert told == [
        ("r1", "add_voters_list", "accepted", rows[0]["counted"]),
        ("i1", "bulletin_issued", "accepted", True),
        ("v1", "vote_cast", "accepted", True),
        ("v2", "vote_cast", "accepted", False),
        ("v3", "vote_cast", "failed", False),
        ("v4", "vote_cast", "accepted", False),
    ]
    assert [row["rolled_back"] for row in rows] == [False] * 5 + [True]


def test_the_same_key_has_the_same_digest(get, hour):
    sender = {row["tx_id"]: row["sender"] for row in get(constituency=A)["results"]}

    assert sender["v1"] == sender["v2"] != sender["v4"]


def test_what_counts_adds_up_to_the_totals(get, hour):
    rows = get(constituency=A)["results"]
    place = Constituency.objects.get(contract_id=A)

    def counted(operation):
        return [r for r in rows if r["operation"] == operation and r["counted"]]

    assert len(counted("vote_cast")) == place.votes_cast == 1
    issued = sum(row["quantity"] for row in counted("bulletin_issued"))
    assert issued == place.bulletins_issued == 2
    present = [row for row in rows if not row["rolled_back"]]
    assert len(present) == place.transaction_count == 5


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"start": clock(9, 30)}, ["v3", "v4"]),
        ({"end": clock(9, 5)}, ["r1"]),
        ({"start": clock(9, 5), "end": clock(9, 20)}, ["i1", "v1"]),
        ({"start": "2026-09-18T09:10:00.250Z", "end": clock(9, 20)}, ["v1"]),
        ({"operation": "vote_cast"}, ["v1", "v2", "v3", "v4"]),
        ({"operation": "bulletin_issued"}, ["i1"]),
        ({"operation": "other"}, []),
        ({"start": clock(10)}, []),
    ],
)
def test_transactions_can_be_chosen(get, hour, parameters, expected):
    answer = get(constituency=A, **parameters)

    assert ids(answer) == expected
    assert (answer["next"], answer["previous"]) == (None, None)


def test_a_simulated_election_says_so(get, hour):
    Election.objects.update(is_simulated=True)

    assert get(constituency=A)["is_simulated"] is True


# Pages --------------------------------------------------------------------------------


def follow(staff, address, way):
    """Return the ids of all pages from one address on."""
    pages = []
    while address:
        answer = staff.get(address).json()
        pages.append(ids(answer))
        address = answer[way]
    return pages


def test_pages_follow_each_other_both_ways(staff, hour):
    first = f"{ADDRESS}?constituency={A}&limit=2"

    assert follow(staff, first, "next") == [["r1", "i1"], ["v1", "v2"], ["v3", "v4"]]
    last = staff.get(staff.get(first).json()["next"]).json()["next"]
    assert last.startswith(f"{ADDRESS}?constituency={A}&cursor=")
    back = follow(staff, last, "previous")
    assert back == [["v3", "v4"], ["v1", "v2"], ["r1", "i1"]]


def test_any_number_of_transactions_may_have_one_time(staff, election, load):
    names = [f"v{number:02}" for number in range(25)]
    load(dump(*(vote(name, "09:10", key=name) for name in reversed(names))))

    pages = follow(staff, f"{ADDRESS}?constituency={A}&limit=4", "next")

    assert [len(page) for page in pages] == [4] * 6 + [1]
    assert list(chain(*pages)) == names


def test_a_page_does_not_move_while_rows_come_in(staff, hour, load):
    following = staff.get(f"{ADDRESS}?constituency={A}&limit=3").json()["next"]

    load(dump(vote("early", "08:00", key="e"), vote("late", "09:50", key="l")))

    assert follow(staff, following, "next") == [["v2", "v3", "v4"], ["late"]]


def test_a_page_keeps_what_was_asked_for(staff, hour):
    asked = f"?constituency={A}&limit=1&operation=vote_cast&end={clock(9, 40)}"

    assert follow(staff, ADDRESS + asked, "next") == [["v1"], ["v2"], ["v3"]]


# Who may ------------------------------------------------------------------------------


def test_the_ledger_is_for_observers_alone(election, settings):
    settings.API_PUBLIC_READ = True

    anonymous = Client().get(ADDRESS, {"constituency": A})
    somebody = client_of().get(ADDRESS, {"constituency": A})
    feeder = client_of("feeder").get(ADDRESS, {"constituency": A})

    answers = [anonymous, somebody, feeder]
    assert [answer.status_code for answer in answers] == [401, 403, 403]
    assert anonymous.json()["code"] == "not_authenticated"
    assert feeder.json()["code"] == "permission_denied"


def test_reading_does_not_wait_for_what_is_counted(get, hour, monkeypatch):
    monkeypatch.setattr(
        "transactions.services.back_pressure.retry_after_seconds", lambda: 7.0
    )

    assert len(ids(get(constituency=A))) == 6


# What is refused ----------------------------------------------------------------------


def word(*content):
    return urlsafe_b64encode(json.dumps(content).encode()).decode()


MOMENT = "2026-09-18T09:10:00+00:00"


@pytest.mark.parametrize(
    ("parameters", "name", "code"),
    [
        ({"constituency": None}, "constituency", "required"),
        ({"constituency": ""}, "constituency", "required"),
        ({"constituency": "none"}, "constituency", "invalid_choice"),
        ({"constituency": [A, B]}, "constituency", "repeated"),
        ({"constituency": "\0"}, "constituency", "null_characters_not_allowed"),
        ({"constituency": "9" * 501}, "constituency", "max_length"),
        ({"operation": "vote"}, "operation", "invalid_choice"),
        ({"operation": "2"}, "operation", "invalid_choice"),
        ({"start": "9"}, "start", "invalid"),
        ({"end": "2026-09-18T09:00:00"}, "end", "offset_missing"),
        ({"start": clock(9), "end": clock(9)}, "end", "period_empty"),
        ({"limit": "0"}, "limit", "out_of_range"),
        ({"limit": "1001"}, "limit", "out_of_range"),
        ({"offset": "1"}, "offset", "unknown_parameter"),
        ({"ordering": "tx_id"}, "ordering", "unknown_parameter"),
        ({"search": "v"}, "search", "unknown_parameter"),
        ({"election": "duma"}, "election", "unknown_parameter"),
        ({"format": "csv"}, "format", "invalid_choice"),
        ({"cursor": "9"}, "cursor", "invalid_cursor"),
        ({"cursor": "ы"}, "cursor", "invalid_cursor"),
        ({"cursor": "===="}, "cursor", "invalid_cursor"),
        ({"cursor": word()}, "cursor", "invalid_cursor"),
        ({"cursor": word(1, "v1", False)}, "cursor", "invalid_cursor"),
        ({"cursor": word(MOMENT, "v1", 1)}, "cursor", "invalid_cursor"),
        ({"cursor": word("9", "v1", False)}, "cursor", "invalid_cursor"),
        ({"cursor": word(MOMENT[:19], "v1", False)}, "cursor", "invalid_cursor"),
        ({"cursor": word("2026-02-30T00:00Z", "", True)}, "cursor", "invalid_cursor"),
        ({"cursor": word(MOMENT, "\0", True)}, "cursor", "invalid_cursor"),
        ({"cursor": urlsafe_b64encode(b"[" * 300).decode()}, "cursor", None),
    ],
)
def test_a_bad_parameter_is_named(get, hour, parameters, name, code):
    stated = {"constituency": A, **parameters}

    answer = get(
        400, **{key: value for key, value in stated.items() if value is not None}
    )

    assert list(answer) == [name, "code"]
    assert answer["code"] == (code or "invalid_cursor")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00Z", "9999-12-31T23:59:59-14:00"])
def test_a_cursor_at_the_ends_of_time_is_one(get, hour, moment):
    assert len(ids(get(constituency=A, cursor=word(moment, "", False)))) in (0, 6)


# What it costs ------------------------------------------------------------------------


def test_the_number_of_queries_is_fixed(get, hour, load, django_assert_num_queries):
    # Session and user, the constituency, the rows, its clock, its coverage.
    with django_assert_num_queries(6):
        get(constituency=A)

    more = [sha256(str(number).encode()).hexdigest() for number in range(50)]
    load(dump(*(vote(name, "09:50", key=name) for name in more)))
    with django_assert_num_queries(6):
        get(constituency=A)


def test_a_page_reads_a_range_of_the_index(get, hour):
    with CaptureQueriesContext(connection) as queries:
        get(constituency=A, start=clock(9, 10))

    [sql] = [q["sql"] for q in queries if 'FROM "transactions_transaction"' in q["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {sql}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "transactions_transaction_pkey" in plan or "Bitmap" in plan
    assert "LIMIT 101" in sql
