"""The export of the observers' portal: twelve fields, split on ";" before any JSON.

0 id, 1 type, 4 time stamp, 5 sender's key, 8 params, 9 diff and 11 rollback are read;
the others are neither used nor checked.
"""

from typing import Any, BinaryIO

import orjson

from transactions.formats.columns import Blocks
from transactions.formats.contract_terms import contract_terms
from transactions.formats.entries import (
    Entries,
    diff_of,
    json_array,
    params_of,
    value_of,
)
from transactions.formats.errors import RowRefused
from transactions.formats.lines import bounded_lines
from transactions.formats.reasons import Reason
from transactions.formats.rows import (
    LONGEST_ID,
    MAX_LINE_BYTES,
    BlockBuilder,
    checked_id,
    checked_ms,
    collect,
    digest,
    station_text,
)
from transactions.operations import LEDGER_NAMES, Operation, Outcome

FIELD_COUNT = 12
_CREATE, _CALL = b"103", b"104"

# Columns hold plain integers: what copies them need know no enum.
_NUMBERS = {name: int(operation) for name, operation in LEDGER_NAMES.items()}
_OTHER_OPERATION = int(Operation.OTHER)
_ISSUE = int(Operation.BULLETIN_ISSUED)
_VOTE = int(Operation.VOTE_CAST)
_CREATE_CONTRACT = int(Operation.CREATE_CONTRACT)
_REGISTER_SIGNS = {
    int(Operation.ADD_VOTERS_LIST): 1,
    int(Operation.ADD_TO_VOTERS_LIST): 1,
    int(Operation.REMOVE_FROM_VOTERS_LIST): -1,
}
_ACCEPTED, _FAILED, _OTHER = map(int, (Outcome.ACCEPTED, Outcome.FAILED, Outcome.OTHER))


def read(
    stream: BinaryIO, *, block_rows: int, max_line_bytes: int = MAX_LINE_BYTES
) -> Blocks:
    """Yield the lines of one contract's export as blocks of at most `block_rows` rows.

    The column `contract_id` stays empty: the file says which contract it is. Lines are
    numbered as an editor does; blank ones are skipped. A line that cannot be read, were
    it gigabytes long, is a rejection, never an exception.

    Raises:
        UnreadableFile: only from `stream` itself, when an archive turns out damaged.
    """
    return collect(
        bounded_lines(stream, limit=max_line_bytes),
        _parse_line,
        block_rows=block_rows,
        max_line_bytes=max_line_bytes,
    )


# Longer than others on purpose: it runs 24 million times for one election.
def _parse_line(number: int, line: bytes, builder: BlockBuilder) -> None:
    head = line.split(b";", 8)
    if len(head) < 9:
        _refuse_unless_blank(line)
        return
    id_text, kind, _, _, ts_text, key_text, _, _, rest = head
    # partition() searches with memchr, split() byte by byte: 3 µs for a vote.
    params_text, _, tail = rest.partition(b";")
    written, _, rollback = tail.rpartition(b";")
    diff_text, separator, _ = written.rpartition(b";")
    if not separator or b";" in diff_text:
        raise _wrong_field_count(line)

    tx_id = _tx_id(id_text)
    sender_key = _text(key_text, "senderPublicKey")
    rolled_back = _is_rolled_back(rollback)
    timestamp_ms = _timestamp_ms(ts_text)
    params = params_of(params_text)
    diff = diff_of(diff_text)
    operation = _operation(kind, params)
    outcome = _outcome(operation, diff, tx_id, sender_key)
    quantity, recipients = _quantity(operation, outcome, params)
    builder.rows.append(
        (
            number,
            tx_id,
            timestamp_ms,
            operation,
            outcome,
            quantity,
            digest(key_text) if key_text else None,
            recipients,
            _polling_station(params),
            digest(rest[: len(params_text) + 1 + len(diff_text)]),
            rolled_back,
        )
    )
    if recipients is not None:
        builder.heavy_bytes += len(recipients)
    elif operation == _CREATE_CONTRACT and outcome == _ACCEPTED and not rolled_back:
        builder.terms.append(contract_terms(tx_id, params, diff))


def _refuse_unless_blank(line: bytes) -> None:
    if line.strip():
        raise _wrong_field_count(line)


def _wrong_field_count(line: bytes) -> RowRefused:
    found = line.count(b";") + 1
    return RowRefused(Reason.WRONG_FIELD_COUNT, found=found, expected=FIELD_COUNT)


def _tx_id(text: bytes) -> str:
    # Base58 is alphanumeric; everything else takes the longer way.
    if text.isalnum() and len(text) <= LONGEST_ID:
        return text.decode()
    return checked_id(_text(text, "nestedTxId"), "nestedTxId")


def _text(text: bytes, field: str) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise RowRefused(Reason.NOT_TEXT, field=field) from None


def _is_rolled_back(text: bytes) -> bool:
    text = text.rstrip(b"\r")
    if text not in (b"", b"-1"):
        raise RowRefused(Reason.UNKNOWN_ROLLBACK)
    return text == b"-1"


def _timestamp_ms(text: bytes) -> int:
    # int() alone would accept blanks and underscores, and raises on 5,000 digits.
    if not text.removeprefix(b"-").isdigit():
        raise RowRefused(Reason.TIMESTAMP_NOT_A_NUMBER)
    if len(text) > 20:
        raise RowRefused(Reason.TIMESTAMP_OUT_OF_RANGE)
    return checked_ms(int(text))


def _operation(kind: bytes, params: Entries) -> int:
    if kind != _CALL and kind != _CREATE:
        raise RowRefused(Reason.UNKNOWN_TYPE)
    name = value_of(params, "operation")
    if type(name) is str and (name := name.strip().lower()):
        return _NUMBERS.get(name, _OTHER_OPERATION)
    if kind == _CREATE and "operation" not in params:
        return _CREATE_CONTRACT
    raise RowRefused(Reason.OPERATION_MISSING)


def _outcome(operation: int, diff: Entries, tx_id: str, sender_key: str) -> int:
    for key in diff:
        if key[:4] == "FAIL":
            return _FAILED
    if operation == _VOTE:
        return _ACCEPTED if f"VOTE_{sender_key}" in diff and sender_key else _OTHER
    if operation == _ISSUE:
        return _ACCEPTED if f"BLINDSIG_{tx_id}" in diff else _OTHER
    return _ACCEPTED


def _quantity(
    operation: int, outcome: int, params: Entries
) -> tuple[int, bytes | None]:
    """Return the quantity and, for an issue, the recipients.

    What the contract has not accepted counts for nothing, and broken content may be the
    very reason: there the quantity is 0 where it cannot be read.
    """
    if operation == _VOTE:
        return 1, None
    if operation != _ISSUE and operation not in _REGISTER_SIGNS:
        return 0, None
    try:
        if operation == _ISSUE:
            return _ballots(params)
        return _REGISTER_SIGNS[operation] * _voter_count(params), None
    except RowRefused:
        if outcome == _ACCEPTED:
            raise
        return 0, b"" if operation == _ISSUE else None


def _ballots(params: Entries) -> tuple[int, bytes]:
    data = value_of(params, "data")
    if data is None:
        raise RowRefused(Reason.DATA_MISSING)
    if not isinstance(data, str):
        raise RowRefused(Reason.DATA_NOT_AN_ARRAY)
    issued = json_array(data, Reason.DATA_BROKEN_JSON, Reason.DATA_NOT_AN_ARRAY)
    return len(issued), b"".join(map(_recipient, issued))


def _recipient(entry: Any) -> bytes:
    user = entry.get("userId") if type(entry) is dict else None
    if type(user) is int or (type(user) is str and user):
        return digest(str(user).encode())
    try:
        return digest(orjson.dumps(entry, option=orjson.OPT_SORT_KEYS))
    except orjson.JSONEncodeError as error:
        # Nested more deeply than can be written again.
        raise RowRefused(Reason.DATA_BROKEN_JSON, error=error) from None


def _voter_count(params: Entries) -> int:
    """Return the length of userIdHashes, 0 where the transaction has none."""
    hashes = value_of(params, "userIdHashes")
    if hashes is None:
        return 0
    if not isinstance(hashes, str):
        raise RowRefused(Reason.VOTERS_NOT_AN_ARRAY)
    return len(
        json_array(hashes, Reason.VOTERS_BROKEN_JSON, Reason.VOTERS_NOT_AN_ARRAY)
    )


def _polling_station(params: Entries) -> str:
    """Return "<region code>-<number>", or "" unless both are told."""
    if "primaryUikNumber" not in params:
        return ""
    region = station_text(value_of(params, "primaryUikRegionCode"))
    number = station_text(value_of(params, "primaryUikNumber"))
    return f"{region}-{number}" if region and number else ""
