"""Plain columns, for ledgers other than the portal's: CSV, JSON lines and Parquet.

Required are contract_id, timestamp, tx_id and operation; sender, uik, outcome, quantity
and rolled_back may be absent, further columns are ignored. A timestamp is ISO 8601 with
its offset from UTC, or whole milliseconds since 1970. Operations have the names of
`transactions.operations`; an unknown one is kept as "other".
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from transactions.formats.columns import Blocks
from transactions.formats.errors import RowRefused, UnreadableFile
from transactions.formats.lines import BYTE_ORDER_MARK, bounded_lines
from transactions.formats.reasons import FileReason, Reason, clean
from transactions.formats.rows import (
    LARGEST_QUANTITY,
    MAX_LINE_BYTES,
    BlockBuilder,
    checked_id,
    checked_ms,
    collect,
    digest,
    station_text,
)
from transactions.operations import Operation, Outcome, operation_named

if TYPE_CHECKING:
    import polars as pl

REQUIRED = ("contract_id", "timestamp", "tx_id", "operation")
OPTIONAL = ("sender", "uik", "outcome", "quantity", "rolled_back")

# A contract id is a part of addresses, so it has none of the characters that divide them.
_CONTRACT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:~-]*")
_DELIMITERS = ",;\t"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_OUTCOMES = {outcome.label: int(outcome) for outcome in Outcome}
_REGISTER_CHANGES = {
    Operation.ADD_VOTERS_LIST,
    Operation.ADD_TO_VOTERS_LIST,
    Operation.REMOVE_FROM_VOTERS_LIST,
}
_TRUTHS = {"": False, "false": False, "0": False, "no": False}
_TRUTHS |= {"true": True, "1": True, "yes": True, "-1": True}


def read_csv(
    stream: BinaryIO, *, block_rows: int, max_line_bytes: int = MAX_LINE_BYTES
) -> Blocks:
    """Yield the rows of a CSV file with a header; "," ";" or tab is told by the header.

    A value may stand in quotation marks but not run over several lines. An empty file
    has no rows.

    Raises:
        UnreadableFile: the header lacks a required column, or names a column twice.
    """
    lines = bounded_lines(stream, limit=max_line_bytes)
    header = next(lines, b"")
    if not header.strip():
        return
    for block in collect(
        lines,
        _csv_parser(header),
        block_rows=block_rows,
        max_line_bytes=max_line_bytes,
        first_line=2,
    ):
        # A line says nothing without its header, least of all when it is retried.
        names = clean(header.decode("utf-8", "replace")).strip()
        block.rejections = [
            replace(rejection, raw=f"{names}\n{rejection.raw}")
            for rejection in block.rejections
        ]
        yield block


def read_json_lines(
    stream: BinaryIO, *, block_rows: int, max_line_bytes: int = MAX_LINE_BYTES
) -> Blocks:
    """Yield the rows of a file with one JSON object per line."""
    return collect(
        bounded_lines(stream, limit=max_line_bytes),
        _parse_json,
        block_rows=block_rows,
        max_line_bytes=max_line_bytes,
    )


def read_parquet(stream: BinaryIO, *, block_rows: int) -> Blocks:
    """Yield the rows of a Parquet file, a slice at a time; the first row is line 1.

    Memory is bounded by the file's largest row group. `stream` is a file on disk, which
    polars maps, or it is read whole.

    Raises:
        UnreadableFile: it is no Parquet file, or a required column is missing.
    """
    for first, rows in _parquet_slices(stream, block_rows):
        builder = BlockBuilder(block_rows)
        for number, row in enumerate(rows, start=first):
            try:
                add_row(number, row, builder)
            except RowRefused as refused:
                builder.reject(number, refused, orjson.dumps(row, default=str))
        yield from builder.take_rest()


def is_header(line: bytes) -> bool:
    """Return whether `line` is the header of a CSV file of plain columns."""
    return set(REQUIRED) <= set(_split_header(line)[1])


def check_header(line: bytes) -> None:
    """Say what the header of a CSV file lacks.

    Raises:
        UnreadableFile: a required column is missing, or a known one stands twice.
    """
    _check_columns(_split_header(line)[1])


def _check_columns(columns: list[str]) -> None:
    for column in REQUIRED:
        if column not in columns:
            raise UnreadableFile(FileReason.MISSING_COLUMN, column=column)
    for column in REQUIRED + OPTIONAL:
        if columns.count(column) > 1:
            raise UnreadableFile(FileReason.REPEATED_COLUMN, column=column)


def _split_header(line: bytes) -> tuple[str, list[str]]:
    """Return the delimiter that yields most of the known columns, and the columns."""
    text = line.removeprefix(BYTE_ORDER_MARK).decode("utf-8", "replace")
    known = set(REQUIRED + OPTIONAL)
    splits = [(mark, _names(text, mark)) for mark in _DELIMITERS]
    return max(splits, key=lambda split: len(known.intersection(split[1])))


def _names(text: str, delimiter: str) -> list[str]:
    return [name.strip().strip('"').strip().lower() for name in text.split(delimiter)]


def _csv_parser(header: bytes) -> Callable[[int, bytes, BlockBuilder], None]:
    delimiter, columns = _split_header(header)
    _check_columns(columns)

    def parse(number: int, line: bytes, builder: BlockBuilder) -> None:
        if not line.strip():
            return
        fields = _csv_fields(line, delimiter)
        if len(fields) != len(columns):
            raise RowRefused(
                Reason.WRONG_FIELD_COUNT, found=len(fields), expected=len(columns)
            )
        add_row(number, dict(zip(columns, fields, strict=True)), builder)

    return parse


def _csv_fields(line: bytes, delimiter: str) -> list[str]:
    try:
        text = line.decode().rstrip("\r")
    except UnicodeDecodeError:
        raise RowRefused(Reason.NOT_TEXT, field="line") from None
    if '"' not in text:
        return text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        raise RowRefused(Reason.QUOTES_NOT_CLOSED) from None


def _parse_json(number: int, line: bytes, builder: BlockBuilder) -> None:
    if line.strip():
        add_row(number, checked_object(parsed_json(line)), builder)


def parsed_json(line: bytes) -> object:
    """Return what a line of JSON holds.

    Raises:
        RowRefused: it is broken.
    """
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RowRefused(Reason.BROKEN_JSON, error=error) from None


def checked_object(row: object) -> dict[str, Any]:
    """Return `row` if it is a JSON object.

    Raises:
        RowRefused: it is something else.
    """
    if not isinstance(row, dict):
        raise RowRefused(Reason.NOT_AN_OBJECT)
    return row


def _parquet_slices(
    stream: BinaryIO, block_rows: int
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    # Here and not above: polars must not be imported before a worker forks.
    import polars as pl

    start = 0
    try:
        frame = pl.scan_parquet(stream)
        columns = frame.collect_schema().names()
        _check_columns(columns)
        frame = frame.select(name for name in columns if name in REQUIRED + OPTIONAL)
        while rows := _slice(frame, start, block_rows):
            yield start + 1, rows
            start += block_rows
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise UnreadableFile(FileReason.BROKEN_PARQUET, error=error) from error


def _slice(frame: "pl.LazyFrame", start: int, length: int) -> list[dict[str, Any]]:
    return frame.slice(start, length).collect().to_dicts()


def _contract_id(text: str, column: str) -> str:
    if not _CONTRACT_ID.fullmatch(checked_id(text, column)):
        raise RowRefused(Reason.CONTRACT_ID_NOT_USABLE)
    return text


def add_row(
    number: int,
    row: Mapping[str, Any],
    builder: BlockBuilder,
    *,
    contract_column: str = "contract_id",
) -> None:
    """Add a row of plain columns, of which one names the contract.

    Raises:
        RowRefused: a column cannot be read.
    """
    contract_id = _contract_id(_text(row, contract_column), contract_column)
    operation = _operation(_text(row, "operation"))
    sender = _text(row, "sender")
    builder.rows.append(
        (
            number,
            checked_id(_text(row, "tx_id"), "tx_id"),
            _timestamp_ms(row.get("timestamp")),
            int(operation),
            _outcome(_text(row, "outcome")),
            _quantity(operation, row.get("quantity")),
            digest(sender.encode()) if sender else None,
            None,
            station_text(row.get("uik")),
            None,
            _is_rolled_back(row.get("rolled_back")),
        )
    )
    builder.contracts.append(contract_id)


def _text(row: Mapping[str, Any], column: str) -> str:
    """Return the value as stripped text, "" for none; a number as its digits."""
    value = row.get(column)
    if value is None:
        return ""
    if type(value) not in (str, int):
        raise RowRefused(Reason.NOT_TEXT, field=column)
    return str(value).strip()


def _operation(name: str) -> Operation:
    if not name:
        raise RowRefused(Reason.OPERATION_MISSING)
    return operation_named(name)


def _outcome(name: str) -> int:
    outcome = _OUTCOMES.get(name.lower()) if name else int(Outcome.ACCEPTED)
    if outcome is None:
        raise RowRefused(Reason.UNKNOWN_OUTCOME)
    return outcome


def _is_rolled_back(value: object) -> bool:
    rolled_back = _TRUTHS.get(_simple_text(value).lower())
    if rolled_back is None:
        raise RowRefused(Reason.ROLLED_BACK_NOT_UNDERSTOOD)
    return rolled_back


def _timestamp_ms(value: object) -> int:
    if isinstance(value, datetime):
        return _ms_of(value)
    text = str(value).strip() if type(value) in (int, str) else ""
    if text.removeprefix("-").isdecimal() and text.isascii():
        # A longer number is out of range however it goes on.
        return checked_ms(int(text) if len(text) <= 20 else 0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RowRefused(Reason.TIMESTAMP_NOT_UNDERSTOOD) from None
    return _ms_of(moment)


def _ms_of(moment: datetime) -> int:
    if moment.utcoffset() is None:
        raise RowRefused(Reason.NAIVE_TIMESTAMP)
    return checked_ms((moment - _EPOCH) // _MILLISECOND)


def _quantity(operation: Operation, value: object) -> int:
    """Return the quantity as `Statements` defines it; `value` may leave it open."""
    given = _number(value)
    if operation is Operation.BULLETIN_ISSUED:
        return _within(1 if given is None else given, 0, LARGEST_QUANTITY)
    if operation is Operation.VOTE_CAST:
        return _within(1 if given is None else given, 1, 1)
    if operation not in _REGISTER_CHANGES:
        return 0
    if operation is Operation.REMOVE_FROM_VOTERS_LIST:
        return -_within(abs(given or 0), 0, LARGEST_QUANTITY)
    return _within(given or 0, 0, LARGEST_QUANTITY)


def _simple_text(value: object) -> str:
    """Return a single value as stripped text, "" for none."""
    if isinstance(value, dict | list):
        # Never printed: nested deeper than Python's stack, it would end the import.
        return "nested"
    return "" if value is None else str(value).strip()


def _number(value: object) -> int | None:
    text = _simple_text(value)
    if not text:
        return None
    if not (text.isascii() and text.removeprefix("-").isdecimal()):
        raise RowRefused(Reason.QUANTITY_NOT_A_NUMBER)
    # Thousands of digits would make int() raise.
    if len(text) > 20:
        raise RowRefused(Reason.QUANTITY_OUT_OF_RANGE)
    return int(text)


def _within(quantity: int, least: int, most: int) -> int:
    if not least <= quantity <= most:
        raise RowRefused(Reason.QUANTITY_OUT_OF_RANGE)
    return quantity
