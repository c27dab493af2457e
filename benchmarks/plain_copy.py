"""The limit: plain COPY of rows the ledger holds into a table with the same key."""

from collections.abc import Sequence

from django.db import connection, transaction
from psycopg import sql

from benchmarks.measure import seconds
from transactions.models import ImportBatch

ROWS_OF_BATCHES = sql.SQL("""
COPY (
    SELECT * FROM transactions_transaction
    WHERE constituency_id = ANY({places}) AND batch_id = ANY({batches})
    ORDER BY constituency_id, tx_id
) TO STDOUT WITH (
    FORMAT csv, NULL '\\N',
    FORCE_QUOTE (tx_id, sender, recipients, polling_station, payload)
)
""")
COPY_ROWS = "COPY bench_plain FROM STDIN WITH (FORMAT csv, NULL '\\N')"


class PlainTable:
    """A table with the ledger's columns and primary key, and nothing else.

    It is given all rows that the ledger gets, so both grow alike.
    """

    def __init__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS bench_plain")
            cursor.execute("CREATE TABLE bench_plain (LIKE transactions_transaction)")
            cursor.execute(
                "ALTER TABLE bench_plain ADD PRIMARY KEY (constituency_id, tx_id)"
            )

    def copy(self, chunks: Sequence[Sequence[int]]) -> float:
        """Copy the rows of these batches, a transaction per chunk; return the seconds.

        Each chunk is a list of batches. Fetching the rows' text is not counted.
        """
        contents = [_text_of(chunk) for chunk in chunks]
        return seconds(lambda: _copy_all(contents))

    def catch_up(self, *, after_batch: int) -> None:
        """Take over, uncounted, the rows of later batches that are not here yet."""
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO bench_plain SELECT * FROM transactions_transaction "
                "WHERE batch_id > %s ON CONFLICT DO NOTHING",
                [after_batch],
            )


def _copy_all(contents: Sequence[bytes]) -> None:
    for content in contents:
        with (
            transaction.atomic(),
            connection.cursor() as cursor,
            cursor.copy(COPY_ROWS) as copy,
        ):
            copy.write(content)


def _text_of(batch_ids: Sequence[int]) -> bytes:
    """Return rows of the ledger as the loader writes them: as CSV, in key order."""
    batches = ImportBatch.objects.filter(pk__in=batch_ids)
    places = sorted(set(batches.values_list("constituency_id", flat=True)))
    statement = ROWS_OF_BATCHES.format(
        places=sql.Literal(places), batches=sql.Literal(list(batch_ids))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return b"".join(bytes(piece) for piece in copy)
