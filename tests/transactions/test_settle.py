"""What several statements about one transaction come to: pure functions, no database."""

from itertools import permutations

import pytest

from transactions.loader.settle import Statement, settle

PRESENT, GONE = False, True


def statement(position, rolled_back=PRESENT, *, part=0, **content):
    values = {
        "part": part,
        "line": position,
        "batch_id": 1,
        "constituency_id": 1,
        "tx_id": "v1",
        "timestamp_ms": 1_789_722_000_000,
        "operation": 2,
        "outcome": 1,
        "quantity": 1,
        "sender": b"k1",
        "recipients": None,
        "polling_station": "",
        "payload": b"p",
        "position": position,
        "is_placed": True,
        "rolled_back": rolled_back,
    }
    return Statement(**(values | content))


def fates(settlement):
    return (
        len(settlement.accepted),
        len(settlement.duplicate),
        len(settlement.conflicting),
    )


def test_a_first_statement_is_accepted():
    result = settle(None, [statement(1)])

    assert fates(result) == (1, 0, 0)
    assert result.holder == statement(1)
    assert result.flips == []


def test_the_same_statement_again_is_a_duplicate():
    result = settle(statement(1), [statement(1)])

    assert fates(result) == (0, 1, 0)
    assert result.holder == statement(1)


def test_a_higher_position_with_the_same_state_advances_it_and_is_a_duplicate():
    result = settle(statement(1), [statement(2)])

    assert fates(result) == (0, 1, 0)
    assert result.holder.position == 2
    assert result.flips == []


def test_a_rollback_is_accepted_and_recorded():
    gone = statement(2, GONE)

    result = settle(statement(1), [gone])

    assert fates(result) == (1, 0, 0)
    assert result.flips == [gone]
    assert result.holder.rolled_back


def test_a_return_is_accepted_and_recorded():
    back = statement(3)

    result = settle(statement(2, GONE), [back])

    assert fates(result) == (1, 0, 0)
    assert result.flips == [back]
    assert not result.holder.rolled_back


def test_on_a_tie_rolled_back_holds():
    assert settle(statement(1), [statement(1, GONE)]).holder.rolled_back
    assert settle(statement(1, GONE), [statement(1)]).holder.rolled_back


def test_a_present_line_that_loses_a_tie_is_a_duplicate_and_dissents():
    late = statement(1)

    result = settle(statement(1, GONE), [late])

    assert fates(result) == (0, 1, 0)
    assert result.dissenting == [late]


def test_a_rollback_whose_line_never_came_is_kept():
    result = settle(None, [statement(1, GONE)])

    assert fates(result) == (1, 0, 0)
    assert result.holder.rolled_back


def test_the_end_does_not_depend_on_the_order():
    lines = [statement(1), statement(2, GONE), statement(3), statement(3, GONE)]

    ends = [settle(None, order).holder for order in permutations(lines)]

    assert {(end.position, end.rolled_back) for end in ends} == {(3, GONE)}


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp_ms": 1_789_722_000_001},
        {"operation": 1},
        {"outcome": 2},
        {"quantity": 2},
        {"sender": b"k2"},
        {"payload": b"q"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_content_is_a_conflict_and_changes_nothing(change):
    rewritten = statement(9, GONE, **change)

    result = settle(statement(1), [rewritten])

    assert fates(result) == (0, 0, 1)
    assert result.conflicting == [rewritten]
    assert result.holder == statement(1)
    assert result.dissenting == []


@pytest.mark.parametrize("name", ["sender", "payload"])
def test_what_one_source_does_not_tell_is_no_conflict(name):
    silent = {name: None}

    assert fates(settle(statement(1), [statement(1, **silent)])) == (0, 1, 0)
    assert fates(settle(statement(1, **silent), [statement(1)])) == (0, 1, 0)


@pytest.mark.parametrize(
    "change", [{"polling_station": "90-1"}, {"recipients": b"r"}, {"batch_id": 2}]
)
def test_what_is_not_content_may_differ(change):
    assert fates(settle(statement(1), [statement(1, **change)])) == (0, 1, 0)


def test_the_content_met_first_stays_when_a_later_statement_holds():
    result = settle(statement(1, polling_station="90-1"), [statement(2, GONE)])

    assert result.holder.polling_station == "90-1"


def test_the_first_of_two_contents_in_one_chunk_counts():
    first, second = statement(1), statement(1, timestamp_ms=1_789_722_000_001)

    result = settle(None, [first, second, statement(2, GONE)])

    assert fates(result) == (2, 0, 1)
    assert result.holder.timestamp_ms == first.timestamp_ms
    assert result.holder.rolled_back


def test_a_line_that_its_own_file_rolls_back_later_does_not_dissent():
    lines = [statement(1), statement(2, GONE)]

    assert settle(statement(9, GONE), lines).dissenting == []


def test_a_file_dissents_by_its_last_word():
    last_word = statement(2)

    result = settle(statement(9, GONE), [statement(1, GONE), last_word])

    assert result.dissenting == [last_word]


def test_two_files_dissent_each_for_itself():
    one, two = statement(1, part=1), statement(2, part=2)

    assert settle(statement(9, GONE), [one, two]).dissenting == [one, two]


def unplaced(**content):
    """Return a line whose place in its file is still to be counted."""
    return statement(100, **({"is_placed": False} | content))


def test_lines_of_one_file_are_counted_in_their_order():
    result = settle(None, [unplaced(), unplaced(rolled_back=GONE), unplaced()])

    assert (result.holder.position, result.holder.rolled_back) == (102, PRESENT)


def test_each_file_counts_its_own_lines():
    result = settle(None, [unplaced(), unplaced(part=1, rolled_back=GONE)])

    assert (result.holder.position, result.holder.rolled_back) == (100, GONE)


def test_a_line_in_conflict_takes_no_ordinal():
    result = settle(
        None, [unplaced(), unplaced(quantity=2), unplaced(rolled_back=GONE)]
    )

    assert fates(result) == (2, 0, 1)
    assert result.holder.position == 101
