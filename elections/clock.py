"""The one clock that all processes share, on whichever machine they run."""

from datetime import datetime

from django.db import connection


def database_now() -> datetime:
    """Return the time on the database's clock, also inside a transaction.

    Whatever one process writes and another compares with the time is dated by it: leases,
    pauses, and what is due.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
    return now
