"""What real exports look like: refusals, forks, late rows, files published again.

Every fault draws from a generator of its own, so switching one on moves no other.
"""

from collections.abc import Callable

import numpy as np

from transactions.operations import Operation, Outcome
from transactions.simulator.kinds import FAULTS
from transactions.simulator.ledger import (
    INT_AS_STRING,
    TRUNCATED,
    Applied,
    Ledger,
    Republished,
)
from transactions.simulator.randomness import Ints, Stream, generator
from transactions.simulator.times import HOUR, MINUTE, SECOND
from transactions.simulator.world import GRACE_MS, LAST_VOTE_MS, World

FAIL_RANGE = (0.001, 0.01)  # of the issues and votes (DOMAIN 6.7)
ROLLBACK_SHARE = 0.002
FORK_SHARE = 0.001
LATE_SHARE = 0.3  # of the rows of an hour's last two minutes
EDGE_SHARE = 0.1  # of the votes of an hour's last minute
SAME_MS_SHARE = 0.01
STRING_SHARE = 1 / 3
BATCH_SHARE = 0.02
REVOTE_SHARE = 0.017  # Moscow 2021
# A rollback usually follows within minutes; these reach into the next hour's file.
LONG_ROLLBACK_SHARE = 0.2

BOTH = (Operation.BULLETIN_ISSUED, Operation.VOTE_CAST)

# Returns the places of the transactions that it touched.
Fault = Callable[[Ledger, np.random.Generator], Ints]


def apply_row_faults(world: World, ledger: Ledger) -> None:
    """Let happen what can befall single rows of any contract."""
    _apply(world, ledger, ROW_FAULTS, world.plan.faults)


def apply_contract_faults(world: World, ledger: Ledger) -> None:
    """Let happen what the contract's own list of faults wants.

    After the injections, which add lines: none may come into a file that is lost.
    """
    _apply(world, ledger, CONTRACT_FAULTS, ledger.contract.faults)
    # What was laid out before the ledger was.
    for name in sorted(ledger.contract.faults - set(CONTRACT_FAULTS)):
        _note(ledger, name, 1, ())


def _apply(
    world: World, ledger: Ledger, faults: dict[str, Fault], wanted: frozenset[str]
) -> None:
    for name, fault in faults.items():
        if name in wanted:
            number = tuple(FAULTS).index(name)
            path = (ledger.contract.index, number)
            places = fault(ledger, generator(world.plan.seed, Stream.FAULT, *path))
            if len(places):
                ledger.settle()
                _note(ledger, name, len(places), ledger.hours_of(places))


def _note(ledger: Ledger, name: str, events: int, hours: tuple[str, ...]) -> None:
    """Write down what a fault did, for the truth."""
    contract_id = ledger.contract.contract_id
    ledger.faults.append(Applied(name, contract_id, None, events, hours))


def _some(places: Ints, share: float, rng: np.random.Generator) -> Ints:
    return places[rng.random(len(places)) < share]


def _one(places: Ints, rng: np.random.Generator) -> Ints:
    return rng.permutation(places)[:1]


def _refuse(ledger: Ledger, rng: np.random.Generator) -> Ints:
    """Add calls that repeat an earlier one and are refused for it."""
    share = rng.uniform(*FAIL_RANGE)
    repeated = _some(ledger.plain(*BOTH), share, rng)
    if "revote" in ledger.contract.faults:
        # Where revoting is allowed the contract refuses no second vote.
        is_issue = (
            ledger.transactions["operation"][repeated] == Operation.BULLETIN_ISSUED
        )
        repeated = repeated[is_issue]
    calls = ledger.transactions[repeated].copy()
    calls["ts"] += rng.integers(2 * SECOND, 60 * SECOND, size=len(calls))
    calls["ts"] = np.minimum(calls["ts"], _last_moments(ledger, calls["operation"]))
    calls["outcome"] = Outcome.FAILED
    places = ledger.add(calls)
    ledger.tell(places, calls["ts"])
    return places


def _last_moments(ledger: Ledger, operations: Ints) -> Ints:
    """Return when the window of each operation ends, less a moment."""
    closes = ledger.contract.district.closes_ms
    is_vote = operations == Operation.VOTE_CAST
    return np.where(is_vote, closes + LAST_VOTE_MS, closes - 1)


def _rollback_delays(count: int, rng: np.random.Generator) -> Ints:
    short = rng.integers(SECOND, 2 * MINUTE, size=count)
    long = rng.integers(10 * MINUTE, HOUR, size=count)
    return np.where(rng.random(count) < LONG_ROLLBACK_SHARE, long, short)


def _roll_back(ledger: Ledger, rng: np.random.Generator) -> Ints:
    """Let a first attempt of some calls be rolled back; the call itself is the second."""
    repeated = _some(ledger.plain(*BOTH), ROLLBACK_SHARE, rng)
    calls = ledger.transactions[repeated].copy()
    # Less than the shortest delay from issue to vote: no vote comes before its issue.
    earlier = calls["ts"] - rng.integers(200, 4 * SECOND, size=len(calls))
    calls["ts"] = np.maximum(earlier, ledger.contract.district.opens_ms)
    calls["is_present"] = False
    places = ledger.add(calls)
    ledger.tell(places, calls["ts"])
    later = calls["ts"] + _rollback_delays(len(calls), rng)
    ledger.tell(places, later, is_rollback=True)
    return places


def _roll_back_and_return(ledger: Ledger, rng: np.random.Generator) -> Ints:
    """Let a fork roll some transactions back and bring them in again: they count."""
    places = _some(ledger.plain(*BOTH), FORK_SHARE, rng)
    gone = ledger.transactions["ts"][places] + _rollback_delays(len(places), rng)
    back = gone + rng.integers(SECOND, 5 * MINUTE, size=len(places))
    ledger.tell(places, gone, is_rollback=True)
    ledger.tell(places, back)
    return places


def _roll_back_first(ledger: Ledger, rng: np.random.Generator) -> Ints:
    """Let a -1 stand before its line: the line has the higher position and holds."""
    places = _some(ledger.plain(*BOTH), FORK_SHARE, rng)
    where = ledger.line_of(places)
    moments = ledger.transactions["ts"][places]
    ledger.lines["at"][where] = moments + rng.integers(SECOND, MINUTE, size=len(places))
    ledger.tell(places, moments, is_rollback=True)
    return places


def _publish_late(ledger: Ledger, rng: np.random.Generator) -> Ints:
    """Publish some rows of an hour's last two minutes in the next hour's file."""
    places = ledger.plain(*BOTH)
    moments = ledger.transactions["ts"][places]
    is_last = moments % HOUR >= HOUR - 2 * MINUTE
    places = _some(places[is_last], LATE_SHARE, rng)
    ends = (ledger.transactions["ts"][places] // HOUR + 1) * HOUR
    where = ledger.line_of(places)
    ledger.lines["at"][where] = ends + rng.integers(5 * SECOND, size=len(places))
    return places


def _move_to_edge(ledger: Ledger, rng: np.random.Generator) -> Ints:
    """Move some votes to the last millisecond of their hour, published in time."""
    places = ledger.plain(Operation.VOTE_CAST)
    where = ledger.line_of(places)
    moments = ledger.transactions["ts"][places]
    # Late rows are left alone: their line stands in another hour.
    is_last = (moments % HOUR >= HOUR - MINUTE) & (ledger.lines["at"][where] == moments)
    places = _some(places[is_last], EDGE_SHARE, rng)
    _move(ledger, places, (ledger.transactions["ts"][places] // HOUR + 1) * HOUR - 1)
    return places


def _collide(ledger: Ledger, rng: np.random.Generator) -> Ints:
    """Let some votes wait for the next one, into the same millisecond."""
    places = ledger.plain(Operation.VOTE_CAST)
    moments = ledger.transactions["ts"][places]
    places = places[ledger.lines["at"][ledger.line_of(places)] == moments]
    places = places[np.argsort(ledger.transactions["ts"][places], kind="stable")]
    # In disjoint pairs, so that the vote waited for stays where it is.
    first, second = places[0:-1:2], places[1::2]
    earlier, later = (ledger.transactions["ts"][item] for item in (first, second))
    near = (later - earlier < MINUTE) & (later // HOUR == earlier // HOUR)
    near &= rng.random(len(first)) < SAME_MS_SHARE
    _move(ledger, first[near], later[near])
    moved: Ints = first[near]
    return moved


def _move(ledger: Ledger, places: Ints, moments: Ints) -> None:
    ledger.lines["at"][ledger.line_of(places)] = moments
    ledger.transactions["ts"][places] = moments


def _write_strings(ledger: Ledger, rng: np.random.Generator) -> Ints:
    """Write the integers of some rows as strings."""
    places = np.arange(len(ledger.transactions), dtype=np.int64)
    has_integer = np.isin(
        ledger.transactions["operation"],
        [
            int(Operation.BULLETIN_ISSUED),
            int(Operation.ADD_VOTERS_LIST),
            int(Operation.REMOVE_FROM_VOTERS_LIST),
        ],
    )
    places = _some(places[has_integer], STRING_SHARE, rng)
    ledger.transactions["look"][places] |= INT_AS_STRING
    return places


def _issue_in_batches(ledger: Ledger, rng: np.random.Generator) -> Ints:
    """Hand out some bulletins in the transaction of an earlier one.

    Works on the undisturbed issues only, which stand in the order of `Ledger.people`.
    """
    issues = ledger.plain(Operation.BULLETIN_ISSUED)
    issues = issues[np.argsort(ledger.transactions["subject"][issues], kind="stable")]
    trios = issues[: len(issues) // 3 * 3].reshape(-1, 3)
    subjects = ledger.transactions["subject"][trios]
    # What another fault took out of the row leaves a hole: no batch across it.
    whole = (np.diff(subjects, axis=1) == 1).all(axis=1)
    trios = trios[whole & (rng.random(len(trios)) < BATCH_SHARE * 3)]
    firsts: Ints = trios[:, 0]
    merged = trios[:, 1:]
    sizes = rng.integers(2, 4, size=len(firsts))
    ledger.transactions["quantity"][firsts] = sizes
    lost = np.concatenate([merged[:, 0], merged[sizes == 3, 1]])
    _forget(ledger, lost)
    return firsts


def _forget(ledger: Ledger, places: Ints) -> None:
    """Let transactions never have been: no line speaks of them."""
    ledger.transactions["is_present"][places] = False
    ledger.lines = ledger.lines[~np.isin(ledger.lines["tx"], places)]


def _vote_again(ledger: Ledger, rng: np.random.Generator) -> Ints:
    """Let some voters vote again where that is allowed."""
    votes = ledger.plain(Operation.VOTE_CAST)
    chosen = _some(votes, REVOTE_SHARE, rng)
    return add_revotes(ledger, chosen if len(chosen) else _one(votes, rng), rng)


def add_revotes(ledger: Ledger, places: Ints, rng: np.random.Generator) -> Ints:
    """Add a second accepted vote by the keys of `places`, before the vote ends."""
    votes = ledger.transactions[places].copy()
    limit = ledger.contract.district.closes_ms + GRACE_MS - MINUTE
    wait = rng.integers(MINUTE, HOUR, size=len(votes))
    votes["ts"] = np.minimum(votes["ts"] + wait, limit)
    added = ledger.add(votes)
    ledger.tell(added, votes["ts"])
    return added


def _cut(ledger: Ledger, rng: np.random.Generator) -> Ints:
    """Cut the last line of an hour file; what it told is lost."""
    ends = np.array(
        [where[-1] for where in _whole_files(ledger).values()], dtype=np.int64
    )
    tx = ledger.lines["tx"][ends]
    votes = np.intersect1d(tx, ledger.plain(Operation.VOTE_CAST))
    places = _one(votes, rng)
    ledger.lines["look"][ledger.line_of(places)] |= TRUNCATED
    ledger.transactions["is_present"][places] = False
    return places


def _whole_files(ledger: Ledger) -> dict[int, Ints]:
    """Return the lines of every hour file with votes that shares no transaction.

    Such a file can be lost or published again, and nothing else changes.
    """
    hours = ledger.lines["at"] // HOUR * HOUR
    told = np.bincount(ledger.lines["tx"], minlength=len(ledger.transactions))
    is_shared = told[ledger.lines["tx"]] > 1
    operations = ledger.transactions["operation"][ledger.lines["tx"]]
    is_act = ~np.isin(operations, [int(item) for item in BOTH])
    files: dict[int, Ints] = {}
    for hour in np.unique(hours[operations == Operation.VOTE_CAST]).tolist():
        where = np.flatnonzero(hours == hour).astype(np.int64)
        is_whole = not is_shared[where].any() and not is_act[where].any()
        if is_whole and hour not in ledger.touched_hours:
            files[hour] = where
    return files


def _chosen_file(ledger: Ledger, rng: np.random.Generator) -> tuple[int, Ints] | None:
    files = _whole_files(ledger)
    if not files:
        return None
    hour = int(rng.choice(list(files)))
    return hour, files[hour]


def _end_without_newline(ledger: Ledger, rng: np.random.Generator) -> Ints:
    return _mark_file(ledger, ledger.unterminated_hours, rng)


def _end_lines_with_crlf(ledger: Ledger, rng: np.random.Generator) -> Ints:
    return _mark_file(ledger, ledger.crlf_hours, rng)


def _mark_file(ledger: Ledger, marks: set[int], rng: np.random.Generator) -> Ints:
    chosen = _chosen_file(ledger, rng)
    if chosen is None:
        return np.zeros(0, dtype=np.int64)
    hour, where = chosen
    marks.add(hour)
    return ledger.lines["tx"][where]


def _lose_hour(ledger: Ledger, rng: np.random.Generator) -> Ints:
    """Do not publish one hour with votes; nothing of it reaches the ledger."""
    chosen = _chosen_file(ledger, rng)
    if chosen is None:
        return np.zeros(0, dtype=np.int64)
    hour, where = chosen
    lost = np.setdiff1d(ledger.lines["tx"][where], np.delete(ledger.lines["tx"], where))
    ledger.lines = np.delete(ledger.lines, where)
    ledger.transactions["is_present"][lost] = False
    ledger.missing_hours.add(hour)
    return lost


def _publish_rest_later(ledger: Ledger, rng: np.random.Generator) -> Ints:
    """Publish an hour without some of its rows, and again with all of them."""
    chosen = _chosen_file(ledger, rng)
    if chosen is None:
        return np.zeros(0, dtype=np.int64)
    hour, where = chosen
    ledger.republished.append(Republished(hour, ledger.lines[where]))
    held = rng.permutation(where)[: max(1, len(where) // 5)]
    places: Ints = ledger.lines["tx"][held]
    ledger.lines = np.delete(ledger.lines, held)
    return places


def _publish_same_again(ledger: Ledger, rng: np.random.Generator) -> Ints:
    chosen = _chosen_file(ledger, rng)
    if chosen is None:
        return np.zeros(0, dtype=np.int64)
    hour, where = chosen
    ledger.republished.append(Republished(hour, ledger.lines[where]))
    return ledger.lines["tx"][where]


ROW_FAULTS: dict[str, Fault] = {
    "fail": _refuse,
    "rollback": _roll_back,
    "rollback_return": _roll_back_and_return,
    "rollback_first": _roll_back_first,
    "late": _publish_late,
    "edge": _move_to_edge,
    "same_ms": _collide,
    "int_as_string": _write_strings,
    "batch_issue": _issue_in_batches,
}
CONTRACT_FAULTS: dict[str, Fault] = {
    "revote": _vote_again,
    "republished": _publish_rest_later,
    "republished_same": _publish_same_again,
    "truncated": _cut,
    "no_final_newline": _end_without_newline,
    "crlf": _end_lines_with_crlf,
    "missing_hour": _lose_hour,
}
