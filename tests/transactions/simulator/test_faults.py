"""Every fault is there when it is on, not there when it is off, and moves no other."""

from collections import Counter

import pytest

from tests.oracle import read_line
from tests.transactions.simulator.exports import world
from transactions.simulator import FAULTS, contract_hours, expect

SIZE = {"constituencies": 20, "transactions": 12_000}


def hours_of(election):
    """Return the hour files of every contract, those outside the tree included."""
    contracts = (*election.contracts, *election.strangers)
    return {
        item.contract_id: list(contract_hours(election, item)) for item in contracts
    }


@pytest.fixture(scope="module")
def calm():
    return hours_of(world(**SIZE))


def shows(fault, files):
    """Return whether `fault` can be seen in the files by its own mark."""
    return MARKS[fault](files)


def rows_of(files):
    return [row for hours in files.values() for hour in hours for row in hour.rows]


def first_versions(files):
    return [hour for hours in files.values() for hour in hours if hour.version == 1]


def statements(files):
    """Return per transaction its lines in order: True for a rollback."""
    found = {}
    for row in rows_of(files):
        tx_id, _, rest = row.partition(b";")
        found.setdefault(tx_id, []).append(rest.endswith(b"-1"))
    return list(found.values())


def has_statements(*wanted):
    return lambda files: [*wanted] in statements(files)


def readable(files):
    for hour in first_versions(files):
        for row in hour.rows:
            if row.count(b";") == 11:
                yield hour, read_line(row)


def votes(files):
    return [
        (hour, item[1]) for hour, item in readable(files) if item[1].operation == "vote"
    ]


def is_late(files):
    return any(
        item[1].timestamp_ms < hour.hour.timestamp() * 1000
        for hour, item in readable(files)
        if not item[3]
    )


def has_same_ms(files):
    times = [(hour.contract_id, item.timestamp_ms) for hour, item in votes(files)]
    return len(times) - len(set(times)) > 2


def has_batches(files):
    return any(len(item[2]) > 1 for _, item in readable(files))


def has_revotes(files):
    keys = [item.sender for _, item in votes(files)]
    return len(set(keys)) < len(keys)


def again(*, same):
    def is_seen(files):
        firsts = {hour.stem: hour.rows for hour in first_versions(files)}
        second = [
            hour for hours in files.values() for hour in hours if hour.version == 2
        ]
        return any((hour.rows == firsts[hour.stem]) is same for hour in second)

    return is_seen


def misses_an_hour(files):
    """Return whether one contract has fewer files of voting hours than another."""
    voting = [hour for hour in first_versions(files) if f"{hour.hour:%d %H}" >= "17 20"]
    return len(set(Counter(hour.contract_id for hour in voting).values())) > 1


def is_caught_up(files):
    """Return whether no vote arrives between 10:00 and 11:30 UTC of the first day."""
    hours = {f"{hour.hour:%d %H}" for hour, _ in votes(files)}
    return "18 10" not in hours


def share_of_register(files):
    listed = issued = 0
    for _, (_, content, _, _) in readable(files):
        if content.operation == "addvoterslist":
            listed += content.quantity
        issued += content.quantity if content.operation == "blindsigissue" else 0
    return issued / listed if listed else 0


def any_share(test):
    return lambda files: any(
        test(share_of_register({key: hours})) for key, hours in files.items()
    )


MARKS = {
    "fail": lambda files: any(b'"FAIL_' in row for row in rows_of(files)),
    "rollback": has_statements(False, True),
    "rollback_return": has_statements(False, True, False),
    "rollback_first": has_statements(True, False),
    "late": is_late,
    "edge": lambda files: (
        sum(item.timestamp_ms % 3_600_000 == 3_599_999 for _, item in votes(files)) > 1
    ),
    "same_ms": has_same_ms,
    "int_as_string": lambda files: any(
        b'"intValue":"' in row for row in rows_of(files)
    ),
    "batch_issue": has_batches,
    "outage": is_caught_up,
    "revote": has_revotes,
    "republished": again(same=False),
    "republished_same": again(same=True),
    "truncated": lambda files: any(row.count(b";") != 11 for row in rows_of(files)),
    "no_final_newline": lambda files: any(
        hour.rows and not hour.content.endswith(b"\n") for hour in first_versions(files)
    ),
    "crlf": lambda files: any(b"\r\n\r\n" in h.content for h in first_versions(files)),
    "missing_hour": misses_an_hour,
    "missing_lists": any_share(lambda share: share > 1),
    "full_turnout": any_share(lambda share: share == 1),
    "unknown_contract": lambda files: len(files) > SIZE["constituencies"],
}


@pytest.mark.parametrize("fault", MARKS)
def test_a_fault_shows_when_it_is_on_and_not_when_it_is_off(fault, calm):
    assert shows(fault, hours_of(world(faults={fault}, **SIZE)))
    assert not shows(fault, calm)


def test_every_fault_has_its_mark():
    # Long names are tested with the files: they are seen in paths only.
    assert {*MARKS, "long_names"} == set(FAULTS)


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"fail", "missing_lists"}))
def test_a_fault_makes_no_vote_without_a_bulletin(fault):
    for account in expect(world(faults={fault}, **SIZE)).contracts:
        assert account.expected.votes_cast <= account.expected.bulletins_issued


@pytest.mark.parametrize(
    "fault",
    ["rollback", "rollback_return", "rollback_first", "late", "int_as_string", "crlf"],
)
def test_a_legal_fault_moves_no_figure(fault):
    plain, disturbed = expect(world(**SIZE)), expect(world(faults={fault}, **SIZE))

    assert disturbed.contracts == plain.contracts
    assert [item.name for item in disturbed.faults] == [fault] * len(disturbed.faults)
    assert disturbed.faults


def test_refusals_are_up_to_one_percent_and_move_only_their_counts():
    plain, disturbed = expect(world(**SIZE)), expect(world(faults={"fail"}, **SIZE))

    failed = sum(item.expected.failed_count for item in disturbed.contracts)
    rows = sum(item.expected.transaction_count for item in plain.contracts)
    assert 0.001 < failed / rows < 0.01
    for before, after in zip(plain.contracts, disturbed.contracts, strict=True):
        more = after.expected.transaction_count - before.expected.transaction_count
        assert more == after.expected.failed_count
        assert after.expected.votes_cast == before.expected.votes_cast
