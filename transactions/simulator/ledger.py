"""One contract's transactions, the lines that tell of them, and what they add up to.

A transaction happens once; lines speak of it: it is there (once, or again), or it is
rolled back. The account of what must come out (`Ledger.expected`) is kept with the
transactions and never looks at lines or texts, so that it can be held against both.
"""

from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from transactions.operations import Operation, Outcome
from transactions.simulator.flow import NEVER, Flow
from transactions.simulator.randomness import Ints, Stream, generator
from transactions.simulator.times import DAY, HOUR, SECOND, hours_in, iso
from transactions.simulator.world import GRACE_MS, Contract, World

Table = NDArray[np.void]

TRANSACTION = np.dtype(
    [
        # Names the transaction within its contract; its id, sender and filler follow.
        ("serial", np.int64),
        ("ts", np.int64),
        ("operation", np.uint8),
        ("outcome", np.uint8),
        # Issue: place of the first recipient in `Ledger.people`. Vote: number of the
        # voter's key. List: its polling station. Removal: the person.
        ("subject", np.int64),
        # Bulletins of an issue, voters of a register transaction, else 0.
        ("quantity", np.int64),
        # Whether the ledger holds it in the end: neither rolled back nor lost.
        ("is_present", np.bool_),
        ("look", np.uint8),
    ]
)
LINE = np.dtype(
    [
        ("tx", np.int64),  # place in `Ledger.transactions`
        ("at", np.int64),  # when it is published: decides file and order, not the hour
        ("is_rollback", np.bool_),
        ("look", np.uint8),
    ]
)

# Looks of a transaction.
INT_AS_STRING, FOREIGN_SENDER = 1, 2
# Looks of a line.
TRUNCATED, OTHER_TIME = 4, 8

# Serials of the sources of transactions; the number within the source is added.
SERIAL_SETUP, SERIAL_ISSUE, SERIAL_VOTE, SERIAL_REMOVAL, SERIAL_EXTRA = (
    source << 40 for source in range(5)
)
STATION_RANGE = (1, 300)  # voters on one list (DOMAIN 6.2)


@dataclass(frozen=True, slots=True)
class Applied:
    """One fault or injection as it came out in one contract."""

    name: str
    contract_id: str
    size: float | None
    events: int
    hours: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Republished:
    """A later version of one hour file."""

    hour_ms: int
    lines: Table


@dataclass(frozen=True, slots=True)
class Expected:
    """What a contract must show once all of its files are loaded."""

    registered_voters: int
    bulletins_issued: int
    votes_cast: int
    revotes: int
    transaction_count: int
    failed_count: int
    # Start of hour in the contract's zone -> issued, cast, revotes, transactions, failed.
    hours: dict[str, tuple[int, int, int, int, int]]


@dataclass(slots=True)
class Ledger:
    """The transactions and lines of one contract; faults and injections change them."""

    contract: Contract
    transactions: Table
    lines: Table
    # Recipients of issues, one after another.
    people: Ints
    # First person of every polling station, and one past the last of all.
    stations: Ints
    # Hours whose file is not published, ends without a newline, or has CR LF.
    missing_hours: set[int] = field(default_factory=set)
    unterminated_hours: set[int] = field(default_factory=set)
    crlf_hours: set[int] = field(default_factory=set)
    republished: list[Republished] = field(default_factory=list)
    faults: list[Applied] = field(default_factory=list)
    injections: list[Applied] = field(default_factory=list)

    @property
    def zone(self) -> ZoneInfo:
        """Return the zone in which the contract's hours are cut."""
        return self.contract.district.zone

    @property
    def touched_hours(self) -> set[int]:
        """Return the hours whose file is already special in some way."""
        again = {version.hour_ms for version in self.republished}
        return self.missing_hours | self.unterminated_hours | self.crlf_hours | again

    def add(self, transactions: Table) -> Ints:
        """Append transactions with new serials and return their places; no lines yet."""
        places = len(self.transactions) + np.arange(len(transactions), dtype=np.int64)
        transactions["serial"] = SERIAL_EXTRA + places
        self.transactions = np.concatenate([self.transactions, transactions])
        return places

    def tell(
        self, places: Ints, at: Ints, *, is_rollback: bool = False, look: int = 0
    ) -> None:
        """Append a line about each of `places`, published `at`."""
        self.lines = np.concatenate(
            [self.lines, lines_about(places, at, is_rollback=is_rollback, look=look)]
        )

    def settle(self) -> None:
        """Bring the lines into the order of publication."""
        self.lines = self.lines[np.argsort(self.lines["at"], kind="stable")]

    def plain(self, *operations: Operation) -> Ints:
        """Return the places of accepted transactions of which exactly one line speaks."""
        table = self.transactions
        told = np.bincount(self.lines["tx"], minlength=len(table))
        good = (told == 1) & table["is_present"] & (table["look"] & FOREIGN_SENDER == 0)
        good &= table["outcome"] == Outcome.ACCEPTED
        good &= np.isin(table["operation"], [int(item) for item in operations])
        found: Ints = np.flatnonzero(good).astype(np.int64)
        return found

    def line_of(self, places: Ints) -> Ints:
        """Return where the single line about each of `places` stands."""
        where = np.zeros(len(self.transactions), dtype=np.int64)
        where[self.lines["tx"]] = np.arange(len(self.lines))
        return where[places]

    def hours_of(self, places: Ints) -> tuple[str, ...]:
        """Return the hours, in the contract's zone, in which `places` happened."""
        hours = np.unique(hours_in(self.zone, self.transactions["ts"][places]))
        return tuple(iso(int(hour)) for hour in hours.tolist())

    def counted(self, operation: Operation) -> tuple[Ints, Ints]:
        """Return the instants of accepted issues or first votes, in order, and ballots."""
        table = self.transactions[self.transactions["is_present"]]
        is_accepted = table["outcome"] == Outcome.ACCEPTED
        chosen = is_accepted & (table["operation"] == operation)
        ballots = table["quantity"]
        if operation == Operation.VOTE_CAST:
            chosen, _ = _first_votes(table, is_accepted)
            ballots = np.ones(len(table), dtype=np.int64)
        order = np.argsort(table["ts"][chosen], kind="stable")
        return table["ts"][chosen][order], ballots[chosen][order]

    def calls(self) -> tuple[Ints, NDArray[np.bool_]]:
        """Return the instants of all calls that stand, and which of them were refused."""
        table = self.transactions[self.transactions["is_present"]]
        return table["ts"], table["outcome"] == Outcome.FAILED

    def expected(self) -> Expected:
        """Add up what the ledger holds in the end."""
        table = self.transactions[self.transactions["is_present"]]
        hours = hours_in(self.zone, table["ts"])
        is_accepted = table["outcome"] == Outcome.ACCEPTED
        is_issue = is_accepted & (table["operation"] == Operation.BULLETIN_ISSUED)
        is_cast, is_revote = _first_votes(table, is_accepted)
        parts = {
            "bulletins_issued": np.where(is_issue, table["quantity"], 0),
            "votes_cast": is_cast,
            "revotes": is_revote,
            "transaction_count": np.ones(len(table), dtype=np.int64),
            "failed_count": table["outcome"] == Outcome.FAILED,
        }
        return Expected(
            registered_voters=_registered(table, is_accepted),
            **{name: int(part.sum()) for name, part in parts.items()},
            hours=_hourly(hours, list(parts.values())),
        )


def _hourly(
    hours: Ints, parts: list[NDArray[Any]]
) -> dict[str, tuple[int, int, int, int, int]]:
    starts, place = np.unique(hours, return_inverse=True)
    columns = [
        np.bincount(place, part, len(starts)).astype(int).tolist() for part in parts
    ]
    rows = zip(*columns, strict=True)
    return {iso(start): row for start, row in zip(starts.tolist(), rows, strict=True)}


def _first_votes(
    table: Table, is_accepted: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which rows are a key's first accepted vote, and which a further one."""
    is_vote = is_accepted & (table["operation"] == Operation.VOTE_CAST)
    votes = np.flatnonzero(is_vote)
    votes = votes[np.lexsort((table["ts"][votes], table["subject"][votes]))]
    _, firsts = np.unique(table["subject"][votes], return_index=True)
    is_first = np.zeros(len(table), dtype=np.bool_)
    is_first[votes[firsts]] = True
    return is_first, is_vote & ~is_first


def _registered(table: Table, is_accepted: NDArray[np.bool_]) -> int:
    added = is_accepted & (table["operation"] == Operation.ADD_VOTERS_LIST)
    gone = is_accepted & (table["operation"] == Operation.REMOVE_FROM_VOTERS_LIST)
    return int(table["quantity"][added].sum() - table["quantity"][gone].sum())


def lines_about(
    places: Ints, at: Ints, *, is_rollback: bool = False, look: int = 0
) -> Table:
    """Return one line about each place."""
    lines = np.zeros(len(places), dtype=LINE)
    lines["tx"], lines["at"] = places, at
    lines["is_rollback"], lines["look"] = is_rollback, look
    return lines


def transactions_at(
    moments: Ints,
    operation: Operation,
    *,
    subject: Ints | int = 0,
    quantity: Ints | int = 0,
    outcome: Outcome = Outcome.ACCEPTED,
) -> Table:
    """Return transactions of one kind, without serials."""
    table = np.zeros(len(moments), dtype=TRANSACTION)
    table["ts"], table["operation"], table["outcome"] = moments, operation, outcome
    table["subject"], table["quantity"] = subject, quantity
    table["is_present"] = True
    return table


def open_ledger(world: World, contract: Contract, flow: Flow) -> Ledger:
    """Return the undisturbed ledger of a contract: set up, issues, votes, removals."""
    rng = generator(world.plan.seed, Stream.SETUP, contract.index)
    stations = _stations(contract.district.voters, rng)
    flow_order = np.argsort(flow.issued, kind="stable")
    people, issued, cast = (
        column[flow_order] for column in (flow.person, flow.issued, flow.cast)
    )
    voted = cast != NEVER
    parts = [
        (SERIAL_SETUP, _setup(contract, stations, rng)),
        (SERIAL_ISSUE, _issues(issued, people)),
        (SERIAL_VOTE, _votes(cast[voted], people[voted])),
        (SERIAL_REMOVAL, _removals(flow)),
    ]
    for source, part in parts:
        part["serial"] += source
    table = np.concatenate([part for _, part in parts])
    places = np.arange(len(table), dtype=np.int64)
    lines = lines_about(places, table["ts"])
    return Ledger(contract, table, lines, people, stations)


def _stations(voters: int, rng: np.random.Generator) -> Ints:
    """Return the bounds of polling stations of 1 to 300 voters each."""
    bounds = [0]
    while bounds[-1] < voters:
        size = int(rng.integers(STATION_RANGE[0], STATION_RANGE[1] + 1))
        bounds.append(min(voters, bounds[-1] + size))
    return np.array(bounds, dtype=np.int64)


def _setup(contract: Contract, stations: Ints, rng: np.random.Generator) -> Table:
    """Return creation, lists, start and stop; lists one to three days before."""
    opens, closes = contract.district.opens_ms, contract.district.closes_ms
    created = opens - int(rng.integers(3 * DAY, 4 * DAY))
    first_list = opens - int(rng.integers(DAY + HOUR, 3 * DAY))
    sizes = _listed(contract, stations)
    numbers = np.flatnonzero(sizes)
    lists = transactions_at(
        first_list + np.arange(len(numbers)) * 2 * SECOND,
        Operation.ADD_VOTERS_LIST,
        subject=numbers,
        quantity=sizes[numbers],
    )
    # Opening and closing of issue and vote, in the milliseconds of their hour.
    acts = (
        (created, Operation.CREATE_CONTRACT),
        (opens, Operation.START_VOTING),
        (opens, Operation.START_ISSUING),
        (closes, Operation.STOP_ISSUING),
        (closes + GRACE_MS, Operation.FINISH_VOTING),
    )
    single = [transactions_at(np.array([at]), operation) for at, operation in acts]
    table = np.concatenate([*single, lists])
    # The creation is number 0: its id is the contract's.
    table["serial"] = np.arange(len(table))
    return table


def _listed(contract: Contract, stations: Ints) -> Ints:
    """Return how many voters of each station reached the ledger."""
    reached = contract.district.voters
    if "missing_lists" in contract.faults:
        reached = max(1, reached * 6 // 10)
    return np.diff(np.minimum(stations, reached))


def _issues(issued: Ints, people: Ints) -> Table:
    table = transactions_at(
        issued,
        Operation.BULLETIN_ISSUED,
        subject=np.arange(len(issued)),
        quantity=1,
    )
    table["serial"] = people
    return table


def _votes(cast: Ints, people: Ints) -> Table:
    # A voter's key is a number of its own only here: ledger and issue never tell it.
    table = transactions_at(cast, Operation.VOTE_CAST, subject=people)
    table["serial"] = people
    return table


def _removals(flow: Flow) -> Table:
    table = transactions_at(
        flow.removed_at,
        Operation.REMOVE_FROM_VOTERS_LIST,
        subject=flow.removed,
        quantity=1,
    )
    table["serial"] = flow.removed
    return table


def ordinals(hours: Ints, places: Ints) -> Ints:
    """Return which statement about its transaction within its hour each line is, from 1."""
    order = np.lexsort((np.arange(len(places)), places, hours))
    is_new = np.ones(len(order), dtype=np.bool_)
    is_new[1:] = (np.diff(hours[order]) != 0) | (np.diff(places[order]) != 0)
    starts = np.flatnonzero(is_new)
    counts = np.arange(len(order)) - np.repeat(starts, np.diff([*starts, len(order)]))
    result = np.zeros(len(order), dtype=np.int64)
    result[order] = counts + 1
    return result
