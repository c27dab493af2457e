"""Rows posted to the API: what is taken, what is refused, and that nothing is lost."""

import json
from datetime import UTC, datetime

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client

from elections.models import Constituency
from tests.factories import make_staff
from tests.tables import hourly_table, parse_table, totals_table
from tests.transactions.conftest import register_contracts
from tests.transactions.lines import A, B, contract, hour_file
from tests.transactions.lines import vote as portal_vote
from transactions.loader import Loader
from transactions.loader.records import WHOLE_REJECTED_ROWS
from transactions.models import (
    BatchKind,
    BatchStatus,
    ConflictingRow,
    ImportBatch,
    RejectedRow,
    RollbackEvent,
    Transaction,
)
from transactions.services import CannotRetry, back_pressure, retry_rejected

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/transactions/"
NOBODYS = contract(99)
DEEP = "[" * 1_000 + "]" * 1_000


def row(tx_id="v1", clock="09:10", constituency=A, **columns):
    """Return a vote, unless another operation is given."""
    return {
        "constituency": constituency,
        "tx_id": tx_id,
        "timestamp": f"2026-09-18T{clock}:00+00:00",
        "operation": "vote_cast",
        **columns,
    }


def issue(tx_id="i1", clock="09:10", **columns):
    return row(tx_id, clock, operation="bulletin_issued", **columns)


def client_of(*groups, **fields):
    """Return a browser of a user in these groups."""
    number = get_user_model().objects.count()
    user = get_user_model().objects.create_user(f"user{number}", **fields)
    for name in groups:
        user.groups.add(Group.objects.get_or_create(name=name)[0])
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def feeder(election) -> Client:
    return client_of("feeder")


@pytest.fixture
def post(feeder):
    """Post rows; return the answer, whose status has to be the one stated."""

    def post(*rows, status=200):
        return send(feeder, json.dumps({"transactions": rows}), status)

    return post


def send(client, body, status, content_type="application/json", **headers):
    response = client.post(ADDRESS, body, content_type, **headers)
    assert response.status_code == status, response.content
    return response.json()


def answer(accepted=0, duplicate=0, conflicting=0, rejected=()):
    return {
        "batch": ImportBatch.objects.order_by("id").last().pk,
        "accepted": accepted,
        "duplicate": duplicate,
        "conflicting": conflicting,
        "rejected": [
            {"index": index, "code": code, "message": message}
            for index, code, message in rejected
        ],
    }


def codes(told):
    return {refusal["index"]: refusal["code"] for refusal in told["rejected"]}


# What is taken --------------------------------------------------------------------


def test_posted_rows_are_loaded_and_counted(post):
    told = post(issue(quantity=2), row(sender="k1"), row("v2", "10:00", sender="k2"))

    assert told == answer(accepted=3)
    assert hourly_table() == parse_table("""
        hour  | bulletins_issued | votes_cast | transaction_count
        09:00 |                2 |          1 |                 2
        10:00 |                0 |          1 |                 1
    """)


def test_a_request_is_one_batch_that_tells_what_became_of_it(post):
    told = post(row(), row("v2", operation=""), row())

    batch = ImportBatch.objects.get(pk=told["batch"])
    assert (batch.kind, batch.status) == (BatchKind.API, BatchStatus.LOADED)
    assert batch.name == "Posted by user0"
    assert batch.constituency == Constituency.objects.get()
    counts = (batch.rows_read, batch.accepted, batch.duplicate, batch.rejected)
    assert counts == (3, 1, 1, 1)


def test_the_same_request_again_changes_nothing(post):
    rows = [issue(), row(), row("v2", rolled_back=True)]
    post(*rows)
    before = hourly_table(), totals_table()

    assert post(*rows) == answer(duplicate=3)
    assert (hourly_table(), totals_table()) == before


def test_milliseconds_and_other_offsets_are_the_same_time(post):
    post(row(timestamp="2026-09-18T12:10:00.250+03:00"))

    told = post(row(timestamp=1789722600250))

    assert told == answer(duplicate=1)


def test_rows_of_several_constituencies_go_in_one_request(post, two_contracts):
    told = post(row(), row(constituency=B), row("v2", constituency=B))

    assert told["accepted"] == 3
    assert ImportBatch.objects.get().constituency is None
    assert totals_table() == parse_table(f"""
        name | votes_cast | transaction_count
        {A}  |          1 |                 1
        {B}  |          2 |                 2
    """)


def test_the_first_of_several_votes_of_one_key_counts(post):
    post(row("v2", "10:00", sender="k1"))
    post(row("v1", "09:00", sender="k1"))

    assert totals_table() == parse_table("""
        votes_cast | revotes | transaction_count
                 1 |       1 |                 2
    """)


def test_an_empty_list_is_a_batch_without_rows(post):
    assert post() == answer()


def test_a_portal_file_and_posted_rows_tell_of_the_same_transaction(post, load):
    load(hour_file("09:00", portal_vote("v1", "09:10", key="k1")))

    assert post(row(sender="k1")) == answer(duplicate=1)


# Rolled back, and back again ------------------------------------------------------


def test_a_rollback_cancels_whether_it_comes_later_or_first(post):
    post(row("v1"))
    post(row("v1", rolled_back=True))
    post(row("v2", rolled_back=True))
    post(row("v2"))

    assert totals_table() == parse_table("""
        votes_cast | transaction_count
                 0 |                 0
    """)
    assert Transaction.objects.filter(rolled_back=True).count() == 2


def test_line_rollback_and_line_in_one_request_end_as_present(post):
    told = post(row(), row(rolled_back=True), row())

    assert told["accepted"] == 3
    assert Constituency.objects.get().votes_cast == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_stated_positions_decide_in_any_order_of_arrival(post, order):
    statements = [
        row(position=1),
        row(position=2, rolled_back=True),
        row(position=3),
    ]

    for index in order:
        post(statements[index])

    assert Constituency.objects.get().votes_cast == 1


def test_a_row_without_position_stands_at_the_first(post):
    post(row(position=2, rolled_back=True))
    post(row())
    assert Constituency.objects.get().votes_cast == 0

    post(row(position=3))

    assert Constituency.objects.get().votes_cast == 1
    assert RollbackEvent.objects.count() == 1


def test_an_hourly_file_outranks_any_position(post, load):
    post(row(position=2**53 - 1, rolled_back=True, sender="k1"))

    load(hour_file("09:00", portal_vote("v1", "09:10", key="k1")))

    assert Constituency.objects.get().votes_cast == 1


# What is refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (None, "not_an_object"),
        (7, "not_an_object"),
        ("v1", "not_an_object"),
        ([], "not_an_object"),
        ({}, "empty_id"),
        (row(constituency=None), "empty_id"),
        (row(constituency=["a"]), "not_text"),
        (row(constituency="a/b"), "contract_id_not_usable"),
        (row(constituency="a" * 129), "id_too_long"),
        (row(tx_id=""), "empty_id"),
        (row(tx_id={}), "not_text"),
        (row(tx_id=1.5), "not_text"),
        (row(tx_id=True), "not_text"),
        (row(tx_id="v\0"), "id_with_nul"),
        (row(tx_id="v" * 129), "id_too_long"),
        (row(timestamp=None), "timestamp_not_understood"),
        (row(timestamp="yesterday"), "timestamp_not_understood"),
        (row(timestamp=1.5), "timestamp_not_understood"),
        (row(timestamp="2026-09-18T09:10:00"), "naive_timestamp"),
        (row(timestamp="1999-12-31T23:59:59Z"), "timestamp_out_of_range"),
        (row(timestamp=10**15), "timestamp_out_of_range"),
        (row(operation=None), "operation_missing"),
        (row(operation=[1]), "not_text"),
        (row(outcome="maybe"), "unknown_outcome"),
        (row(quantity=2), "quantity_out_of_range"),
        (issue(quantity=-1), "quantity_out_of_range"),
        (issue(quantity="two"), "quantity_not_a_number"),
        (issue(quantity=[1]), "quantity_not_a_number"),
        (row(rolled_back="perhaps"), "rolled_back_not_understood"),
        (row(rolled_back={}), "rolled_back_not_understood"),
        (row(position=-1), "position_out_of_range"),
        (row(position=2**53), "position_out_of_range"),
        (row(position=1.0), "position_out_of_range"),
        (row(position=True), "position_out_of_range"),
        (row(position="²"), "position_out_of_range"),
    ],
)
def test_a_row_that_cannot_be_read_is_listed_and_kept_and_the_others_go_on(
    post, bad, code
):
    told = post(row("good"), bad, row("better"))

    kept = RejectedRow.objects.get()
    assert codes(told) == {1: code}
    assert (told["accepted"], told["rejected"][0]["message"]) == (2, kept.message)
    assert (kept.batch_id, kept.line, kept.code) == (told["batch"], 2, code)
    assert json.loads(kept.raw) == bad
    assert sorted(Transaction.objects.values_list("tx_id", flat=True)) == [
        "better",
        "good",
    ]


def test_a_refused_row_says_which_field_by_its_name_in_the_api(post):
    told = post({**row(), "constituency": ""})

    assert told["rejected"][0]["message"] == "The field constituency is empty."


@pytest.mark.parametrize("column", ["rolled_back", "quantity", "tx_id", "uik", "note"])
def test_rows_nested_deeper_than_the_stack_end_nothing(feeder, column):
    text = json.dumps(row()).removesuffix("}") + f', "{column}": {DEEP}}}'

    told = send(feeder, f'{{"transactions": [{text}]}}', 200)

    read = told["accepted"] + len(told["rejected"])
    assert read == ImportBatch.objects.get().rows_read == 1


def test_the_same_id_with_other_content_is_a_conflict(post):
    post(row(sender="k1"))

    told = post(row(sender="k2"))

    assert told == answer(conflicting=1)
    assert ConflictingRow.objects.get().batch_id == told["batch"]
    assert Constituency.objects.get().votes_cast == 1


def test_every_row_of_a_mixed_request_has_one_fate(post):
    told = post(
        row(), row(), row(outcome="failed"), None, row("v2"), row(constituency=NOBODYS)
    )

    fates = (told["accepted"], told["duplicate"], told["conflicting"])
    assert fates == (2, 1, 1)
    assert codes(told) == {3: "not_an_object", 5: "unknown_constituency"}


# Unknown constituencies -----------------------------------------------------------


def test_a_row_of_an_unknown_constituency_is_refused_and_told(post, caplog):
    told = post(row(), row(constituency=NOBODYS))

    message = f"No constituency has the contract {NOBODYS}: register it."
    refusals = [(1, "unknown_constituency", message)]
    assert told == answer(accepted=1, rejected=refusals)
    assert "Rows of unknown constituencies were refused" in caplog.text
    assert NOBODYS in caplog.text
    assert not Constituency.objects.filter(contract_id=NOBODYS).exists()


def test_it_is_loaded_by_a_retry_when_the_constituency_is_registered(post, election):
    post(row(constituency=NOBODYS, sender="k1", uik="90-17"))
    kept = RejectedRow.objects.get()
    with pytest.raises(CannotRetry, match="register it"):
        retry_rejected(kept, kept.raw)
    register_contracts(election, NOBODYS)

    summary = retry_rejected(kept, kept.raw)

    kept.refresh_from_db()
    loaded = Transaction.objects.get()
    assert (summary.accepted, summary.votes_cast) == (1, 1)
    assert (loaded.constituency.contract_id, loaded.polling_station) == (
        NOBODYS,
        "90-17",
    )
    assert kept.resolved_by is not None
    assert post(row(constituency=NOBODYS, sender="k1"))["duplicate"] == 1


def test_a_retry_never_lands_in_another_constituency_of_the_request(post, election):
    post(row("v1"), row("v2", constituency=NOBODYS))
    register_contracts(election, NOBODYS)
    kept = RejectedRow.objects.get()

    retry_rejected(kept, kept.raw)

    loaded = Transaction.objects.get(tx_id="v2")
    assert loaded.constituency.contract_id == NOBODYS
    assert kept.batch.constituency is None


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_retries_in_any_order_end_as_the_request_would_have(post, election, order):
    rows = [row(), row(rolled_back=True), row()]
    post(*({**each, "constituency": NOBODYS} for each in rows))
    kept = list(RejectedRow.objects.order_by("line"))
    register_contracts(election, NOBODYS)

    for index in order:
        retry_rejected(kept[index], kept[index].raw)

    assert Constituency.objects.get(contract_id=NOBODYS).votes_cast == 1


def test_a_retry_keeps_the_position_that_is_stated(post, election):
    post(row(constituency=NOBODYS, position=5))
    register_contracts(election, NOBODYS)
    post(row(constituency=NOBODYS, position=4, rolled_back=True))
    kept = RejectedRow.objects.get()

    retry_rejected(kept, kept.raw)

    assert Constituency.objects.get(contract_id=NOBODYS).votes_cast == 1


def test_all_refused_rows_are_kept_whole_since_there_is_no_file(post):
    number = WHOLE_REJECTED_ROWS + 1
    long_key = "k" * 400

    post(*(row(f"v{n}", constituency=NOBODYS, sender=long_key) for n in range(number)))

    last = RejectedRow.objects.order_by("line").last()
    assert RejectedRow.objects.filter(is_cut=True).count() == 0
    assert json.loads(last.raw)["sender"] == long_key


@pytest.mark.django_db(transaction=True)
def test_a_constituency_deleted_on_the_way_is_an_unknown_one(
    post, two_contracts, monkeypatch
):
    load_chunk, deleted = Loader.load, []

    def delete_and_load(loader, chunk):
        if not deleted:
            deleted.append(Constituency.objects.get(contract_id=B).delete())
        return load_chunk(loader, chunk)

    monkeypatch.setattr(Loader, "load", delete_and_load)

    told = post(row(), row(constituency=B))

    assert told["accepted"] == 1
    assert codes(told) == {1: "unknown_constituency"}
    assert ImportBatch.objects.get().rows_read == 2


# The request as a whole -----------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "required"),
        (b"{", "parse_error"),
        (b"\xff\xfe", "parse_error"),
        (b'{"transactions": [NaN]}', "parse_error"),
        (b"[" * 5_000, "parse_error"),
        (b"null", "required"),
        (b"[]", "required"),
        (b"7", "required"),
        (b"{}", "required"),
        (b'{"transaction": []}', "required"),
        (b'{"transactions": null}', "not_a_list"),
        (b'{"transactions": {}}', "not_a_list"),
        (b'{"transactions": "[]"}', "not_a_list"),
    ],
)
def test_a_request_that_is_no_list_of_rows_is_an_error(feeder, body, code):
    told = send(feeder, body, 400)

    assert told["code"] == code
    assert "transactions" in told or code == "parse_error"
    assert not ImportBatch.objects.exists()


def test_another_kind_of_body_is_an_error(feeder):
    told = send(feeder, "a;b", 415, content_type="text/csv")

    assert told["code"] == "unsupported_media_type"


def test_more_rows_than_are_taken_at_once_are_refused_together(post, settings):
    settings.API_BATCH_ROWS = 2

    told = post(row("v1"), row("v2"), row("v3"), status=413)

    assert told == {
        "detail": "Send at most 2 rows at once; these are 3.",
        "code": "too_many_transactions",
    }
    assert not Transaction.objects.exists()
    assert post(row("v1"), row("v2"))["accepted"] == 2


def test_ten_thousand_rows_are_taken_in_one_transaction(post):
    told = post(*(row(f"v{n}", sender=f"k{n}") for n in range(10_000)))

    assert told == answer(accepted=10_000)
    assert ImportBatch.objects.get().chunks == 1


def test_a_body_that_is_too_large_is_refused_unread(feeder, settings):
    settings.API_BATCH_BYTES = 300

    told = send(feeder, json.dumps({"transactions": [row(uik="1" * 300)]}), 413)

    assert told["code"] == "body_too_large"
    assert not ImportBatch.objects.exists()


@pytest.mark.parametrize("groups", [[], ["viewer"], ["observer", "analyst"]])
def test_who_may_not_feed_is_refused(election, groups):
    told = send(client_of(*groups), json.dumps({"transactions": [row()]}), 403)

    assert told["code"] == "permission_denied"
    assert not ImportBatch.objects.exists()


def test_who_has_not_signed_in_is_refused(election, client, settings):
    settings.API_PUBLIC_READ = True

    told = send(client, json.dumps({"transactions": [row()]}), 401)

    assert told["code"] == "not_authenticated"


@pytest.mark.parametrize("group", ["feeder", "operator", "admin"])
def test_groups_that_feed_may(election, group):
    assert send(client_of(group), json.dumps({"transactions": [row()]}), 200)


def test_staff_may(election, client):
    client.force_login(make_staff())

    assert send(client, json.dumps({"transactions": [row()]}), 200)


def test_a_session_needs_its_token_against_forged_requests(election):
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_staff())

    told = send(client, json.dumps({"transactions": [row()]}), 403)

    assert told["code"] == "csrf_failed"


def test_who_feeds_the_ledger_cannot_read_it(feeder):
    assert feeder.get(ADDRESS).status_code == 403


# Back-pressure ---------------------------------------------------------------------


@pytest.fixture
def busy():
    """Let a check say that rows should come in thirty seconds."""
    checks = [lambda: 30, lambda: None, lambda: 12]
    for check in checks:
        back_pressure.register(check)
    yield
    for check in checks:
        back_pressure.unregister(check)


def test_rows_wait_while_figures_lag_behind(feeder, busy):
    response = feeder.post(ADDRESS, {"transactions": [row()]}, "application/json")

    assert (response.status_code, response["Retry-After"]) == (429, "30")
    assert response.json()["code"] == "throttled"
    assert not ImportBatch.objects.exists()


def test_a_check_is_asked_once_however_often_it_is_registered():
    asked = []

    def check():
        asked.append(datetime.now(UTC))

    back_pressure.register(check)
    back_pressure.register(check)

    assert back_pressure.retry_after_seconds() is None
    assert len(asked) == 1
    back_pressure.unregister(check)
