"""The database itself refuses what would falsify the ledger, whoever asks."""

import pgtrigger
import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import F

from tests.transactions.lines import fail, hour_file, issue, rollback_of, vote
from transactions.models import ImportBatch, RollbackEvent, Transaction

pytestmark = pytest.mark.django_db


@pytest.fixture
def ledger(load):
    """Return the rows of a ledger: two votes of one key, a refusal, a rollback."""
    gone = issue("i1")
    load(
        hour_file("09:00", vote("v1", "09:10"), vote("v2", "09:20"), gone),
        hour_file("10:00", rollback_of(gone), fail(vote("v3"))),
    )
    return Transaction.objects.order_by("tx_id")


@pytest.fixture
def guarded_against_truncate(db):
    triggers = [
        "transactions.Transaction:refuse_truncate",
        "transactions.RollbackEvent:refuse_truncate",
    ]
    pgtrigger.enable(*triggers)
    yield
    pgtrigger.disable(*triggers)


def everything():
    return [
        list(model.objects.order_by("pk").values())
        for model in (Transaction, RollbackEvent)
    ]


def refused(sql, error=DatabaseError, match="Cannot|append-only"):
    before = everything()
    with pytest.raises(error, match=match), transaction.atomic():
        connection.cursor().execute(sql)
    assert everything() == before


def test_no_transaction_is_deleted(ledger):
    refused("DELETE FROM transactions_transaction WHERE tx_id = 'v1'")


@pytest.mark.parametrize(
    "change",
    [
        "constituency_id = constituency_id + 1",
        "tx_id = tx_id || 'x'",
        '"timestamp" = "timestamp" + interval \'1 ms\'',
        "operation = 1",
        "outcome = 2, counted = false",
        "quantity = quantity + 1",
        "sender = 'x'",
        "recipients = 'x'",
        "polling_station = 'x'",
        "payload = 'x'",
        "payload = NULL",
        "batch_id = batch_id + 1",
        # Together with what may change.
        'quantity = quantity + 1, "position" = "position" + 1',
    ],
)
def test_nothing_that_was_said_of_a_transaction_changes(ledger, change):
    refused(f"UPDATE transactions_transaction SET {change} WHERE tx_id = 'v1'")  # noqa: S608


def test_state_and_position_may_change(ledger):
    ledger.filter(tx_id="v2").update(position=F("position") + 1)
    ledger.filter(tx_id="v2").update(rolled_back=True)
    ledger.filter(tx_id="v2").update(rolled_back=False)


def test_the_ledger_is_not_emptied(ledger, guarded_against_truncate):
    refused("TRUNCATE transactions_transaction", match="append-only")


def test_the_history_of_rollbacks_is_append_only(ledger, guarded_against_truncate):
    assert RollbackEvent.objects.count() == 1
    refused("DELETE FROM transactions_rollbackevent")
    refused("UPDATE transactions_rollbackevent SET rolled_back = NOT rolled_back")
    refused("TRUNCATE transactions_rollbackevent", match="append-only")


def test_no_key_has_two_votes_that_count(ledger):
    refused(
        "UPDATE transactions_transaction SET counted = true WHERE tx_id = 'v2'",
        IntegrityError,
        "one_counted_vote_per_key",
    )


@pytest.mark.parametrize("tx_id", ["i1", "v3"])
def test_what_is_refused_or_rolled_back_never_counts(ledger, tx_id):
    refused(
        f"UPDATE transactions_transaction SET counted = true WHERE tx_id = '{tx_id}'",  # noqa: S608
        IntegrityError,
        "only_accepted_transactions_count",
    )


def test_no_id_is_stored_twice(ledger):
    refused(
        "INSERT INTO transactions_transaction "
        "SELECT * FROM transactions_transaction WHERE tx_id = 'v3'",
        IntegrityError,
        "transactions_transaction_pkey",
    )


@pytest.mark.parametrize(
    "name", ["rows_read", "accepted", "duplicate", "conflicting", "rejected"]
)
def test_a_batch_must_account_for_every_row(ledger, name):
    batch = ImportBatch.objects.order_by("id").first()

    with pytest.raises(IntegrityError, match="every_row_read"), transaction.atomic():
        ImportBatch.objects.filter(pk=batch.pk).update(**{name: F(name) + 1})
