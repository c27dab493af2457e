"""The one clock that all processes share, on whichever machine they run."""

from collections.abc import Callable
from datetime import datetime

from django.db import connection

# What tells the time when it is called: `database_now`, or what a test sets.
Clock = Callable[[], datetime]


def database_now() -> datetime:
    """Return the time on the database's clock, also inside a transaction.

    The queues go by it (leases, pauses, what is due), and what their work is compared with.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now
