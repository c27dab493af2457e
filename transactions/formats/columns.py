"""What every reader yields: columns of statements, and the lines it had to refuse."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import compress


@dataclass(slots=True)
class Statements:
    """One block of readable lines, a list per column, in the order of the file.

    A statement says of one transaction that it is present or rolled back.
    `sender` is None where the source has no sender, `payload` where it has no params
    and diff; both are 16-byte digests. `recipients` holds 16 bytes per recipient of an
    issue, concatenated. `quantity` counts the ballots of an issue, or the voters that a
    register change adds (positive) or removes (negative); 1 for a vote, else 0.
    """

    line: list[int] = field(default_factory=list)
    # Empty for files of one contract: the file says which.
    contract_id: list[str] = field(default_factory=list)
    tx_id: list[str] = field(default_factory=list)
    timestamp_ms: list[int] = field(default_factory=list)
    operation: list[int] = field(default_factory=list)
    outcome: list[int] = field(default_factory=list)
    quantity: list[int] = field(default_factory=list)
    sender: list[bytes | None] = field(default_factory=list)
    recipients: list[bytes | None] = field(default_factory=list)
    polling_station: list[str] = field(default_factory=list)
    payload: list[bytes | None] = field(default_factory=list)
    rolled_back: list[bool] = field(default_factory=list)
    # Empty, or None in a row, where the place of a statement follows from the file it
    # stands in.
    position: list[int | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.line)

    def keep(self, wanted: Sequence[bool]) -> None:
        """Drop the rows that are not wanted."""
        for column in fields(self):
            values = getattr(self, column.name)
            setattr(self, column.name, list(compress(values, wanted)))

    def extend(self, other: "Statements") -> None:
        """Append the rows of another block."""
        for column in fields(self):
            getattr(self, column.name).extend(getattr(other, column.name))


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that could not be read: where, why as a code, why as a sentence."""

    line: int
    code: str
    message: str
    # Without NUL characters, which PostgreSQL cannot hold; `is_cut` where shortened.
    raw: str
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class ContractTerms:
    """What a createContract transaction says of its contract; None where it is silent."""

    tx_id: str
    revoting_allowed: bool
    registrar: bytes | None
    issue_opens_at: datetime | None
    issue_closes_at: datetime | None
    voting_closes_at: datetime | None


@dataclass(slots=True)
class Block:
    """A piece of a file, small enough to hold in memory."""

    statements: Statements = field(default_factory=Statements)
    rejections: list[Rejection] = field(default_factory=list)
    terms: list[ContractTerms] = field(default_factory=list)

    @property
    def rows_read(self) -> int:
        """Return how many lines this block accounts for, blank ones not among them."""
        return len(self.statements) + len(self.rejections)


Blocks = Iterator[Block]
