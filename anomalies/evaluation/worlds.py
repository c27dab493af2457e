"""Simulated elections as the rules see them: counts per constituency and hour.

The generator is that of `simulate_election`; what it writes as files is only counted here.
A seed gives the same people with and without an injection, so only struck constituencies
are made again.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

import numpy as np

from anomalies.rules.ballots import electorates
from anomalies.rules.counts import Floats
from anomalies.rules.panels import Ints, Panel, Truths
from transactions.operations import Operation
from transactions.simulator import ElectionPlan, World, build, parse_injection
from transactions.simulator.hours import contract_ledger
from transactions.simulator.ledger import Ledger
from transactions.simulator.times import HOUR
from transactions.simulator.world import GRACE_MS, District, Target

SERIES = ("bulletins_issued", "votes_cast")
OPERATIONS = dict(
    zip(SERIES, (Operation.BULLETIN_ISSUED, Operation.VOTE_CAST), strict=True)
)
# Hours of the vote, 08:00 on the first day to 20:00 on the third.
VOTING_HOURS = 60


@dataclass(frozen=True, slots=True)
class Strike:
    """One injection in one constituency, with the columns of its first and last hour."""

    injection: str
    row: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Acts:
    """What happened in one series of a constituency, in order."""

    # Milliseconds from the start of the election's first hour.
    ms: Ints
    ballots: Ints

    def counts(self, hours: int) -> Ints:
        """Return the ballots of each hour of the election."""
        column = self.ms // HOUR
        is_inside = (column >= 0) & (column < hours)
        found = np.bincount(column[is_inside], self.ballots[is_inside], hours)
        return np.asarray(found, np.int64)


@dataclass(frozen=True, slots=True)
class Election:
    """Both series of an election, and what was put into it on purpose."""

    panels: dict[str, Panel]
    strikes: tuple[Strike, ...] = ()
    # By row and series; of an election with strikes, only of the rows that are struck.
    acts: Mapping[int, dict[str, Acts]] = field(default_factory=dict)
    # Calls that were refused, and accepted, by row and hour; none of one with strikes.
    calls: Ints = field(default_factory=lambda: np.zeros((2, 0, 0), np.int64))

    @property
    def is_struck(self) -> Truths:
        """Tell which constituencies have an injection."""
        found = np.zeros(len(self.typical), bool)
        found[[strike.row for strike in self.strikes]] = True
        return found

    @property
    def typical(self) -> Floats:
        """Return the ballots of an hour of each constituency, on average over the vote."""
        issued = self.panels[SERIES[0]]
        ballots: Floats = issued.counts.sum(axis=1) / VOTING_HOURS
        return ballots

    @property
    def has_twin(self) -> Truths:
        """Tell which share their electorate with another contract."""
        members = self.panels[SERIES[0]].electorates
        _, place, sizes = np.unique(members, return_inverse=True, return_counts=True)
        return np.asarray(sizes[place] > 1, bool)

    def with_acts(
        self, acts: Mapping[int, dict[str, Acts]], strikes: Iterable[Strike]
    ) -> "Election":
        """Return the election with other acts in some rows."""
        counts = {name: panel.counts.copy() for name, panel in self.panels.items()}
        for row, series in acts.items():
            for name, found in series.items():
                counts[name][row] = found.counts(counts[name].shape[1])
        return Election(self._with(counts), tuple(strikes), acts)

    def with_counts(
        self, counts: Mapping[str, Ints], strikes: Iterable[Strike]
    ) -> "Election":
        """Return the election with other counts."""
        return Election(self._with(counts), tuple(strikes))

    def _with(self, counts: Mapping[str, Ints]) -> dict[str, Panel]:
        return {
            name: replace(panel, counts=counts[name])
            for name, panel in self.panels.items()
        }


class Laboratory:
    """One election, without anything in it and with whatever is asked for."""

    def __init__(self, *, preset: str, seed: int, constituencies: int) -> None:
        self.preset, self.seed, self.constituencies = preset, seed, constituencies

    def _world(self, injections: Iterable[str] = ()) -> World:
        return build(
            ElectionPlan(
                slug="evaluation",
                name="Evaluation",
                constituencies=self.constituencies,
                preset=self.preset,
                seed=self.seed,
                injections=tuple(parse_injection(item) for item in injections),
            )
        )

    def rng(self, *path: int) -> np.random.Generator:
        """Return a generator of its own for what the simulator does not choose."""
        return np.random.default_rng([self.seed, *path])

    @cached_property
    def world(self) -> World:
        """Return the election without any injection, before any row of it exists."""
        return self._world()

    @cached_property
    def clean(self) -> Election:
        """Return the election without any injection."""
        world, acts, voters, calls = self.world, {}, [], []
        for row, contract in enumerate(world.contracts):
            ledger = contract_ledger(world, contract)
            acts[row] = _acts(world, ledger)
            calls.append(_calls(world, ledger))
            voters.append(float(ledger.expected().registered_voters))
        panels = {
            name: _panel(
                world,
                np.stack(
                    [series[name].counts(_width(world)) for series in acts.values()]
                ),
                np.array(voters),
            )
            for name in SERIES
        }
        return Election(panels, acts=acts, calls=np.stack(calls, axis=1))

    @cached_property
    def regions(self) -> Ints:
        """Return the number of each constituency's region."""
        codes = [contract.district.region.code for contract in self.world.contracts]
        _, number = np.unique(codes, return_inverse=True)
        return np.asarray(number, np.int64)

    def struck(self, *injections: str, share: float = 1.0) -> Election:
        """Return the election with injections, each in 5 % of the constituencies.

        Of these only a random `share` is struck.
        """
        rng = np.random.default_rng(self.seed)
        return self._struck(self._world(injections), lambda: rng.random() < share)

    def struck_rows(
        self,
        injection: str,
        rows: Iterable[int],
        *,
        is_by_district: bool = False,
    ) -> Election:
        """Return the election with an injection in these constituencies.

        `is_by_district` strikes the contracts of one district alike.
        """
        target = Target(
            parse_injection(injection),
            0,
            frozenset(int(row) for row in rows),
            is_by_district=is_by_district,
        )
        return self._struck(replace(self.world, targets=(target,)), lambda: True)

    def _struck(self, world: World, is_chosen: Callable[[], bool]) -> Election:
        acts: dict[int, dict[str, Acts]] = {}
        strikes = []
        for target in world.targets:
            for row in sorted(target.contracts):
                if not is_chosen():
                    continue
                ledger = contract_ledger(world, world.contracts[row])
                touched = _touched(world, ledger)
                if not touched:
                    continue
                acts[row] = _acts(world, ledger)
                strikes.append(
                    Strike(str(target.injection), row, min(touched), max(touched))
                )
        return self.clean.with_acts(acts, strikes)


def _acts(world: World, ledger: Ledger) -> dict[str, Acts]:
    found = {}
    for name, operation in OPERATIONS.items():
        moments, ballots = ledger.counted(operation)
        found[name] = Acts(moments - world.first_hour_ms, ballots)
    return found


def _calls(world: World, ledger: Ledger) -> Ints:
    """Return the calls of each hour, refused and accepted."""
    moments, is_refused = ledger.calls()
    acts = (
        Acts(moments[chosen] - world.first_hour_ms, np.ones(chosen.sum(), np.int64))
        for chosen in (is_refused, ~is_refused)
    )
    return np.stack([found.counts(_width(world)) for found in acts])


def _touched(world: World, ledger: Ledger) -> list[int]:
    """Return the columns of the hours in which the contract was struck."""
    return [
        _column(world, hour)
        for item in ledger.injections
        if item.events > 0
        for hour in item.hours
    ]


def _column(world: World, hour: str) -> int:
    moment = datetime.fromisoformat(hour).timestamp() * 1000
    return int(moment - world.first_hour_ms) // HOUR


def _width(world: World) -> int:
    return (world.last_hour_ms - world.first_hour_ms) // HOUR + 1


def _last_hour(world: World, district: District) -> int:
    """Return the column in which the last votes come: some minutes after the close."""
    return (district.closes_ms + GRACE_MS - world.first_hour_ms) // HOUR


def _panel(world: World, counts: Ints, voters: Floats) -> Panel:
    districts = [contract.district for contract in world.contracts]
    opens = np.array(
        [(district.opens_ms - world.first_hour_ms) // HOUR for district in districts]
    )
    return Panel(
        counts=counts,
        is_known=np.ones(counts.shape, bool),
        voters=voters,
        # Who opens at the same instant is in the same zone.
        groups=opens,
        electorates=electorates(
            np.array([district.index for district in districts]), voters
        ),
        opens=opens,
        closes=np.array([_last_hour(world, district) for district in districts]),
        first_clock=(world.plan.opening.hour - opens) % 24,
    )
