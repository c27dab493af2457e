"""Simulated elections as the rules see them: counts per constituency and hour.

The generator is that of `simulate_election`; what it writes as files is only counted here.
A seed gives the same people with and without an injection, so only struck constituencies
are made again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import numpy as np

from anomalies.rules.ballots import electorates
from anomalies.rules.counts import Floats
from anomalies.rules.panels import Ints, Panel, Truths
from transactions.simulator import ElectionPlan, World, build, parse_injection
from transactions.simulator.hours import contract_ledger
from transactions.simulator.ledger import Expected
from transactions.simulator.times import HOUR
from transactions.simulator.world import GRACE_MS, Contract, District

SERIES = ("bulletins_issued", "votes_cast")
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
class Election:
    """Both series of an election, and what was put into it on purpose."""

    panels: dict[str, Panel]
    strikes: tuple[Strike, ...] = ()

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

    @cached_property
    def clean(self) -> Election:
        """Return the election without any injection."""
        world = self._world()
        accounts = [_account(world, contract)[0] for contract in world.contracts]
        voters = np.array([account.registered_voters for account in accounts], float)
        counts = np.stack([_columns(world, account) for account in accounts])
        return Election(
            {
                name: _panel(world, counts[:, place], voters)
                for place, name in enumerate(SERIES)
            }
        )

    def struck(self, *injections: str, share: float = 1.0) -> Election:
        """Return the election with injections, each in 5 % of the constituencies.

        Of these only a random `share` is struck.
        """
        world = self._world(injections)
        rng = np.random.default_rng(self.seed)
        counts = {
            name: panel.counts.copy() for name, panel in self.clean.panels.items()
        }
        strikes = []
        for target in world.targets:
            for row in sorted(target.contracts):
                if rng.random() >= share:
                    continue
                account, hours = _account(world, world.contracts[row])
                if not hours:
                    continue
                columns = _columns(world, account)
                for place, name in enumerate(SERIES):
                    counts[name][row] = columns[place]
                touched = [_column(world, hour) for hour in hours]
                strikes.append(
                    Strike(str(target.injection), row, min(touched), max(touched))
                )
        panels = {
            name: replace(panel, counts=counts[name])
            for name, panel in self.clean.panels.items()
        }
        return Election(panels, tuple(strikes))


def _account(world: World, contract: Contract) -> tuple[Expected, list[str]]:
    """Return what the contract adds up to, and the hours in which it was struck."""
    ledger = contract_ledger(world, contract)
    hours = [
        hour for item in ledger.injections if item.events > 0 for hour in item.hours
    ]
    return ledger.expected(), hours


def _column(world: World, hour: str) -> int:
    moment = datetime.fromisoformat(hour).timestamp() * 1000
    return int(moment - world.first_hour_ms) // HOUR


def _width(world: World) -> int:
    return (world.last_hour_ms - world.first_hour_ms) // HOUR + 1


def _columns(world: World, account: Expected) -> Ints:
    """Return issues and votes per hour of the election."""
    found = np.zeros((len(SERIES), _width(world)), dtype=np.int64)
    for hour, figures in account.hours.items():
        column = _column(world, hour)
        if 0 <= column < found.shape[1]:
            found[:, column] += figures[: len(SERIES)]
    return found


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
