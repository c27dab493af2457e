"""Advisory locks: held by one session, seen by others, gone with the session."""

import pytest
from django.db import DatabaseError, connection, transaction

from elections.locks import (
    Lock,
    NotInTransaction,
    alone,
    is_locked,
    key_of,
    lock_session,
    lock_until_commit,
    try_lock_until_commit,
    try_share_until_commit,
    unlock_session,
)
from tests.beside import (
    DEADLINE_SECONDS,
    beside,
    elsewhere,
    wait_until_somebody_waits,
)

pytestmark = pytest.mark.django_db(transaction=True)


def is_alone(lock, key):
    with alone(lock, key) as answer:
        return answer


@pytest.mark.parametrize(
    "key", [0, 7, -7, -(1 << 31), (1 << 31) - 1, (1 << 32) - 1, 5_000_000_000]
)
def test_a_lock_is_seen_by_others_until_it_is_let_go(key):
    lock_session(Lock.RUNNING_BATCH, key)
    assert elsewhere(lambda: is_locked(Lock.RUNNING_BATCH, key))
    assert not elsewhere(lambda: is_alone(Lock.RUNNING_BATCH, key))

    unlock_session(Lock.RUNNING_BATCH, key)
    assert not elsewhere(lambda: is_locked(Lock.RUNNING_BATCH, key))
    assert elsewhere(lambda: is_alone(Lock.RUNNING_BATCH, key))


def test_locks_and_keys_are_apart():
    with alone(Lock.SERIES, 1):
        assert elsewhere(lambda: is_alone(Lock.SERIES, 2))
        assert elsewhere(lambda: is_alone(Lock.LONG_UPDATE, 1))


def test_what_was_not_taken_is_not_let_go():
    lock_session(Lock.DRAIN)
    elsewhere(lambda: is_alone(Lock.DRAIN, 0))
    elsewhere(lambda: unlock_session(Lock.DRAIN))

    assert is_locked(Lock.DRAIN)
    unlock_session(Lock.DRAIN)


def test_a_lost_session_holds_nothing_and_letting_go_is_no_fault():
    lock_session(Lock.DRAIN)
    connection.close()

    assert not is_locked(Lock.DRAIN)
    unlock_session(Lock.DRAIN)


def test_a_lock_of_a_transaction_ends_with_it():
    with transaction.atomic():
        lock_until_commit(Lock.SERIES, 3)
        assert not elsewhere(lambda: is_alone(Lock.SERIES, 3))
    assert elsewhere(lambda: is_alone(Lock.SERIES, 3))


def test_one_lock_with_many_keys():
    with transaction.atomic():
        lock_until_commit(Lock.SERIES_HOUR, 5_000_000_000, -7, 3)
        for key in (3, -7, 5_000_000_000):
            assert not elsewhere(lambda key=key: is_alone(Lock.SERIES_HOUR, key))
        assert elsewhere(lambda: is_alone(Lock.SERIES_HOUR, 4))


def test_many_keys_are_waited_for_in_their_order():
    """Who waits for the first has none of the others that somebody may wait for."""

    def lock_both():
        with transaction.atomic():
            lock_until_commit(Lock.SERIES_HOUR, 9, 5)

    with transaction.atomic():
        lock_until_commit(Lock.SERIES_HOUR, 5)
        other = beside(lock_both)
        wait_until_somebody_waits()
        assert elsewhere(lambda: is_alone(Lock.SERIES_HOUR, 9))
    other.result(DEADLINE_SECONDS)


def test_many_share_a_lock_that_nobody_has_alone_meanwhile():
    def share():
        with transaction.atomic():
            return try_share_until_commit(Lock.SERIES, 3)

    with transaction.atomic():
        assert try_share_until_commit(Lock.SERIES, 3)
        assert elsewhere(share)
        assert not elsewhere(lambda: is_alone(Lock.SERIES, 3))
    with alone(Lock.SERIES, 3):
        assert not elsewhere(share)


@pytest.mark.parametrize(
    "take", [lock_until_commit, try_lock_until_commit, try_share_until_commit]
)
def test_a_lock_of_a_transaction_is_refused_outside_one(take):
    with pytest.raises(NotInTransaction):
        take(Lock.SERIES, 3)


def test_names_have_keys():
    keys = {key_of(name) for name in ("prune", "watch_feeds", b"/srv/exports")}

    assert len(keys) == 3


def test_a_lock_that_cannot_be_let_go_ends_with_its_session():
    def fail_inside():
        with transaction.atomic(), alone(Lock.DRAIN), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    with pytest.raises(DatabaseError, match="division by zero"):
        fail_inside()

    assert not is_locked(Lock.DRAIN)
