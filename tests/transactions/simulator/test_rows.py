"""Lines in the portal's format, of real size."""

import json
from collections import Counter

import pytest

from tests.oracle import read_line
from tests.transactions.simulator.exports import world
from transactions.simulator import contract_hours

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def election():
    return world(constituencies=100, transactions=9_000)


@pytest.fixture(scope="module")
def rows(election):
    return [
        row
        for contract in election.contracts
        for hour in contract_hours(election, contract)
        for row in hour.rows
    ]


@pytest.fixture(scope="module")
def fields(rows):
    return [row.decode().split(";") for row in rows]


def decoded(text):
    """Return the bytes that a Base58 text stands for."""
    number = 0
    for letter in text:
        number = number * 58 + BASE58.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes(-(-number.bit_length() // 8), "big")


def operation(line):
    return read_line(";".join(line).encode())[1].operation


def test_every_row_has_twelve_fields_and_can_be_read(rows, fields):
    assert {len(line) for line in fields} == {12}
    assert {read_line(row)[1].outcome for row in rows} == {"accepted"}


def test_rows_have_the_size_of_real_ones(rows):
    assert sum(map(len, rows)) / len(rows) == pytest.approx(3_450, rel=0.1)


def test_issues_and_votes_have_sizes_in_their_ranges(fields):
    sizes = {"blindsigissue": [], "vote": []}
    for line in fields:
        sizes.get(operation(line), []).append(len(";".join(line)))

    assert 600 < min(sizes["blindsigissue"]) < max(sizes["blindsigissue"]) < 2_500
    assert 2_000 < min(sizes["vote"]) < max(sizes["vote"]) < 14_500


def test_ids_and_keys_stand_for_32_and_64_bytes(fields):
    assert {len(decoded(line[0])) for line in fields} == {32}
    assert {len(decoded(line[5])) for line in fields} == {64}
    assert {len(line[0]) for line in fields} == {43, 44}


def test_ids_are_unique(fields):
    assert len({line[0] for line in fields}) == len(fields)


def test_every_operation_of_a_vote_occurs(election, fields):
    count = Counter(operation(line) for line in fields)

    once = ("createcontract", "startvoting", "startissueballots")
    once += ("stopissueballots", "finishvoting")
    assert {count[name] for name in once} == {len(election.contracts)}
    assert {*count} - {*once} == {
        *("addvoterslist", "removefromvoterslist", "blindsigissue", "vote")
    }


def test_the_creation_tells_the_terms_of_the_contract(election):
    contract = election.contracts[0]
    rows = [row for hour in contract_hours(election, contract) for row in hour.rows]

    creation = rows[0].decode().split(";")
    diff = {entry["key"]: entry["stringValue"] for entry in json.loads(creation[9])}
    base = json.loads(diff["VOTING_BASE"])
    issue = next(row for row in rows if b'"blindSigIssue"' in row).decode().split(";")
    assert creation[:2] == [contract.contract_id, "103"]
    assert (base["dateStart"], base["dateEnd"]) == (
        "18-09-2026 05:00:00",
        "20-09-2026 17:20:00",
    )
    assert base["isRevoteBlocked"] is True
    assert diff["BLINDSIG_ISSUE_REGISTRATOR"] == issue[5]


def test_lists_have_at_most_300_voters_and_precede_the_vote(election, rows):
    opens = min(contract.district.opens_ms for contract in election.contracts)
    lists = [read_line(row)[1] for row in rows if b'"addVotersList"' in row]

    assert min(item.quantity for item in lists) >= 1
    assert max(item.quantity for item in lists) <= 300
    assert max(item.timestamp_ms for item in lists) < opens
    total = sum(contract.district.voters for contract in election.contracts)
    assert sum(item.quantity for item in lists) == total


def test_bulletins_go_to_people_of_the_lists_once(election):
    contract = max(election.contracts, key=lambda item: item.district.voters)
    listed, issued = [], []
    for hour in contract_hours(election, contract):
        for row in hour.rows:
            entries = json.loads(row.decode().split(";")[8])
            params = {entry["key"]: [*entry.values()][1] for entry in entries}
            if params.get("operation") == "addVotersList":
                listed += json.loads(params["userIdHashes"])
            issued += read_line(row)[2]

    assert len(set(listed)) == len(listed)
    assert len(set(issued)) == len(issued)
    assert set(issued) < set(listed)
