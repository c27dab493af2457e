"""Lines as the portal publishes them: twelve fields, sizes as in the real ledger.

Everything in a line follows from the contract and the transaction, so a line can be
written again elsewhere (a rollback, a second version of a file) and is the same.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from transactions.operations import Operation, Outcome
from transactions.simulator import text
from transactions.simulator.ledger import (
    FOREIGN_SENDER,
    INT_AS_STRING,
    OTHER_TIME,
    TRUNCATED,
    Ledger,
    Table,
)
from transactions.simulator.randomness import Ints
from transactions.simulator.times import ledger_date
from transactions.simulator.world import GRACE_MS, Contract

# Lines written at once: enough to spread the cost of numpy, few enough for 15 MB.
BLOCK_LINES = 4_096
MASKED_SIGNATURE = 496  # hexadecimal digits, twice in an issue
BLIND_SIGNATURE = 684  # Base64 of 4,096 bits
# A vote is 1.5 kB and 0.7 kB per option: 2.2-14 kB, with issues 3.45 kB on average.
BALLOT_BASE, BALLOT_PER_OPTION = 400, 720
# Characters by which one ballot is longer than another of its contract, times four.
BALLOT_SPREAD = 16

REVOTE_BLOCKED = "Revote is blocked"
ALREADY_ISSUED = "Blind signature is already issued"

_REGISTER_KEYS = {
    Operation.ADD_VOTERS_LIST: "VOTERS_LIST",
    Operation.REMOVE_FROM_VOTERS_LIST: "VOTERS_LIST_REMOVE",
}
_ACT_NAMES = {
    Operation.START_VOTING: "startVoting",
    Operation.START_ISSUING: "startIssueBallots",
    Operation.STOP_ISSUING: "stopIssueBallots",
    Operation.FINISH_VOTING: "finishVoting",
}
# Number of the servers' keys; voters' keys are numbered from 0.
_SERVER, _FOREIGN = 1 << 60, (1 << 60) + 1


@dataclass(frozen=True, slots=True)
class _Terms:
    """What is the same in all rows of one contract."""

    contract: Contract
    server: str
    foreign: str
    address: str
    ballot_length: int


class _Row(NamedTuple):
    """What one line is written from; a tuple, because a million of them are made."""

    tx_id: str
    ts: int
    operation: int
    outcome: int
    subject: int
    quantity: int
    look: int
    # Where its filler begins in every pool.
    place: int
    # The sender of a vote; a server's key otherwise.
    sender: str


def written(ledger: Ledger, lines: Table) -> Iterator[bytes]:
    """Write `lines` one by one, without their ends."""
    terms = _terms(ledger.contract)
    for start in range(0, len(lines), BLOCK_LINES):
        yield from _block(ledger, terms, lines[start : start + BLOCK_LINES])


def _terms(contract: Contract) -> _Terms:
    keys = text.public_keys(
        key=contract.key, serials=np.array([_SERVER, _FOREIGN], dtype=np.int64)
    )
    length = BALLOT_BASE + BALLOT_PER_OPTION * contract.options
    address = text.base58_pool()[contract.index % text.POOL_PLACES :][:35]
    return _Terms(contract, keys[0], keys[1], address, length // 4 * 4)


def _block(ledger: Ledger, terms: _Terms, lines: Table) -> Iterator[bytes]:
    table = ledger.transactions[lines["tx"]]
    rows = _rows(terms, table)
    users, stations = _recipients(ledger, table)
    looks = zip(lines["is_rollback"].tolist(), lines["look"].tolist(), strict=True)
    taken = 0
    for row, (is_rollback, look) in zip(rows, looks, strict=True):
        if look & OTHER_TIME:
            row = _at_other_time(row)
        if row.operation == Operation.VOTE_CAST:
            line = _vote(row, terms)
        elif row.operation == Operation.BULLETIN_ISSUED:
            upto = taken + row.quantity
            line = _issue(row, terms, users[taken:upto], stations[taken])
            taken = upto
        else:
            line = _act(row, terms, ledger)
        if is_rollback:
            line += "-1"
        if look & TRUNCATED:
            line = line[: len(line) // 2]
        yield line.encode("ascii")


def _rows(terms: _Terms, table: Table) -> Iterator[_Row]:
    key = terms.contract.key
    is_vote = table["operation"] == Operation.VOTE_CAST
    keys = iter(text.public_keys(key=key, serials=table["subject"][is_vote]))
    columns = ("ts", "operation", "outcome", "subject", "quantity", "look")
    ids = text.transaction_ids(key=key, serials=table["serial"])
    filler = text.places(key=key, serials=table["serial"])
    values = (table[column].tolist() for column in columns)
    for tx_id, ts, operation, outcome, subject, quantity, look, place in zip(
        ids, *values, filler, strict=True
    ):
        sender = terms.foreign if look & FOREIGN_SENDER else terms.server
        if operation == Operation.VOTE_CAST:
            sender = next(keys)
        yield _Row(
            tx_id, ts, operation, outcome, subject, quantity, look, place, sender
        )


def _at_other_time(row: _Row) -> _Row:
    """Return the row as rewritten history has it: a second away, in the same hour."""
    step = 1_000 if row.ts % 60_000 < 30_000 else -1_000
    return row._replace(ts=row.ts + step)


def _recipients(ledger: Ledger, table: Table) -> tuple[list[str], list[int]]:
    """Return user and polling station of every bulletin that `table` issues, in order."""
    issues = table[table["operation"] == Operation.BULLETIN_ISSUED]
    quantity = issues["quantity"]
    steps = np.arange(quantity.sum()) - np.repeat(
        np.cumsum(quantity) - quantity, quantity
    )
    people = ledger.people[np.repeat(issues["subject"], quantity) + steps]
    users = text.hashes(key=ledger.contract.district.key, serials=people)
    stations = np.searchsorted(ledger.stations, people, side="right") - 1
    return users, stations.tolist()


def _head(row: _Row, *, kind: int = 104) -> str:
    signature = text.base58_pool()[row.place : row.place + 87]
    return f"{row.tx_id};{kind};{signature};4;{row.ts};{row.sender};0;;"


def _vote(row: _Row, terms: _Terms) -> str:
    filler = text.base64_pool()
    length = terms.ballot_length + row.place % BALLOT_SPREAD * 4
    ballot = filler[row.place : row.place + length]
    after = row.place + length
    blind = filler[after : after + BLIND_SIGNATURE]
    if row.outcome == Outcome.ACCEPTED:
        written = text.hex_pool()[row.place : row.place + 64]
        diff = f'VOTE_{row.sender}","stringValue":"{{\\"voteHash\\":\\"{written}\\"}}"'
    else:
        diff = (
            f'FAIL_{terms.address}_{row.tx_id}_vote","stringValue":'
            f'"{{\\"reason\\":\\"{REVOTE_BLOCKED}\\",\\"code\\":422}}"'
        )
    return (
        f'{_head(row)}[{{"key":"operation","stringValue":"vote"}},'
        f'{{"key":"vote","binaryValue":"{ballot}"}},'
        f'{{"key":"blindSig","binaryValue":"{blind}"}}];[{{"key":"{diff}}}];'
        '{"contractVersion":1};'
    )


def _issue(row: _Row, terms: _Terms, users: list[str], station: int) -> str:
    data = _signatures(row, users, "maskedSig", 0)
    if row.outcome == Outcome.ACCEPTED:
        diff = f'BLINDSIG_{row.tx_id}","stringValue":"{_signatures(row, users, "blindSig", 2 * MASKED_SIGNATURE)}"'
    else:
        diff = (
            f'FAIL_{row.tx_id}_blindSig","stringValue":'
            f'"{{\\"reason\\":\\"{ALREADY_ISSUED}\\",\\"code\\":409}}"'
        )
    number = _integer(_station_number(station), row)
    return (
        f'{_head(row)}[{{"key":"operation","stringValue":"blindSigIssue"}},'
        f'{{"key":"data","stringValue":"{data}"}},'
        f'{{"key":"primaryUikRegionCode","stringValue":"{terms.contract.district.region.code}"}},'
        f'{{"key":"primaryUikNumber","intValue":{number}}}];[{{"key":"{diff}}}];'
        '{"contractVersion":1};'
    )


def _signatures(row: _Row, users: list[str], name: str, shift: int) -> str:
    """Return the escaped array of users and signatures of an issue."""
    pool, start = text.hex_pool(), row.place + shift
    entries = ",".join(
        [
            f'{{\\"userId\\":\\"{user}\\",\\"{name}\\":\\"'
            f'{pool[start + step : start + step + MASKED_SIGNATURE]}\\"}}'
            for step, user in enumerate(users)
        ]
    )
    return f"[{entries}]"


def _station_number(station: int) -> int:
    return 101 + station


def _integer(value: int, row: _Row) -> str:
    """Return a number as this row writes numbers: bare, or as a string."""
    return f'"{value}"' if row.look & INT_AS_STRING else str(value)


def _act(row: _Row, terms: _Terms, ledger: Ledger) -> str:
    """Write a transaction that is neither issue nor vote."""
    operation = Operation(row.operation)
    if operation == Operation.CREATE_CONTRACT:
        return _line(_head(row, kind=103), *_creation(terms))
    if operation in _ACT_NAMES:
        name = _ACT_NAMES[operation]
        base = json.dumps(_voting_base(terms.contract, operation))
        return _line(
            _head(row), [_text("operation", name)], [_text("VOTING_BASE", base)]
        )
    return _line(_head(row), *_register(row, operation, terms.contract, ledger))


def _line(head: str, params: list[Any], diff: list[Any]) -> str:
    def compact(part: object) -> str:
        return json.dumps(part, separators=(",", ":"))

    return f"{head}{compact(params)};{compact(diff)};{compact({'contractVersion': 1})};"


def _text(key: str, value: str) -> dict[str, str]:
    return {"key": key, "stringValue": value}


def _creation(terms: _Terms) -> tuple[list[Any], list[Any]]:
    contract = terms.contract
    base = _voting_base(contract, Operation.CREATE_CONTRACT)
    params = [
        _text("pollId", str(base["pollId"])),
        _text("dimension", json.dumps(base["dimension"])),
        _text("dateStart", str(base["dateStart"])),
        _text("dateEnd", str(base["dateEnd"])),
        {"key": "isRevoteBlocked", "boolValue": base["isRevoteBlocked"]},
    ]
    diff = [
        _text("VOTING_BASE", json.dumps(base)),
        _text("VOTERS_LIST_REGISTRATOR", terms.server),
        _text("BLINDSIG_ISSUE_REGISTRATOR", terms.server),
    ]
    return params, diff


def _voting_base(contract: Contract, operation: Operation) -> dict[str, Any]:
    """Return the contract's terms as they stand after `operation`."""
    district = contract.district
    base = {
        "pollId": f"{contract.key:016x}",
        "dimension": [[1, 1, contract.options]],
        "dateStart": ledger_date(district.opens_ms),
        "dateEnd": ledger_date(district.closes_ms + GRACE_MS),
        "isRevoteBlocked": "revote" not in contract.faults,
        "status": "active",
    }
    if operation in {Operation.STOP_ISSUING, Operation.FINISH_VOTING}:
        base["stopDateIssueBallots"] = ledger_date(district.closes_ms)
    if operation == Operation.FINISH_VOTING:
        base["status"] = "halted"
    return base


def _register(
    row: _Row, operation: Operation, contract: Contract, ledger: Ledger
) -> tuple[list[Any], list[Any]]:
    is_list = operation == Operation.ADD_VOTERS_LIST
    first = int(ledger.stations[row.subject]) if is_list else row.subject
    people: Ints = first + np.arange(row.quantity, dtype=np.int64)
    station = int(np.searchsorted(ledger.stations, first, side="right")) - 1
    number = _station_number(station)
    params: list[Any] = [
        _text("operation", "addVotersList" if is_list else "removeFromVotersList"),
        _text("userIdHashes", json.dumps(_voters(contract, people))),
        _text("primaryUikRegionCode", str(contract.district.region.code)),
        {"key": "primaryUikNumber", "intValue": _number(number, row)},
        {"key": "votersCount", "intValue": _number(row.quantity, row)},
    ]
    name = f"{_REGISTER_KEYS[operation]}_{number}_{row.tx_id}"
    return params, [_text(name, json.dumps({"votersCount": row.quantity}))]


def _voters(contract: Contract, people: Ints) -> Sequence[str]:
    return text.hashes(key=contract.district.key, serials=people)


def _number(value: int, row: _Row) -> int | str:
    return str(value) if row.look & INT_AS_STRING else value
