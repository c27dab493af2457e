"""Locks: one writer per constituency, and one at a time where several would collide."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from zlib import crc32

from django.db import DatabaseError, InterfaceError, connection

from elections.models import Constituency


class NotInTransaction(RuntimeError):
    """A lock or a write was asked for outside a database transaction."""


class Lock(IntEnum):
    """The advisory locks of this project: the first half of their keys."""

    # One process extends the registry at a time.
    REGISTRY = 7_302_001
    # With the id of a batch: it is being loaded.
    RUNNING_BATCH = 7_302_002
    # With the name of a periodic task.
    PERIODIC_TASK = 7_302_003
    # The one process that waits for updates that are due soon.
    DRAIN = 7_302_004
    # With the id of an election: its minutes are being written, which many share, or
    # deleted.
    SERIES = 7_302_005
    # With the path of a watched folder.
    WATCHED_FOLDER = 7_302_006
    # An update that takes long: the other processes stay free for what is live.
    LONG_UPDATE = 7_302_007
    # With the id of an election: its alerts are being written.
    ALERTS = 7_302_008
    # With an hour of an election: its minutes are being counted.
    SERIES_HOUR = 7_302_009


def lock_constituencies(ids: Iterable[int]) -> list[int]:
    """Lock these constituencies until the transaction ends; return those that exist.

    Always in the order of their ids, so that two writers cannot deadlock, and
    `FOR NO KEY UPDATE`, because plain `FOR UPDATE` deadlocks with the checks of foreign
    keys that point here.

    Raises:
        NotInTransaction: no transaction is open, so the lock would hold nothing.
    """
    _refuse_outside_transaction()
    wanted = Constituency.objects.filter(id__in=list(ids)).order_by("id")
    return list(wanted.select_for_update(no_key=True).values_list("id", flat=True))


def lock_until_commit(lock: Lock, *keys: int) -> None:
    """Wait for `lock` with each of `keys`, and hold them until the transaction ends.

    Without keys it is one lock. Of several always the lowest first, so that two who wait
    for the same ones cannot deadlock.

    Raises:
        NotInTransaction: no transaction is open, so the lock would hold nothing.
    """
    _refuse_outside_transaction()
    halves = sorted(map(_half, keys or (0,)))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, key) FROM unnest(%s::int[]) AS key",
            [int(lock), halves],
        )


def try_lock_until_commit(lock: Lock, key: int = 0) -> bool:
    """Do as `lock_until_commit` where nobody holds it; tell whether it is held now."""
    _refuse_outside_transaction()
    return bool(_ask("SELECT pg_try_advisory_xact_lock(%s, %s)", lock, key))


def try_share_until_commit(lock: Lock, key: int = 0) -> bool:
    """Do as `try_lock_until_commit`, for many who only keep out who wants it alone."""
    _refuse_outside_transaction()
    return bool(_ask("SELECT pg_try_advisory_xact_lock_shared(%s, %s)", lock, key))


def lock_session(lock: Lock, key: int = 0) -> None:
    """Wait for `lock`, and hold it while this connection lives."""
    _ask("SELECT pg_advisory_lock(%s, %s)", lock, key)


def unlock_session(lock: Lock, key: int = 0) -> None:
    """Let go of what `lock_session` took; of nothing after a lost connection."""
    try:
        if _ask(f"SELECT EXISTS ({_HELD} AND pid = pg_backend_pid())", lock, key):
            _ask("SELECT pg_advisory_unlock(%s, %s)", lock, key)
    except (DatabaseError, InterfaceError):
        # Lost, or in a transaction that failed: the lock ends with the session.
        connection.close()


def is_locked(lock: Lock, key: int = 0) -> bool:
    """Tell whether a session that lives holds `lock`."""
    return bool(_ask(f"SELECT EXISTS ({_HELD} AND granted)", lock, key))


@contextmanager
def alone(lock: Lock, key: int = 0) -> Iterator[bool]:
    """Hold `lock` until the end of the block; yield False where another holds it."""
    is_alone = bool(_ask("SELECT pg_try_advisory_lock(%s, %s)", lock, key))
    try:
        yield is_alone
    finally:
        if is_alone:
            unlock_session(lock, key)


def key_of(name: str | bytes) -> int:
    """Return the second half of a key for what has a name and no number."""
    encoded = name.encode() if isinstance(name, str) else name
    return crc32(encoded)


# As PostgreSQL shows the halves of a key: without sign.
_HELD = """
    SELECT FROM pg_locks
    WHERE locktype = 'advisory'
        AND classid = %s
        AND objid = (%s::bigint & 4294967295)::oid
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def _ask(question: str, lock: Lock, key: int) -> object:
    with connection.cursor() as cursor:
        cursor.execute(question, [int(lock), _half(key)])
        return cursor.fetchone()[0]


def _half(key: int) -> int:
    # Ids may outgrow the half of a key.
    return (key + (1 << 31)) % (1 << 32) - (1 << 31)


def _refuse_outside_transaction() -> None:
    if not connection.in_atomic_block:
        raise NotInTransaction("Take this lock inside transaction.atomic().")
