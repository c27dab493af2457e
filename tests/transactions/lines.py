"""Lines and files of the observers' portal, short enough to read in a test.

vote("v1", "09:10", key="k1")           an accepted vote
fail(vote("v1", "09:10"))               the same, refused by the contract
rollback_of(vote("v1", "09:10"))        the line that cancels it
hour_file("09:00", line, line)          the file of an hour
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count

from tests.oracle import File
from tests.tables import DAY

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BROKEN = b"torn;104;3dK;4;17896"


def contract(number: int) -> str:
    """Return the address of a contract; a higher number sorts behind."""
    digits = ""
    for _ in range(8):
        number, digit = divmod(number, len(BASE58))
        digits = BASE58[digit] + digits
    return f"CJ9vdyteoijMZrUXjhfTymUGP6JM{digits}"


A, B = contract(1), contract(2)
# For tests that need contracts nobody has met yet.
fresh_contracts: Iterator[str] = map(contract, count(1_000))


def at(clock: str) -> int:
    """Return the milliseconds of "09:10", "09:10:30" or "09:10:30.250" on the day."""
    moment = datetime.strptime(  # noqa: DTZ007 - only the time of day is used
        clock + {5: ":00.0", 8: ".0"}.get(len(clock), ""), "%H:%M:%S.%f"
    )
    offset = timedelta(
        hours=moment.hour,
        minutes=moment.minute,
        seconds=moment.second,
        microseconds=moment.microsecond,
    )
    return round((DAY + offset).timestamp() * 1000)


def call(
    tx_id: str,
    clock: str | int,
    params: dict[str, str],
    written: dict[str, str],
    *,
    sender: str = "server",
    kind: str = "104",
) -> bytes:
    """Return the line of any call; `clock` is a time of the day or milliseconds."""
    ms = clock if isinstance(clock, int) else at(clock)
    fields = [tx_id, kind, "3dK", "4", str(ms), sender, "0", ""]
    fields += [_entries(params), _entries(written), '{"contractVersion":1}', ""]
    return ";".join(fields).encode()


def vote(tx_id: str, clock: str | int = "09:10", *, key: str = "k1") -> bytes:
    """Return an accepted vote of a voter's key."""
    params = {"operation": "vote", "vote": "CuYC"}
    return call(tx_id, clock, params, {f"VOTE_{key}": "{}"}, sender=key)


def issue(tx_id: str, clock: str | int = "09:10", *, to: str = "u1") -> bytes:
    """Return an accepted issue of one ballot for each of the users in `to`."""
    data = json.dumps([{"userId": user, "maskedSig": "0a"} for user in to.split()])
    params = {"operation": "blindSigIssue", "data": data}
    return call(tx_id, clock, params, {f"BLINDSIG_{tx_id}": "[]"})


def register(
    tx_id: str,
    clock: str | int = "09:00",
    *,
    add: int = 0,
    restore: int = 0,
    remove: int = 0,
) -> bytes:
    """Return an accepted change of the register by so many voters."""
    operation, voters = next(
        (name, voters)
        for name, voters in {
            "addVotersList": add,
            "addToVotersList": restore,
            "removeFromVotersList": remove,
        }.items()
        if voters
    )
    hashes = json.dumps([f"h{number}" for number in range(voters)])
    params = {"operation": operation, "userIdHashes": hashes}
    return call(tx_id, clock, params, {f"VOTERS_LIST_{tx_id}": "{}"})


def other(
    tx_id: str, clock: str | int = "09:00", *, operation: str = "addMainKey"
) -> bytes:
    """Return a call that is neither issue nor vote nor of the register."""
    return call(tx_id, clock, {"operation": operation}, {"MAIN_KEY": "a"})


def create(tx_id: str, clock: str | int = "08:00", **terms: str) -> bytes:
    """Return the creation of the contract with these terms, such as `dateEnd`."""
    written = {"VOTING_BASE": json.dumps(terms)}
    return call(tx_id, clock, {"pollId": "7"}, written, kind="103")


def fail(line: bytes) -> bytes:
    """Return the same line, refused by the contract."""
    return _with_diff(line, {"FAIL_address": '{"reason":"no"}'})


def without_result(line: bytes) -> bytes:
    """Return the same line, with nothing written by the contract."""
    return _with_diff(line, {})


def rollback_of(line: bytes) -> bytes:
    """Return the line that cancels `line`."""
    return line + b"-1"


def hour_file(hour: str, *lines: bytes, contract_id: str = A) -> File:
    """Return the file that the portal publishes for an hour, "09:00"."""
    start = DAY + timedelta(milliseconds=at(hour) - at("00:00"))
    end = f"{start + timedelta(hours=1):%H%M}"
    name = f"{contract_id}_{start:%Y-%m-%d_%H%M}-{end}.csv"
    return File(name, contract_id, start, list(lines))


def dump(*lines: bytes, contract_id: str = A) -> File:
    """Return the file of a whole contract, which names no hour."""
    return File(f"{contract_id}_dump.csv", contract_id, None, list(lines))


def content(file: File) -> bytes:
    """Return the bytes of a file."""
    return b"".join(line + b"\n" for line in file.lines)


def _with_diff(line: bytes, written: dict[str, str]) -> bytes:
    fields = line.split(b";")
    fields[9] = _entries(written).encode()
    return b";".join(fields)


def _entries(values: dict[str, str]) -> str:
    entries = [{"key": key, "stringValue": value} for key, value in values.items()]
    return json.dumps(entries, separators=(",", ":"))
