"""Readers of exports: bytes in, columns and rejections out; no database.

`discover` finds the files, `read` turns one into blocks.
"""

from typing import BinaryIO

from transactions.formats import api_rows, plain, portal_csv
from transactions.formats.api_rows import as_kept, read_rows
from transactions.formats.columns import (
    Block,
    Blocks,
    ContractTerms,
    Rejection,
    Statements,
)
from transactions.formats.discovery import Discovery, discover
from transactions.formats.errors import UnreadableFile
from transactions.formats.export_file import ExportFile, Kind, UnusableFile
from transactions.formats.layout import Layout
from transactions.formats.reasons import FileReason, Reason

__all__ = [
    "Block",
    "Blocks",
    "ContractTerms",
    "Discovery",
    "ExportFile",
    "FileReason",
    "Kind",
    "Layout",
    "Reason",
    "Rejection",
    "Statements",
    "UnreadableFile",
    "UnusableFile",
    "as_kept",
    "discover",
    "read",
    "read_rows",
]

_READERS = {
    Kind.PORTAL_HOUR: portal_csv.read,
    Kind.PORTAL_DUMP: portal_csv.read,
    Kind.PLAIN_CSV: plain.read_csv,
    Kind.PLAIN_JSON_LINES: plain.read_json_lines,
    Kind.PLAIN_PARQUET: plain.read_parquet,
    Kind.API_ROWS: api_rows.read,
}


# For whoever reads a few lines only.
FEW_ROWS = 1_000


def read(kind: Kind, stream: BinaryIO, *, block_rows: int = FEW_ROWS) -> Blocks:
    """Yield what `stream`, the content of a file of this kind, says.

    Raises:
        UnreadableFile: the file as a whole, or the rest of it, cannot be read.
    """
    return _READERS[kind](stream, block_rows=block_rows)
