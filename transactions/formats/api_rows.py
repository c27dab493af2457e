"""Rows posted to the API: plain columns, in which `constituency` names the contract.

A row may state its `position` among the statements about its transaction, a whole number;
that of a first statement that states none is 1. `transactions.positions` puts it behind
the hour of the time stamp, so that an hourly file outranks it whatever it states.
"""

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import orjson

from transactions.formats import plain
from transactions.formats.columns import Block, Blocks
from transactions.formats.errors import RowRefused
from transactions.formats.lines import bounded_lines
from transactions.formats.reasons import Reason
from transactions.formats.rows import MAX_LINE_BYTES, BlockBuilder, collect

CONTRACT_COLUMN = "constituency"
# What JavaScript and every JSON parser can write exactly. Added to an hour, it stays far
# below what hourly files state.
LARGEST_POSITION = 2**53 - 1
_MOST_DIGITS = 16


def read_rows(rows: Sequence[object]) -> Block:
    """Return what the rows of one request say; the first row is line 1."""
    builder = BlockBuilder(len(rows))
    for number, row in enumerate(rows, start=1):
        try:
            _add(number, row, builder)
        except RowRefused as refused:
            builder.reject(number, refused, as_kept(row))
    return builder.take()


def read(
    stream: BinaryIO, *, block_rows: int, max_line_bytes: int = MAX_LINE_BYTES
) -> Blocks:
    """Yield rows in the form in which refused ones are kept, one JSON object per line."""
    return collect(
        bounded_lines(stream, limit=max_line_bytes),
        _parse,
        block_rows=block_rows,
        max_line_bytes=max_line_bytes,
    )


def as_kept(row: object) -> bytes:
    """Return the row as one line of JSON, empty where it is nested too deeply."""
    try:
        return orjson.dumps(row)
    except orjson.JSONEncodeError:
        return b""


def _parse(number: int, line: bytes, builder: BlockBuilder) -> None:
    if line.strip():
        _add(number, plain.parsed_json(line), builder)


def _add(number: int, row: object, builder: BlockBuilder) -> None:
    columns = plain.checked_object(row)
    position = _position(columns)
    plain.add_row(number, columns, builder, contract_column=CONTRACT_COLUMN)
    builder.positions.append(position)


def _position(row: Mapping[str, Any]) -> int | None:
    value = row.get("position")
    if value is None:
        return None
    text = str(value).strip() if type(value) in (int, str) else ""
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    if not is_number or int(text) > LARGEST_POSITION:
        raise RowRefused(Reason.POSITION_OUT_OF_RANGE, most=LARGEST_POSITION)
    return int(text)
