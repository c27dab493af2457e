"""The irregularities that a detector has to find (ANOMALIES 5.2).

Some change the flow of people before there are transactions, the others the ledger.
Additional people are taken from the register's idle ones first: a burst has its issues,
and exceeds no register. Where they do not suffice, it stays smaller than asked, and the
number of events in the truth says so.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from transactions.operations import Operation
from transactions.simulator.faults import BOTH, add_revotes
from transactions.simulator.flow import NEVER, Flow
from transactions.simulator.ledger import (
    FOREIGN_SENDER,
    OTHER_TIME,
    Applied,
    Ledger,
    Republished,
    transactions_at,
)
from transactions.simulator.randomness import Ints, Stream, generator
from transactions.simulator.times import HOUR, MINUTE, SECOND, hour_in, hours_in, iso
from transactions.simulator.world import DAYTIME, Contract, Target, World

SLOW_HOURS, OUTAGE_HOURS, BOT_HOURS, STUFFING_HOURS = 12, 2, 8, 4
# Midnight and 06:00 in hours from an opening at 08:00.
NIGHT = (16, 22)
BOT_DELAY_MS = 30 * SECOND


@dataclass(frozen=True, slots=True)
class Strike:
    """One injection in one contract, with what it may draw from."""

    size: float
    contract: Contract
    days: int
    start_ms: int | None
    rng: np.random.Generator

    def hour(self, from_opening: int) -> int:
        """Return the start of the hour so many after the one of the opening."""
        district = self.contract.district
        return hour_in(district.zone, district.opens_ms) + from_opening * HOUR

    def daytime_hour(self, *, room: int = 1) -> int:
        """Return a random daytime hour of any day with `room` hours left before the close."""
        day = int(self.rng.integers(self.days))
        return self.hour(24 * day + int(self.rng.integers(DAYTIME[0], 11 - room)))

    def of_register(self) -> int:
        """Return the size as a number of people, at least one."""
        return max(1, round(self.size / 100 * self.contract.district.voters))


# Change the flow and return the events' instants.
FlowStrike = Callable[[Flow, Strike], Ints]
# Change the ledger and return the places of the transactions touched.
LedgerStrike = Callable[[Ledger, Strike], Ints]


def strike_flow(world: World, contract: Contract, flow: Flow) -> list[Applied]:
    """Apply the contract's injections that change what people do."""
    applied = []
    for target, strike in _strikes(world, contract):
        act = FLOW_STRIKES.get(target.injection.kind)
        if act is not None:
            moments = act(flow, strike)
            hours = np.unique(hours_in(contract.district.zone, moments))
            starts = tuple(iso(int(hour)) for hour in hours.tolist())
            applied.append(_applied(target, contract, len(moments), starts))
    return applied


def strike_ledger(world: World, ledger: Ledger) -> list[Applied]:
    """Apply the contract's injections that change what the ledger says."""
    applied = []
    for target, strike in _strikes(world, ledger.contract):
        act = LEDGER_STRIKES.get(target.injection.kind)
        if act is not None:
            places = act(ledger, strike)
            ledger.settle()
            hours = ledger.hours_of(places)
            applied.append(_applied(target, ledger.contract, len(places), hours))
    return applied


def _strikes(world: World, contract: Contract) -> list[tuple[Target, Strike]]:
    if contract.is_silent:
        return []
    return [
        (target, _strike(world, contract, target))
        for target in world.targets
        if contract.index in target.contracts
    ]


def _strike(world: World, contract: Contract, target: Target) -> Strike:
    seed, size = world.plan.seed, target.injection.size
    place = contract.district.index if target.is_by_district else contract.index
    rng = generator(seed, Stream.INJECTION, target.number, place)
    return Strike(size, contract, world.plan.days, target.start_ms, rng)


def _applied(
    target: Target, contract: Contract, events: int, hours: tuple[str, ...]
) -> Applied:
    injection = target.injection
    return Applied(injection.kind, contract.contract_id, injection.size, events, hours)


def _bring(flow: Flow, issued: Ints, cast: Ints) -> Ints:
    """Let idle people come at `issued`, as many as there are; return when they came."""
    count = min(len(issued), len(flow.idle))
    flow.person = np.concatenate([flow.person, flow.idle[:count]])
    flow.issued = np.concatenate([flow.issued, issued[:count]])
    flow.cast = np.concatenate([flow.cast, cast[:count]])
    flow.idle = flow.idle[count:]
    return issued[:count]


def _crowd(flow: Flow, strike: Strike, start: int, end: int, count: int) -> Ints:
    """Bring `count` people within [start, end), issue and vote."""
    rng = strike.rng
    delays = rng.integers(15 * SECOND, 100 * SECOND, size=count)
    issued = rng.integers(start, end - 2 * MINUTE, size=count)
    return _bring(flow, issued, issued + delays)


def _burst(flow: Flow, strike: Strike) -> Ints:
    start = strike.daytime_hour()
    return _crowd(flow, strike, start, start + HOUR, strike.of_register())


def _night(flow: Flow, strike: Strike) -> Ints:
    night = 24 * int(strike.rng.integers(strike.days - 1))
    start, end = (strike.hour(night + hour) for hour in NIGHT)
    return _crowd(flow, strike, start, end, strike.of_register())


def _slow(flow: Flow, strike: Strike) -> Ints:
    """Raise the flow of a day's twelve hours that the idle people can fill.

    The first day carries three quarters of a vote: idle people rarely suffice there.
    """
    wanted = {}
    close = strike.contract.district.closes_ms
    for hour in range(2, 24 * strike.days):
        start = strike.hour(hour)
        if start + SLOW_HOURS * HOUR <= close and hour % 24 <= 3:
            inside = _inside(flow.issued, start, start + SLOW_HOURS * HOUR)
            wanted[start] = round(strike.size / 100 * int(inside.sum()))
    if not wanted:
        wanted[strike.hour(1)] = round(strike.size / 100 * len(flow.issued))
    possible = [start for start, count in wanted.items() if count <= len(flow.idle)]
    start = int(strike.rng.choice(possible or [min(wanted, key=lambda at: wanted[at])]))
    return _raise(flow, strike, start, SLOW_HOURS, wanted[start])


def _raise(flow: Flow, strike: Strike, start: int, hours: int, count: int) -> Ints:
    """Bring `count` people within `hours`, at the times at which others come anyway."""
    rng = strike.rng
    end = min(start + hours * HOUR, strike.contract.district.closes_ms)
    usual = flow.issued[_inside(flow.issued, start, end)]
    if len(usual) == 0:
        return _crowd(flow, strike, start, end, max(1, count))
    jitter = rng.integers(-3 * MINUTE, 3 * MINUTE, size=max(1, count))
    issued = np.clip(
        rng.choice(usual, size=max(1, count)) + jitter, start, end - 2 * MINUTE
    )
    delays = rng.integers(15 * SECOND, 100 * SECOND, size=len(issued))
    return _bring(flow, issued, issued + delays)


def _inside(
    moments: Ints, start: int, end: int
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return (moments >= start) & (moments < end)


def _common(flow: Flow, strike: Strike) -> Ints:
    """Raise the one hour that the injection chose for everybody."""
    start = strike.start_ms or strike.hour(1)
    count = int(_inside(flow.issued, start, start + HOUR).sum())
    return _raise(flow, strike, start, 1, round(strike.size / 100 * count))


def _outage(flow: Flow, strike: Strike) -> Ints:
    """Drop issues and votes of two daytime hours; those people never come back."""
    start = strike.daytime_hour(room=OUTAGE_HOURS)
    end = start + OUTAGE_HOURS * HOUR
    is_hit = strike.rng.random(len(flow.issued)) < strike.size / 100
    is_gone = is_hit & _inside(flow.issued, start, end)
    is_unheard = is_hit & ~is_gone & _inside(flow.cast, start, end)
    moments = np.concatenate([flow.issued[is_gone], flow.cast[is_unheard]])
    flow.cast[is_unheard] = NEVER
    flow.idle = np.concatenate([flow.idle, flow.person[is_gone]])
    flow.person, flow.issued, flow.cast = (
        column[~is_gone] for column in (flow.person, flow.issued, flow.cast)
    )
    return moments


def _bot(flow: Flow, strike: Strike) -> Ints:
    """Let part of eight hours' people come at one spacing, to the millisecond."""
    start = strike.hour(int(strike.rng.integers(1, 4)))
    length = min(BOT_HOURS * HOUR, strike.contract.district.closes_ms - start)
    comes = _inside(flow.issued, start, start + length) & (flow.cast != NEVER)
    inside = np.flatnonzero(comes)
    chosen = strike.rng.permutation(inside)[: round(len(inside) * strike.size / 100)]
    spacing = length // max(1, len(chosen))
    moments = start + spacing * np.arange(len(chosen), dtype=np.int64)
    flow.issued[chosen] = moments
    flow.cast[chosen] = moments + BOT_DELAY_MS
    return moments


def _suppress(flow: Flow, strike: Strike) -> Ints:
    """Take away votes until SIZE % of the issued bulletins are not cast."""
    cast = np.flatnonzero(flow.cast != NEVER)
    keep = round(len(flow.cast) * (1 - strike.size / 100))
    gone = strike.rng.permutation(cast)[: max(0, len(cast) - keep)]
    moments: Ints = flow.cast[gone]
    flow.cast[gone] = NEVER
    return moments


def _come_too_late(flow: Flow, strike: Strike) -> Ints:
    """Let SIZE people come after the close: idle ones, then some who had come in time."""
    count, close = int(strike.size), strike.contract.district.closes_ms
    issued = close + strike.rng.integers(40 * MINUTE, 100 * MINUTE, size=count)
    late = _bring(flow, issued, issued + MINUTE)
    moved = strike.rng.permutation(len(flow.person) - len(late))[: count - len(late)]
    flow.issued[moved] = issued[len(late) : len(late) + len(moved)]
    flow.cast[moved] = flow.issued[moved] + MINUTE
    return np.concatenate([late, flow.issued[moved]])


def _chosen(places: Ints, strike: Strike) -> Ints:
    return strike.rng.permutation(places)[: int(strike.size)]


def _replay(ledger: Ledger, strike: Strike) -> Ints:
    places = _chosen(ledger.plain(*BOTH), strike)
    lines = ledger.lines["at"][ledger.line_of(places)]
    ledger.tell(places, lines + strike.rng.integers(SECOND, HOUR, size=len(places)))
    return places


def _rewrite(ledger: Ledger, strike: Strike) -> Ints:
    """Tell transactions again with another time, later in the same file.

    In the same file, because the content loaded first counts: the truth must not depend
    on the order in which files are loaded.
    """
    places = _chosen(ledger.plain(*BOTH), strike)
    at = ledger.lines["at"][ledger.line_of(places)]
    ledger.tell(places, (at // HOUR + 1) * HOUR - 1, look=OTHER_TIME)
    return places


def _vote_twice(ledger: Ledger, strike: Strike) -> Ints:
    votes = _chosen(ledger.plain(Operation.VOTE_CAST), strike)
    return add_revotes(ledger, votes, strike.rng)


def _stuff(ledger: Ledger, strike: Strike) -> Ints:
    """Add votes of new keys in four hours until votes exceed issues by SIZE %."""
    account = ledger.expected()
    gap = account.bulletins_issued - account.votes_cast
    count = max(0, gap) + strike.of_register()
    end = ledger.contract.district.closes_ms - STUFFING_HOURS * HOUR
    moments = strike.rng.integers(end - STUFFING_HOURS * HOUR, end, size=count)
    # Numbers beyond the register: keys that no voter of the register has.
    keys = ledger.contract.district.voters + np.arange(count, dtype=np.int64)
    votes = transactions_at(np.sort(moments), Operation.VOTE_CAST, subject=keys)
    places = ledger.add(votes)
    ledger.tell(places, votes["ts"])
    return places


def _sign_by_another(ledger: Ledger, strike: Strike) -> Ints:
    places = _chosen(ledger.plain(Operation.BULLETIN_ISSUED), strike)
    ledger.transactions["look"][places] |= FOREIGN_SENDER
    return places


def _rewrite_files(ledger: Ledger, strike: Strike) -> Ints:
    """Publish hour files again, one row changed and another gone."""
    where = ledger.line_of(ledger.plain(*BOTH))
    hours, counts = np.unique(
        ledger.lines["at"][where] // HOUR * HOUR, return_counts=True
    )
    touched = [np.zeros(0, dtype=np.int64)]
    usable = hours[(counts >= 2) & ~np.isin(hours, list(ledger.touched_hours))]
    for hour in strike.rng.permutation(usable)[: int(strike.size)].tolist():
        file = np.flatnonzero(ledger.lines["at"] // HOUR * HOUR == hour)
        changed, gone = strike.rng.permutation(np.intersect1d(file, where))[:2].tolist()
        lines = ledger.lines.copy()
        lines["look"][changed] |= OTHER_TIME
        ledger.republished.append(Republished(hour, lines[file[file != gone]]))
        touched.append(ledger.lines["tx"][[changed, gone]])
    return np.concatenate(touched)


FLOW_STRIKES: dict[str, FlowStrike] = {
    "burst": _burst,
    "night": _night,
    "slow": _slow,
    "outage": _outage,
    "bot": _bot,
    "sync_region": _common,
    "sync_peers": _common,
    "suppression": _suppress,
    "out_of_window": _come_too_late,
}
LEDGER_STRIKES: dict[str, LedgerStrike] = {
    "replay": _replay,
    "rewrite": _rewrite,
    "double_vote": _vote_twice,
    "stuffing": _stuff,
    "foreign_issuer": _sign_by_another,
    "rewritten_file": _rewrite_files,
}
