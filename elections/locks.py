"""One writer per constituency: the lock that every writer of its figures takes first."""

from collections.abc import Iterable

from django.db import connection

from elections.models import Constituency


class NotInTransaction(RuntimeError):
    """A lock or a write was asked for outside a database transaction."""


def lock_constituencies(ids: Iterable[int]) -> list[int]:
    """Lock these constituencies until the transaction ends; return those that exist.

    Always in the order of their ids, so that two writers cannot deadlock, and
    `FOR NO KEY UPDATE`, because plain `FOR UPDATE` deadlocks with the checks of foreign
    keys that point here.

    Raises:
        NotInTransaction: no transaction is open, so the lock would hold nothing.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction("Lock constituencies inside transaction.atomic().")
    wanted = Constituency.objects.filter(id__in=list(ids)).order_by("id")
    return list(wanted.select_for_update(no_key=True).values_list("id", flat=True))
