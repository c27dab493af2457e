"""One chunk into the ledger in one database transaction: exactly once, or not at all."""

from transactions.loader.bulk import copy_records
from transactions.loader.chunk import Chunk, OpenBatch, Part, Place
from transactions.loader.load import ChunkResult, ConstituencyGone, Loader

__all__ = [
    "Chunk",
    "ChunkResult",
    "ConstituencyGone",
    "Loader",
    "OpenBatch",
    "Part",
    "Place",
    "copy_records",
]
