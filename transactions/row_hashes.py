"""Eight bytes that stand for a transaction id when two versions of a file are compared."""

from collections.abc import Iterable
from hashlib import sha256

from django.db.models import BinaryField, Func

HASH_BYTES = 8


def row_hashes(tx_ids: Iterable[str]) -> bytes:
    """Return the hashes of these ids, one after the other."""
    return b"".join(sha256(tx_id.encode()).digest()[:HASH_BYTES] for tx_id in tx_ids)


# The same hash as the database computes it, to find the rows behind hashes.
HASH_OF_TX_ID = Func(
    "tx_id",
    template=f"substr(sha256(convert_to(%(expressions)s, 'UTF8')), 1, {HASH_BYTES})",
    output_field=BinaryField(),
)
