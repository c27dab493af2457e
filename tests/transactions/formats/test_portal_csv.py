import io
import tracemalloc
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transactions.formats import portal_csv, rows
from transactions.formats.reasons import Reason
from transactions.operations import Operation, Outcome

from .conftest import KEY, TS, TX, compact, entry


def digest(text):
    return blake2b(text.encode(), digest_size=16).digest()


def blocks_of(*lines, **options):
    content = "\n".join(lines).encode() if lines else b""
    return list(portal_csv.read(io.BytesIO(content), **{"block_rows": 100} | options))


def only_block(*lines):
    (block,) = blocks_of(*lines)
    return block


def statement(line):
    block = only_block(line)
    assert block.rejections == []
    columns = block.statements
    return {
        name: getattr(columns, name)[0]
        for name in columns.__slots__
        if name not in ("contract_id", "position")
    }


def rejection(line):
    block = only_block(line)
    assert len(block.statements) == 0
    (rejected,) = block.rejections
    return rejected


def test_a_vote_becomes_one_statement(line):
    read = statement(line())

    params = compact([entry("operation", "vote")])
    diff = compact([{"key": f"VOTE_{KEY}", "stringValue": "{}"}])
    assert read == {
        "line": 1,
        "tx_id": TX,
        "timestamp_ms": TS,
        "operation": Operation.VOTE_CAST,
        "outcome": Outcome.ACCEPTED,
        "quantity": 1,
        "sender": digest(KEY),
        "recipients": None,
        "polling_station": "",
        "payload": digest(f"{params};{diff}"),
        "rolled_back": False,
    }


def test_columns_hold_plain_integers(line):
    read = statement(line())

    assert type(read["operation"]) is type(read["outcome"]) is int


def test_contract_and_position_follow_from_a_portal_file(line):
    read = only_block(line()).statements

    assert (read.contract_id, read.position) == ([], [])


def test_an_issue_counts_the_entries_of_its_data(issue):
    read = statement(issue(users=["9f2c", "9f2c", "aa"]))

    assert read["operation"] == Operation.BULLETIN_ISSUED
    assert read["outcome"] == Outcome.ACCEPTED
    assert read["quantity"] == 3
    assert read["recipients"] == digest("9f2c") + digest("9f2c") + digest("aa")
    assert read["polling_station"] == "90-1734"


def test_a_recipient_without_user_is_known_by_its_json(issue):
    read = statement(issue(data='[{"b":1,"a":2},7]'))

    assert read["recipients"] == digest('{"a":2,"b":1}') + digest("7")


def test_the_name_of_an_operation_is_matched_in_lower_case(line):
    assert statement(line("VOTE"))["operation"] == Operation.VOTE_CAST


def test_an_unknown_operation_is_kept_as_other(line):
    assert statement(line("dance", diff=[]))["operation"] == Operation.OTHER


@pytest.mark.parametrize("value", ["1734", 1734])
def test_the_station_number_may_be_text_or_number(line, value):
    params = [entry("primaryUikRegionCode", 90), entry("primaryUikNumber", value)]

    assert statement(line(params=params))["polling_station"] == "90-1734"


@pytest.mark.parametrize("number", [False, "", "a\0b", "9" * 65])
def test_an_unusable_station_tells_nothing_but_the_vote_counts(line, number):
    params = [entry("primaryUikRegionCode", "90"), entry("primaryUikNumber", number)]

    assert statement(line(params=params))["polling_station"] == ""


def test_station_zero_is_legal(line):
    params = [entry("primaryUikRegionCode", "90"), entry("primaryUikNumber", 0)]

    assert statement(line(params=params))["polling_station"] == "90-0"


@pytest.mark.parametrize(
    ("diff", "outcome"),
    [
        ([f"VOTE_{KEY}"], Outcome.ACCEPTED),
        (["VOTE_another"], Outcome.OTHER),
        ([], Outcome.OTHER),
        ([f"FAIL_addr_{TX}_vote"], Outcome.FAILED),
        ([f"VOTE_{KEY}", "FAIL"], Outcome.FAILED),
    ],
)
def test_the_diff_tells_the_outcome_of_a_vote(line, diff, outcome):
    assert statement(line(diff=diff))["outcome"] == outcome


@pytest.mark.parametrize(
    ("diff", "outcome"),
    [
        ([f"BLINDSIG_{TX}"], Outcome.ACCEPTED),
        (["BLINDSIG_another"], Outcome.OTHER),
        ([f"FAIL_{TX}_blindSig"], Outcome.FAILED),
    ],
)
def test_the_diff_tells_the_outcome_of_an_issue(issue, diff, outcome):
    assert statement(issue(diff=diff))["outcome"] == outcome


def test_an_empty_diff_has_no_keys(line):
    assert statement(line(fields={9: ""}))["outcome"] == Outcome.OTHER


def test_other_operations_are_accepted_unless_they_fail(line):
    assert statement(line("startVoting", diff=[]))["outcome"] == Outcome.ACCEPTED
    assert statement(line("startVoting", diff=["FAIL_x"]))["outcome"] == Outcome.FAILED


@pytest.mark.parametrize(
    ("operation", "quantity"),
    [("addVotersList", 2), ("addToVotersList", 2), ("removeFromVotersList", -2)],
)
def test_a_register_change_counts_its_hashes(line, operation, quantity):
    params = [entry("userIdHashes", '["a","b"]'), entry("votersCount", 9)]

    assert statement(line(operation, params, []))["quantity"] == quantity


def test_a_register_change_without_hashes_counts_none(line):
    assert statement(line("addVotersList", diff=[]))["quantity"] == 0


@pytest.mark.parametrize("rollback", ["-1", "-1\r"])
def test_the_last_field_rolls_back(line, rollback):
    assert statement(line(fields={11: rollback}))["rolled_back"] is True


def test_windows_line_ends_are_no_content(line):
    assert statement(line(fields={11: "\r"}))["rolled_back"] is False


def test_type_103_without_operation_creates_the_contract(line):
    read = statement(line(None, kind="103", diff=[]))

    assert read["operation"] == Operation.CREATE_CONTRACT


def test_type_103_with_an_operation_is_that_operation(line):
    assert statement(line(kind="103"))["operation"] == Operation.VOTE_CAST


def test_a_vote_without_a_key_is_nobodys_vote(line):
    read = statement(line(fields={5: ""}, diff=["VOTE_"]))

    assert (read["sender"], read["outcome"]) == (None, Outcome.OTHER)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({0: ""}, "empty_id"),
        ({0: "a" * 129}, "id_too_long"),
        ({0: "a\0b"}, "id_with_nul"),
        ({1: "105"}, "unknown_type"),
        ({1: ""}, "unknown_type"),
        ({4: "soon"}, "timestamp_not_a_number"),
        ({4: "1_725604228819"}, "timestamp_not_a_number"),
        ({4: "٣"}, "timestamp_not_a_number"),
        ({4: "1725604228"}, "timestamp_out_of_range"),
        ({4: "-5"}, "timestamp_out_of_range"),
        ({4: "946684799999"}, "timestamp_out_of_range"),
        ({4: "4102444800000"}, "timestamp_out_of_range"),
        ({4: "9" * 5000}, "timestamp_out_of_range"),
        ({8: "[]"}, "operation_missing"),
        ({8: '[{"key":"operation","intValue":0}]'}, "operation_missing"),
        ({8: "{}"}, "params_not_an_array"),
        ({8: ""}, "params_broken_json"),
        ({8: '[{"key"'}, "params_broken_json"),
        ({8: "[" * 5000 + "]" * 5000}, "params_broken_json"),
        ({8: f"[1{'0' * 5000}]"}, "params_broken_json"),
        ({8: "[1]"}, "params_entry_without_key"),
        ({8: '["key"]'}, "params_entry_without_key"),
        ({8: '[{"key":1}]'}, "params_entry_without_key"),
        ({8: '[{"key":[]}]'}, "params_entry_without_key"),
        ({9: "null"}, "diff_not_an_array"),
        ({9: "[{]"}, "diff_broken_json"),
        ({9: "[{}]"}, "diff_entry_without_key"),
        ({10: "{};x"}, "wrong_field_count"),
        ({8: '[{"key":"a;b"}]'}, "wrong_field_count"),
        ({11: "-2"}, "unknown_rollback"),
        ({11: "0"}, "unknown_rollback"),
    ],
)
def test_a_faulty_field_rejects_the_line(line, fields, code):
    assert rejection(line(fields=fields)).code == code


@pytest.mark.parametrize("ts", [946684800000, 4102444799999])
def test_the_edges_of_the_century_are_legal(line, ts):
    assert statement(line(ts=ts))["timestamp_ms"] == ts


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("[{", "data_broken_json"),
        ("{}", "data_not_an_array"),
        (7, "data_not_an_array"),
        ("[" * 500 + "]" * 500, "data_broken_json"),
    ],
)
def test_an_accepted_issue_with_broken_data_is_rejected(issue, data, code):
    assert rejection(issue(data=data)).code == code


def test_an_accepted_issue_without_data_is_rejected(line):
    assert rejection(line("blindSigIssue", diff=[f"BLINDSIG_{TX}"])).code == (
        "data_missing"
    )


def test_a_refused_issue_with_broken_data_is_kept_and_counts_for_nothing(issue):
    read = statement(issue(data="[{", diff=[f"FAIL_{TX}_blindSig"]))

    assert (read["outcome"], read["quantity"]) == (Outcome.FAILED, 0)
    assert read["recipients"] == b""


def test_an_issue_of_nothing_is_legal(issue):
    assert statement(issue(data="[]"))["quantity"] == 0


@pytest.mark.parametrize(
    ("hashes", "code"),
    [("[", "voters_broken_json"), ("1", "voters_not_an_array")],
)
def test_an_accepted_register_change_with_broken_hashes_is_rejected(line, hashes, code):
    params = [entry("userIdHashes", hashes)]

    assert rejection(line("addVotersList", params, [])).code == code


def test_a_rejection_tells_line_reason_and_content(line):
    rejected = only_block(line(), "", "1;2;\0x").rejections

    assert [(r.line, r.code, r.message, r.raw) for r in rejected] == [
        (
            3,
            "wrong_field_count",
            "The line has 3 fields where 12 are expected.",
            "1;2;x",
        )
    ]


def test_the_raw_text_of_a_rejection_is_cut_and_says_so():
    whole, cut = rejection("ы" * 32_000), rejection("ы" * 32_001)

    assert (whole.raw, whole.is_cut) == (cut.raw, False)
    assert (len(cut.raw), cut.is_cut) == (32_000, True)


def test_a_truncated_last_line_is_rejected_and_the_rest_is_read(line):
    block = only_block(line(), line()[:-30])

    assert len(block.statements) == 1
    assert [rejected.line for rejected in block.rejections] == [2]


def test_another_encoding_is_rejected(line):
    content = line("голос").encode("cp1251")

    (block,) = portal_csv.read(io.BytesIO(content), block_rows=9)

    assert [r.code for r in block.rejections] == ["params_broken_json"]


@pytest.mark.parametrize("field", [0, 5])
def test_a_text_field_in_another_encoding_is_rejected(line, field):
    content = line(fields={field: "ю"}).encode("cp1251")

    (block,) = portal_csv.read(io.BytesIO(content), block_rows=9)

    assert [r.code for r in block.rejections] == ["not_text"]


def test_unused_fields_are_not_checked(line):
    assert statement(line(fields={2: "", 3: "?", 6: "x", 7: "y", 10: "["}))


def test_a_byte_order_mark_at_the_start_is_tolerated(line):
    assert statement("\ufeff" + line())["tx_id"] == TX


def test_blank_lines_are_skipped_but_numbered(line):
    block = only_block("", line(), "  \r", line(), "")

    assert block.statements.line == [2, 4]
    assert block.rows_read == 2


def test_an_empty_file_has_no_blocks():
    assert blocks_of() == []


def test_blocks_hold_the_rows_asked_for(line):
    blocks = blocks_of(*[line()] * 5, "x", line(), block_rows=3)

    assert [block.rows_read for block in blocks] == [3, 3, 1]
    assert [block.statements.line for block in blocks] == [[1, 2, 3], [4, 5], [7]]


class Endless(io.BytesIO):
    """Lines around a line of `size` bytes, made on the way."""

    def __init__(self, before, size, after):
        super().__init__()
        self.pieces = chain(
            [before], (b"x" * 65536 for _ in range(size >> 16)), [after]
        )

    def read(self, size=-1):
        return next(self.pieces, b"")


def test_a_line_of_any_length_is_one_rejection_in_bounded_memory(line):
    stream = Endless(f"{line()}\n".encode(), 64 << 20, f"\n{line()}".encode())

    tracemalloc.start()
    (block,) = portal_csv.read(stream, block_rows=9, max_line_bytes=1 << 20)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 8 << 20
    assert block.statements.line == [1, 3]
    assert [(r.line, r.code) for r in block.rejections] == [(2, "line_too_long")]


def test_a_line_of_the_greatest_length_is_read(line):
    content = line().encode()

    (block,) = portal_csv.read(
        io.BytesIO(content), block_rows=9, max_line_bytes=len(content)
    )
    (longer,) = portal_csv.read(
        io.BytesIO(content), block_rows=9, max_line_bytes=len(content) - 1
    )

    assert len(block.statements) == 1
    assert [r.code for r in longer.rejections] == ["line_too_long"]


def test_a_block_ends_early_when_its_recipients_grow_heavy(issue, monkeypatch):
    monkeypatch.setattr(rows, "_HEAVY_BLOCK_BYTES", 16 * 15)

    blocks = blocks_of(*[issue(users=["a"] * 10)] * 3)

    assert [block.rows_read for block in blocks] == [2, 1]


def terms(line, params, diff, **named):
    written = compact([entry(key, value) for key, value in diff.items()])
    text = line(None, params, kind="103", fields={9: written}, **named)
    return only_block(text).terms


def test_the_terms_of_a_contract_are_what_it_wrote(line):
    base = {
        "dateStart": "06-09-2024 05:00:00",
        "dateEnd": "08-09-2024 17:00:00",
        "startDateIssueBallots": "06-09-2024 04:00:00",
        "stopDateIssueBallots": "08-09-2024 16:45:00",
        "isRevoteBlocked": False,
    }
    diff = {"VOTING_BASE": compact(base), "BLINDSIG_ISSUE_REGISTRATOR": KEY}

    (read,) = terms(line, [], diff)

    assert read.tx_id == TX
    assert read.revoting_allowed is True
    assert read.registrar == digest(KEY)
    assert read.issue_opens_at == datetime(2024, 9, 6, 4, tzinfo=UTC)
    assert read.issue_closes_at == datetime(2024, 9, 8, 16, 45, tzinfo=UTC)
    assert read.voting_closes_at == datetime(2024, 9, 8, 17, tzinfo=UTC)


def test_terms_that_are_only_sent_are_read_too(line):
    params = [
        entry("dateStart", "06-09-2024 05:00:00"),
        entry("dateEnd", "08-09-2024 17:00:00"),
        entry("isRevoteBlocked", False),
    ]

    (read,) = terms(line, params, {})

    assert read.revoting_allowed is True
    assert read.issue_opens_at == datetime(2024, 9, 6, 5, tzinfo=UTC)
    assert read.issue_closes_at is None
    assert read.voting_closes_at == datetime(2024, 9, 8, 17, tzinfo=UTC)


@pytest.mark.parametrize("base", ["{", "[]", "7", '{"dateEnd":"31-02-2024 00:00:00"}'])
def test_garbled_terms_are_none_and_revoting_is_blocked(line, base):
    (read,) = terms(line, [], {"VOTING_BASE": base})

    assert read.revoting_allowed is False
    assert read.registrar is None
    assert (read.issue_opens_at, read.voting_closes_at) == (None, None)


def test_a_refused_or_rolled_back_creation_has_no_terms(line):
    assert terms(line, [], {"FAIL_x": ""}) == []
    assert only_block(line(None, kind="103", fields={11: "-1"})).terms == []


@given(st.lists(st.binary(max_size=60).map(lambda line: line.replace(b"\n", b""))))
def test_arbitrary_bytes_never_raise_and_every_line_is_accounted_for(lines):
    blocks = portal_csv.read(io.BytesIO(b"\n".join(lines)), block_rows=3)

    lines[:1] = [line.removeprefix(b"\xef\xbb\xbf") for line in lines[:1]]
    filled = [line for line in lines if line.strip()]
    assert sum(block.rows_read for block in blocks) == len(filled)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
ENTRIES = st.lists(
    st.fixed_dictionaries(
        {"key": st.sampled_from(["operation", "data", "userIdHashes", "VOTING_BASE"])},
        optional={
            "stringValue": st.sampled_from(["vote", "blindSigIssue", "addVotersList"])
            | JSON.map(compact)
            | JSON,
            "intValue": JSON,
        },
    )
)


@given(
    kind=st.sampled_from(["103", "104"]),
    params=ENTRIES | JSON,
    diff=ENTRIES | JSON,
    rollback=st.sampled_from(["", "-1"]),
)
def test_no_json_makes_reading_raise(kind, params, diff, rollback):
    fields = [TX, kind, "", "", str(TS), KEY, "", "", *map(compact, (params, diff))]
    text = ";".join([*fields, "", rollback])

    blocks = portal_csv.read(
        io.BytesIO(text.encode("utf-8", "surrogatepass")), block_rows=3
    )

    assert sum(block.rows_read for block in blocks) == text.count("\n") + 1


def test_every_reason_has_a_sentence_of_its_own():
    for reason in Reason:
        assert reason.code == reason.name.lower()
        assert reason.value.endswith((".", "}."))
