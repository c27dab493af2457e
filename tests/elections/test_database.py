"""Which errors say that the database is away."""

import pytest
from django.db import (
    DataError,
    InternalError,
    OperationalError,
    connection,
    transaction,
)

from elections.database import is_away

pytestmark = pytest.mark.django_db(transaction=True)


def ask(question):
    with connection.cursor() as cursor:
        cursor.execute(question)


def test_a_session_that_was_ended_is_away():
    with pytest.raises(OperationalError) as caught:
        ask("SELECT pg_terminate_backend(pg_backend_pid())")
    connection.close()

    assert is_away(caught.value)


@transaction.atomic
def ask_after_a_failure():
    with pytest.raises(DataError):
        ask("SELECT 1 / 0")
    ask("SELECT 1")


def test_a_transaction_that_failed_before_is_not():
    with pytest.raises(InternalError) as caught:
        ask_after_a_failure()

    assert not is_away(caught.value)
