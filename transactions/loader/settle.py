"""Decide what several statements about one transaction come to (`DOMAIN.md` 3).

Pure functions of statements in the order of arrival. Because a statement is compared with
what holds so far, by position and not by arrival, the state they end in is the same
in any order; only of two contents of one id the first one stays.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Statement:
    """What one line says of a transaction, or what the ledger holds of it."""

    part: int
    line: int
    batch_id: int
    constituency_id: int
    tx_id: str
    timestamp_ms: int
    operation: int
    outcome: int
    quantity: int
    sender: bytes | None
    recipients: bytes | None
    polling_station: str
    payload: bytes | None
    position: int
    # Whether `position` is final, or the one of a first statement in its file.
    is_placed: bool
    rolled_back: bool
    # Of rows of the ledger only.
    counted: bool = False

    def has_content_of(self, other: "Statement") -> bool:
        """Tell whether both describe the same transaction in the same words.

        Sender and payload are compared where both sources have one.
        """
        return (
            self.timestamp_ms == other.timestamp_ms
            and self.operation == other.operation
            and self.outcome == other.outcome
            and self.quantity == other.quantity
            and _agree(self.sender, other.sender)
            and _agree(self.payload, other.payload)
        )

    def placed_after(self, others: int) -> "Statement":
        """Return the statement at its place behind so many others in its file."""
        if self.is_placed or not others:
            return self
        return replace(self, position=self.position + others)

    def outranks(self, other: "Statement") -> bool:
        """Tell whether this statement holds against `other`; on a tie, rolled back does."""
        return (self.position, self.rolled_back) > (other.position, other.rolled_back)


def _agree(one: bytes | None, other: bytes | None) -> bool:
    return one is None or other is None or one == other


@dataclass(slots=True)
class Settlement:
    """What becomes of one transaction and of each line about it."""

    stored: Statement | None
    final: Statement | None
    accepted: list[Statement] = field(default_factory=list)
    duplicate: list[Statement] = field(default_factory=list)
    conflicting: list[Statement] = field(default_factory=list)
    # Statements after which the transaction was in another state than before.
    flips: list[Statement] = field(default_factory=list)
    # Outranked, and of another opinion than what holds in the end.
    dissenting: list[Statement] = field(default_factory=list)

    @property
    def holder(self) -> Statement:
        """Return the content and state that hold."""
        assert self.final is not None  # noqa: S101 - set by the first statement
        return self.final


def settle(stored: Statement | None, statements: Sequence[Statement]) -> Settlement:
    """Take the statements about one transaction in the order they arrived."""
    result = Settlement(stored=stored, final=stored)
    # How many statements each file has made; lines in conflict make none.
    made: Counter[int] = Counter()
    losers: dict[int, Statement] = {}
    for line in statements:
        if result.final is not None and not line.has_content_of(result.final):
            result.conflicting.append(line)
            continue
        statement = line.placed_after(made[line.part])
        made[line.part] += 1
        # Only a file's last word can dissent: a line that the same file rolls back
        # further down does not.
        losers.pop(line.part, None)
        if not _take(result, statement):
            losers[line.part] = statement
    final = result.holder
    result.dissenting = [
        statement
        for statement in losers.values()
        if statement.rolled_back != final.rolled_back
    ]
    return result


def _take(result: Settlement, statement: Statement) -> bool:
    """Sort the statement in; return False where it was outranked."""
    holder = result.final
    if holder is None:
        result.final = statement
        result.accepted.append(statement)
    elif statement.outranks(holder):
        _advance(result, holder, statement)
    else:
        result.duplicate.append(statement)
        return False
    return True


def _advance(result: Settlement, holder: Statement, statement: Statement) -> None:
    if statement.rolled_back == holder.rolled_back:
        result.duplicate.append(statement)
    else:
        result.accepted.append(statement)
        result.flips.append(statement)
    result.final = replace(
        holder, position=statement.position, rolled_back=statement.rolled_back
    )
