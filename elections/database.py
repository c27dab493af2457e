"""Errors that say that the database is away, not that something is wrong."""

from django.db import InterfaceError, OperationalError
from psycopg.errors import IdleInTransactionSessionTimeout


def is_away(error: Exception) -> bool:
    """Tell whether what failed may be tried again: a lost connection, a deadlock.

    Also of a session that was ended because it stood still in a transaction, which Django
    takes for an internal error.
    """
    return isinstance(error, OperationalError | InterfaceError) or isinstance(
        error.__cause__, IdleInTransactionSessionTimeout
    )
