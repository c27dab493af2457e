import io
from datetime import UTC, datetime
from hashlib import blake2b

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transactions.formats import UnreadableFile
from transactions.formats.plain import read_csv, read_json_lines, read_parquet
from transactions.operations import Operation, Outcome

HEADER = "contract_id,timestamp,tx_id,operation"


def block_of(text, reader=read_csv):
    content = text if isinstance(text, bytes) else text.encode()
    (block,) = reader(io.BytesIO(content), block_rows=100)
    return block


def row(text, header=HEADER):
    block = block_of(f"{header}\n{text}\n")
    assert block.rejections == []
    columns = block.statements
    return {
        name: getattr(columns, name)[0]
        for name in columns.__slots__
        if name != "position"
    }


def code(text, header=HEADER):
    (rejected,) = block_of(f"{header}\n{text}\n").rejections
    return rejected.code


def test_a_row_of_the_required_columns_becomes_a_statement():
    assert row("A1,2024-09-06T09:30:28.819+03:00,t1,vote_cast") == {
        "line": 2,
        "contract_id": "A1",
        "tx_id": "t1",
        "timestamp_ms": 1725604228819,
        "operation": Operation.VOTE_CAST,
        "outcome": Outcome.ACCEPTED,
        "quantity": 1,
        "sender": None,
        "recipients": None,
        "polling_station": "",
        "payload": None,
        "rolled_back": False,
    }


def test_all_columns_are_read_in_any_order_and_others_ignored():
    header = "note;rolled_back;quantity;outcome;uik;sender;operation;tx_id;timestamp;contract_id"

    read = row("x;true;2;failed;347;key;blindSigIssue;t1;1725604228819;A1", header)

    assert read["operation"] == Operation.BULLETIN_ISSUED
    assert (read["quantity"], read["outcome"]) == (2, Outcome.FAILED)
    assert (read["polling_station"], read["rolled_back"]) == ("347", True)
    assert read["sender"] == blake2b(b"key", digest_size=16).digest()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_told_by_the_header(delimiter):
    header = HEADER.replace(",", delimiter)

    assert row("A1,1725604228819,t1,vote".replace(",", delimiter), header)["line"] == 2


def test_values_may_stand_in_quotation_marks():
    assert row('"A1",1725604228819,"t,""1",vote')["tx_id"] == 't,"1'


def test_a_byte_order_mark_before_the_header_is_tolerated():
    assert row("A1,1725604228819,t1,vote", "\ufeff" + HEADER)["tx_id"] == "t1"


@pytest.mark.parametrize("stamp", ["2024-09-06T06:30:28.819Z", "1725604228819"])
def test_a_time_stamp_is_iso_with_offset_or_milliseconds(stamp):
    assert row(f"A1,{stamp},t1,vote")["timestamp_ms"] == 1725604228819


def test_an_unknown_operation_is_kept_as_other():
    assert row("A1,1725604228819,t1,dance")["operation"] == Operation.OTHER


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A1,2024-09-06T06:30:28,t1,vote", "naive_timestamp"),
        ("A1,yesterday,t1,vote", "timestamp_not_understood"),
        ("A1,,t1,vote", "timestamp_not_understood"),
        ("A1,5,t1,vote", "timestamp_out_of_range"),
        ("A1," + "1" * 5000 + ",t1,vote", "timestamp_out_of_range"),
        ("A1,0001-01-01T00:00:00+14:00,t1,vote", "timestamp_out_of_range"),
        (",1725604228819,t1,vote", "empty_id"),
        ("A1,1725604228819,,vote", "empty_id"),
        ("A1,1725604228819," + "t" * 129 + ",vote", "id_too_long"),
        ("A1,1725604228819,t\0,vote", "id_with_nul"),
        ("A1,1725604228819,t1,", "operation_missing"),
        ("A1,1725604228819,t1", "wrong_field_count"),
        ('"A1,1725604228819,t1,vote', "quotes_not_closed"),
    ],
)
def test_a_faulty_row_is_rejected(text, reason):
    assert code(text) == reason


def test_a_row_in_another_encoding_is_rejected_and_the_rest_is_read():
    content = f"{HEADER}\nЖ,1725604228819,t1,vote\n".encode("cp1251")

    block = block_of(content + b"A1,1725604228819,t1,vote")

    assert [r.code for r in block.rejections] == ["not_text"]
    assert block.statements.line == [3]


@pytest.mark.parametrize(
    ("operation", "given", "quantity"),
    [
        ("bulletin_issued", "", 1),
        ("bulletin_issued", "3", 3),
        ("vote", "", 1),
        ("vote", "1", 1),
        ("add_voters_list", "", 0),
        ("add_voters_list", "300", 300),
        ("remove_from_voters_list", "2", -2),
        ("remove_from_voters_list", "-2", -2),
        ("results", "7", 0),
    ],
)
def test_the_quantity_depends_on_the_operation(operation, given, quantity):
    text = f"A1,1725604228819,t1,{operation},{given}"

    assert row(text, f"{HEADER},quantity")["quantity"] == quantity


@pytest.mark.parametrize(
    ("operation", "given", "reason"),
    [
        ("vote", "5", "quantity_out_of_range"),
        ("bulletin_issued", "-1", "quantity_out_of_range"),
        ("bulletin_issued", "2147483648", "quantity_out_of_range"),
        ("bulletin_issued", "9" * 5000, "quantity_out_of_range"),
        ("bulletin_issued", "1.5", "quantity_not_a_number"),
    ],
)
def test_a_quantity_that_does_not_fit_is_rejected(operation, given, reason):
    text = f"A1,1725604228819,t1,{operation},{given}"

    assert code(text, f"{HEADER},quantity") == reason


@pytest.mark.parametrize(
    ("column", "reason"),
    [("outcome", "unknown_outcome"), ("rolled_back", "rolled_back_not_understood")],
)
def test_an_unknown_word_is_rejected(column, reason):
    assert code("A1,1725604228819,t1,vote,maybe", f"{HEADER},{column}") == reason


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("contract_id,timestamp,tx_id", "missing_column"),
        ("what,ever", "missing_column"),
        (f"{HEADER},tx_id", "repeated_column"),
    ],
)
def test_a_header_that_does_not_fit_makes_the_file_unreadable(header, reason):
    with pytest.raises(UnreadableFile) as raised:
        block_of(f"{header}\nx\n")

    assert raised.value.code == reason


def test_an_empty_file_has_no_rows():
    assert list(read_csv(io.BytesIO(), block_rows=9)) == []


def test_json_lines_are_read_with_their_types():
    block = block_of(
        '{"contract_id":"A1","timestamp":1725604228819,"tx_id":"t1",'
        '"operation":"vote","uik":347,"rolled_back":true}\n\n'
        '{"contract_id":"A1","timestamp":"2024-09-06T06:30:28.819Z","tx_id":"t2",'
        '"operation":"add_voters_list","quantity":300}',
        read_json_lines,
    )

    columns = block.statements
    assert (columns.line, columns.tx_id) == ([1, 3], ["t1", "t2"])
    assert columns.timestamp_ms == [1725604228819] * 2
    assert (columns.quantity, columns.rolled_back) == ([1, 300], [True, False])
    assert columns.polling_station == ["347", ""]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "not_an_object"),
        ("{", "broken_json"),
        ("[" * 5000, "broken_json"),
        ("{}", "empty_id"),
        ('{"contract_id":true}', "not_text"),
        ('{"contract_id":["a"]}', "not_text"),
    ],
)
def test_a_faulty_json_line_is_rejected(text, reason):
    assert [r.code for r in block_of(text, read_json_lines).rejections] == [reason]


@given(st.binary())
def test_arbitrary_bytes_never_raise(content):
    for reader, header in ((read_csv, f"{HEADER}\n".encode()), (read_json_lines, b"")):
        blocks = reader(io.BytesIO(header + content), block_rows=3)

        filled = [text for text in content.split(b"\n") if text.strip()]
        if not header and content.startswith(b"\xef\xbb\xbf"):
            continue
        assert sum(block.rows_read for block in blocks) == len(filled)


@pytest.fixture
def parquet(tmp_path):
    def write(**columns):
        path = tmp_path / "events.parquet"
        pl.DataFrame(columns).write_parquet(path, row_group_size=2)
        return path

    return write


def test_a_parquet_file_is_read_in_slices(parquet):
    moment = datetime(2024, 9, 6, 6, 30, 28, 819000, tzinfo=UTC)
    path = parquet(
        contract_id=["A1"] * 5,
        timestamp=[moment] * 5,
        tx_id=[f"t{number}" for number in range(4)] + [None],
        operation=["vote"] * 5,
        ignored=[1.5] * 5,
    )

    with path.open("rb") as stream:
        blocks = list(read_parquet(stream, block_rows=3))

    assert [block.statements.line for block in blocks] == [[1, 2, 3], [4]]
    assert blocks[0].statements.timestamp_ms == [1725604228819] * 3
    assert [(r.line, r.code) for r in blocks[1].rejections] == [(5, "empty_id")]


def test_a_naive_time_stamp_in_parquet_is_rejected(parquet):
    moment = datetime(2024, 9, 6)  # noqa: DTZ001
    path = parquet(
        contract_id=["A1"], timestamp=[moment], tx_id=["t"], operation=["vote"]
    )

    with path.open("rb") as stream:
        (block,) = read_parquet(stream, block_rows=3)

    assert [r.code for r in block.rejections] == ["naive_timestamp"]


def test_a_parquet_file_without_a_required_column_is_unreadable(parquet):
    with (
        parquet(contract_id=["A1"]).open("rb") as stream,
        pytest.raises(UnreadableFile, match="timestamp"),
    ):
        list(read_parquet(stream, block_rows=3))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\xff" * 99 + b"PAR1"])
def test_a_broken_parquet_file_is_unreadable(content):
    with pytest.raises(UnreadableFile) as raised:
        list(read_parquet(io.BytesIO(content), block_rows=3))

    assert raised.value.code == "broken_parquet"
