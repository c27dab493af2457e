"""A slow, obvious recount in plain Python that every figure must agree with.

It implements DOMAIN 3 in one pass, with json and dicts and nothing of the project. Files
are read in the order given. A file has a name, the start of the hour that its name
states (an aware datetime, or None for dumps) and its lines as they came. Lines are those
of the portal: twelve fields between semicolons.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

YEAR_2000_MS, YEAR_2100_MS = 946_684_800_000, 4_102_444_800_000
# By how much one hash in a register transaction moves the register.
REGISTER = {"addvoterslist": 1, "addtovoterslist": 1, "removefromvoterslist": -1}


@dataclass(frozen=True)
class File:
    """One file: to which contract it belongs, what hour its name states, its lines."""

    name: str
    contract_id: str
    interval: datetime | None
    lines: list[bytes]


@dataclass(frozen=True)
class Content:
    """What two lines about one transaction must agree on (else they are in conflict)."""

    timestamp_ms: int
    operation: str
    outcome: str
    quantity: int
    sender: str
    payload: str


@dataclass
class Known:
    """One transaction: the content loaded first, and the statement that holds so far."""

    content: Content
    recipients: list[str]
    # (does an hourly file say it, interval, ordinal, is it rolled back): the highest
    # holds, and on a tie of the first three "rolled back" is the higher.
    statement: tuple[bool, datetime, int, bool]

    @property
    def is_rolled_back(self) -> bool:
        return self.statement[3]


@dataclass
class Figures:
    """What is counted, per contract and per hour of a contract."""

    bulletins_issued: int = 0
    votes_cast: int = 0
    revotes: int = 0
    transaction_count: int = 0
    failed_count: int = 0


@dataclass
class Recount:
    """What the files say."""

    ledger: dict[tuple[str, str], Known] = field(default_factory=dict)
    # (file, line from 1, reason) of lines that cannot be read.
    rejected: list[tuple[str, int, str]] = field(default_factory=list)
    # (contract, transaction) of lines with other content than was known.
    conflicts: list[tuple[str, str]] = field(default_factory=list)
    rows_read: int = 0
    totals: dict[str, Figures] = field(default_factory=dict)
    hours: dict[tuple[str, datetime], Figures] = field(default_factory=dict)
    minutes: dict[tuple[str, datetime], Figures] = field(default_factory=dict)
    # None where no list was accepted and the ledger holds no register.
    registered: dict[str, int | None] = field(default_factory=dict)


class Unreadable(Exception):
    """The line is rejected; the argument says why."""


def recount(files: list[File], zones: dict[str, ZoneInfo]) -> Recount:
    """Read `files` in order and count; hours are cut in the zone of each contract."""
    result = Recount()
    for file in files:
        read_file(file, result)
    for contract_id in dict.fromkeys(file.contract_id for file in files):
        count_contract(contract_id, zones[contract_id], result)
    return result


def read_file(file: File, result: Recount) -> None:
    ordinals: defaultdict[str, int] = defaultdict(int)
    for number, raw in enumerate(file.lines, start=1):
        if not raw.strip():
            continue
        result.rows_read += 1
        try:
            tx_id, content, recipients, is_rollback = read_line(raw)
        except Unreadable as reason:
            result.rejected.append((file.name, number, str(reason)))
            continue
        known = result.ledger.get((file.contract_id, tx_id))
        if known is not None and known.content != content:
            result.conflicts.append((file.contract_id, tx_id))
            continue
        # Only lines that are readable and not in conflict take an ordinal.
        ordinals[tx_id] += 1
        interval = file.interval or utc_hour(content.timestamp_ms)
        statement = (file.interval is not None, interval, ordinals[tx_id], is_rollback)
        if known is None:
            result.ledger[file.contract_id, tx_id] = Known(
                content, recipients, statement
            )
        else:
            known.statement = max(known.statement, statement)


def read_line(raw: bytes) -> tuple[str, Content, list[str], bool]:
    """Return id, content, recipients of an issue, and whether it is a rollback."""
    try:
        line = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise Unreadable("not UTF-8") from error
    fields = line.split(";")
    if len(fields) != 12:
        raise Unreadable("not twelve fields")
    tx_id, kind, _, _, ts, sender, _, _, params_text, diff_text, _, rollback = fields
    if not tx_id:
        raise Unreadable("no id")
    if kind not in {"103", "104"}:
        raise Unreadable("type is neither 103 nor 104")
    if rollback not in {"", "-1"}:
        raise Unreadable("rollback is neither empty nor -1")
    params, diff = entries(params_text), entries(diff_text)
    operation = operation_of(kind, params)
    recipients = recipients_of(operation, params)
    content = Content(
        timestamp_ms=moment(ts),
        operation=operation,
        outcome=outcome_of(operation, sender, tx_id, diff),
        quantity=quantity_of(operation, params, recipients),
        sender=sender,
        payload=params_text + diff_text,
    )
    return tx_id, content, recipients, rollback == "-1"


def entries(text: str) -> dict[str, object]:
    """Return key -> value of a params or diff array; an empty field is an empty array."""
    try:
        found = json.loads(text or "[]")
    except ValueError as error:
        raise Unreadable("JSON broken") from error
    if not isinstance(found, list):
        raise Unreadable("params or diff is no array")
    values: dict[str, object] = {}
    for entry in found:
        if not isinstance(entry, dict) or "key" not in entry:
            raise Unreadable("an entry of params or diff has no key")
        for name in ("stringValue", "intValue", "boolValue", "binaryValue"):
            if name in entry:
                values[entry["key"]] = entry[name]
    return values


def moment(ts: str) -> int:
    if (
        not (ts.isascii() and ts.isdecimal())
        or not YEAR_2000_MS <= int(ts) < YEAR_2100_MS
    ):
        raise Unreadable("ts is no time between 2000 and 2100")
    return int(ts)


def operation_of(kind: str, params: dict[str, object]) -> str:
    if kind == "103":
        return "createcontract"
    if "operation" not in params:
        raise Unreadable("no operation")
    return str(params["operation"]).lower()


def recipients_of(operation: str, params: dict[str, object]) -> list[str]:
    if operation != "blindsigissue":
        return []
    try:
        return [str(entry["userId"]) for entry in json.loads(str(params["data"]))]
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable("data of an issue is broken") from error


def quantity_of(
    operation: str, params: dict[str, object], recipients: list[str]
) -> int:
    """Return bulletins of an issue, or by how much a transaction moves the register."""
    if operation in REGISTER:
        try:
            return REGISTER[operation] * len(json.loads(str(params["userIdHashes"])))
        except (KeyError, TypeError, ValueError) as error:
            raise Unreadable("userIdHashes are broken") from error
    if operation == "vote":
        return 1
    return len(recipients)


def outcome_of(operation: str, sender: str, tx_id: str, diff: dict[str, object]) -> str:
    if any(key.startswith("FAIL") for key in diff):
        return "failed"
    needed = {"blindsigissue": f"BLINDSIG_{tx_id}", "vote": f"VOTE_{sender}"}
    if operation in needed and needed[operation] not in diff:
        return "other"
    return "accepted"


def utc_hour(timestamp_ms: int) -> datetime:
    return hour_in(ZoneInfo("UTC"), timestamp_ms)


def minute_of(timestamp_ms: int) -> datetime:
    """Return the start of the minute that the instant lies in."""
    return datetime.fromtimestamp(timestamp_ms // 60_000 * 60, tz=UTC)


def hour_in(zone: ZoneInfo, timestamp_ms: int) -> datetime:
    """Return the start, in UTC, of the hour of `zone` that the instant lies in."""
    instant = datetime.fromtimestamp(timestamp_ms // 1000, tz=UTC)
    local = instant.astimezone(zone)
    # Back from the instant, not from the wall clock, which shows some hours twice.
    return instant - timedelta(minutes=local.minute, seconds=local.second)


def count_contract(contract_id: str, zone: ZoneInfo, result: Recount) -> None:
    """Count what is not rolled back."""
    total = result.totals[contract_id] = Figures()
    result.registered[contract_id] = None
    voters: set[str] = set()
    # In the order of (time, id), so that the first vote of a key is the one that counts.
    for content in standing(contract_id, result):
        hour = hour_in(zone, content.timestamp_ms)
        minute = minute_of(content.timestamp_ms)
        for figures in (
            total,
            result.hours.setdefault((contract_id, hour), Figures()),
            result.minutes.setdefault((contract_id, minute), Figures()),
        ):
            count_one(content, figures, is_first=content.sender not in voters)
        if content.outcome != "accepted":
            continue
        if content.operation == "vote":
            voters.add(content.sender)
        elif content.operation in REGISTER:
            known = result.registered[contract_id] or 0
            result.registered[contract_id] = known + content.quantity


def count_one(content: Content, figures: Figures, *, is_first: bool) -> None:
    """Count one transaction; `is_first` tells that its sender has no vote before it."""
    figures.transaction_count += 1
    figures.failed_count += content.outcome == "failed"
    if content.outcome != "accepted":
        return
    if content.operation == "blindsigissue":
        figures.bulletins_issued += content.quantity
    elif content.operation == "vote" and is_first:
        figures.votes_cast += 1
    elif content.operation == "vote":
        figures.revotes += 1


def standing(contract_id: str, result: Recount) -> list[Content]:
    """Return what is not rolled back, in the order of (time, id)."""
    found = [
        (known.content.timestamp_ms, tx_id, known.content)
        for (owner, tx_id), known in result.ledger.items()
        if owner == contract_id and not known.is_rolled_back
    ]
    return [content for _, _, content in sorted(found, key=lambda item: item[:2])]
