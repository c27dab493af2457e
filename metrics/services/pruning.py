"""Old rows are deleted in pieces, so that nobody waits for one long transaction."""

from typing import Any

from django.db import connection, transaction

# Minutes take about 0.1 s.
PIECE_ROWS = 10_000


def delete_in_pieces(statement: str, **values: Any) -> int:
    """Run a statement that deletes `limit` rows until it finds fewer; return how many.

    Each piece is a database transaction of its own.
    """
    total, deleted = 0, PIECE_ROWS
    while deleted == PIECE_ROWS:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, {**values, "limit": PIECE_ROWS})
            deleted = cursor.rowcount
        total += deleted
    return total
