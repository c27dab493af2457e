"""Who votes where: regions, districts, contracts, and which of them get what fault."""

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from transactions.simulator.kinds import CONTRACT_FAULTS, Injection
from transactions.simulator.names import (
    REGIONS,
    Region,
    district_name,
    long_election_name,
)
from transactions.simulator.plan import (
    LARGEST_DISTRICT,
    PRESETS,
    SMALLEST_DISTRICT,
    ElectionPlan,
)
from transactions.simulator.randomness import Stream, generator, key_of
from transactions.simulator.text import transaction_ids
from transactions.simulator.times import HOUR, MINUTE, hour_in, to_ms

# One, two or three ballots handed out together to the same people (DOMAIN 6.1).
BALLOT_SHARES = (0.55, 0.30, 0.15)
SILENT_SHARE = 0.004  # contracts without a single ballot: 8 of 2,103 in 2024
INJECTED_SHARE = 0.05  # of the constituencies, per kind (ANOMALIES 5.2)
FAULTY_SHARE = 0.02
PEER_SHARE = 0.35
# Below this a share of the register is less than one person.
SMALLEST_INJECTED = 30
# Voting ends so long after issuing: the last real votes came 10 to 15 minutes after.
GRACE_MS = 20 * MINUTE
LAST_VOTE_MS = 14 * MINUTE
# Rows that are neither issue, vote nor removal: creation, list, start and stop.
SETUP_ROWS = 6
ROWS_PER_VOTER = 0.90 * (1 + 0.975) + 0.009 + 1 / 150
# Voting hours in which a common shock or a synchronous injection can be seen.
DAYTIME = range(1, 10)


@dataclass(frozen=True, slots=True)
class District:
    """One electorate: the people who get one ballot of each of its contracts."""

    index: int
    region: Region
    name: str
    voters: int
    opens_ms: int
    closes_ms: int
    key: int

    @property
    def zone(self) -> ZoneInfo:
        """Return the zone whose hours are cut."""
        return ZoneInfo(self.region.timezone)


@dataclass(frozen=True, slots=True)
class Contract:
    """One ballot of one district."""

    index: int
    contract_id: str
    key: int
    district: District
    election: str
    name: str
    ballot: int
    options: int
    is_silent: bool
    # Faults of the table `kinds.FAULTS` that strike this contract as a whole.
    faults: frozenset[str]

    @property
    def folder(self) -> str:
        """Return the contract's folder in the tree of an export, `/` between parts."""
        return "/".join(
            (self.district.region.folder, self.election, self.name, self.contract_id)
        )


@dataclass(frozen=True, slots=True)
class Target:
    """Where one injection strikes; `start_ms` where all of them strike in one hour."""

    injection: Injection
    number: int
    contracts: frozenset[int]
    start_ms: int | None = None
    # Whether the contracts of one district are struck alike: same hours, same people.
    is_by_district: bool = False


@dataclass(frozen=True, slots=True)
class World:
    """A whole election before any row of it exists."""

    plan: ElectionPlan
    contracts: tuple[Contract, ...]
    # Contracts whose files are published outside the tree (fault unknown_contract).
    strangers: tuple[Contract, ...]
    targets: tuple[Target, ...]
    # Five-minute buckets, by their start, in which everybody comes at once.
    jumps: tuple[tuple[int, float], ...]
    # When no vote arrives anywhere; None without the fault outage.
    outage: tuple[int, int] | None
    # First and last hour for which every contract publishes a file.
    first_hour_ms: int
    last_hour_ms: int

    @property
    def elections(self) -> tuple[str, ...]:
        """Return the names of the elections, the main one first."""
        return tuple(dict.fromkeys(contract.election for contract in self.contracts))


def build(plan: ElectionPlan) -> World:
    """Lay out the election of `plan`; no row is made yet."""
    districts = _districts(plan)
    skeleton = _ballots(plan, districts)
    order = _selection_order(plan, skeleton)
    targets = _targets(plan, skeleton, order)
    faults = _contract_faults(plan, order, targets)
    contracts = tuple(
        _contract(plan, index, district, ballot, faults[index])
        for index, (district, ballot) in enumerate(skeleton)
    )
    opens = min(district.opens_ms for district in districts)
    closes = max(district.closes_ms for district in districts)
    return World(
        plan=plan,
        contracts=contracts,
        strangers=_strangers(plan, districts, len(contracts)),
        targets=targets,
        jumps=_jumps(plan, opens, closes),
        outage=_outage(plan),
        first_hour_ms=opens // HOUR * HOUR,
        last_hour_ms=(closes + GRACE_MS) // HOUR * HOUR,
    )


def _districts(plan: ElectionPlan) -> list[District]:
    """Return more districts than are needed: one per constituency."""
    rng = generator(plan.seed, Stream.WORLD, 0)
    median, sigma = PRESETS[plan.preset]
    sizes = median * np.exp(sigma * rng.standard_normal(plan.constituencies))
    choices = rng.integers(1 << 16, size=plan.constituencies).tolist()
    regions = _regions(plan)
    voters = _scaled(sizes, _ballot_counts(plan), plan.transactions)
    return [
        _district(plan, index, regions[index % len(regions)], voters[index], choice)
        for index, choice in enumerate(choices[: len(voters)])
    ]


def _regions(plan: ElectionPlan) -> tuple[Region, ...]:
    """Return about one region per four constituencies, in the zone the plan wants."""
    count = min(len(REGIONS), max(1, plan.constituencies // 4))
    if plan.timezone is None:
        return REGIONS[:count]
    return tuple(
        Region(region.code, region.name, plan.timezone) for region in REGIONS[:count]
    )


def _ballot_counts(plan: ElectionPlan) -> list[int]:
    """Return the number of ballots of each district; they add up to the plan's number."""
    rng = generator(plan.seed, Stream.WORLD, 1)
    drawn = rng.choice((1, 2, 3), size=plan.constituencies, p=BALLOT_SHARES)
    counts: list[int] = []
    left = plan.constituencies
    for count in drawn.tolist():
        if left == 0:
            break
        counts.append(min(count, left))
        left -= counts[-1]
    return counts


def _scaled(
    sizes: np.ndarray[tuple[int], np.dtype[np.float64]],
    ballots: list[int],
    transactions: int | None,
) -> list[int]:
    """Return whole electorates, scaled until about `transactions` rows come out of them."""
    sizes = sizes[: len(ballots)]
    factor = 1.0
    voters = _clipped(sizes)
    # Clipping and rounding answer less than in proportion; few steps settle it.
    for _ in range(30 if transactions else 0):
        rows = float(np.sum(np.array(ballots) * voters) * ROWS_PER_VOTER)
        wanted = max(1.0, float(transactions or 0) - SETUP_ROWS * sum(ballots))
        factor *= wanted / rows
        voters = _clipped(sizes * factor)
    return [int(size) for size in voters.tolist()]


def _clipped(
    sizes: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.clip(np.rint(sizes), SMALLEST_DISTRICT, LARGEST_DISTRICT)


def _district(
    plan: ElectionPlan, index: int, region: Region, voters: int, choice: int
) -> District:
    opens = plan.opening
    closes = opens + timedelta(days=plan.days - 1, hours=12)
    return District(
        index=index,
        region=region,
        name=district_name(number=index + 1, choice=choice),
        voters=voters,
        opens_ms=_wall_clock(opens, region),
        closes_ms=_wall_clock(closes, region),
        key=key_of(plan.seed, Stream.DISTRICT, index),
    )


def _wall_clock(moment: datetime, region: Region) -> int:
    return to_ms(moment.replace(tzinfo=ZoneInfo(region.timezone)))


def _ballots(
    plan: ElectionPlan, districts: list[District]
) -> list[tuple[District, int]]:
    """Return (district, number of the ballot from 1) of every contract."""
    return [
        (district, ballot)
        for district, count in zip(districts, _ballot_counts(plan), strict=True)
        for ballot in range(1, count + 1)
    ]


def _contract(
    plan: ElectionPlan,
    index: int,
    district: District,
    ballot: int,
    faults: frozenset[str],
) -> Contract:
    key = key_of(plan.seed, Stream.CONTRACT, index)
    rng = generator(plan.seed, Stream.WORLD, 2, index)
    is_long = "long_names" in faults
    return Contract(
        index=index,
        # A contract is addressed by the id of the transaction that created it.
        contract_id=transaction_ids(key=key, serials=np.zeros(1, dtype=np.int64))[0],
        key=key,
        district=district,
        election=long_election_name(plan.name) if is_long else plan.name,
        name=district.name if ballot == 1 else f"{district.name}_{ballot}",
        ballot=ballot,
        # Candidates of a district, or the lists of a second ballot.
        options=min(16, 2 + int(rng.poisson(2.4 if ballot == 1 else 4.2))),
        is_silent=bool(rng.random() < SILENT_SHARE),
        faults=faults,
    )


def _strangers(
    plan: ElectionPlan, districts: list[District], count: int
) -> tuple[Contract, ...]:
    if "unknown_contract" not in plan.faults:
        return ()
    return (_contract(plan, count, districts[0], 9, frozenset()),)


def _selection_order(
    plan: ElectionPlan, skeleton: list[tuple[District, int]]
) -> list[int]:
    """Return the contracts that can bear an injection, in random order.

    Injections take theirs from the front, faults from the back, so that they meet only
    in a very small election, and each keeps its contracts whatever else is switched on.
    """
    drawn = generator(plan.seed, Stream.SELECTION).permutation(len(skeleton)).tolist()
    able = [i for i in drawn if skeleton[i][0].voters >= SMALLEST_INJECTED]
    return able or sorted(drawn, key=lambda i: -skeleton[i][0].voters)


def _slice(order: list[int], start: int, share: float, total: int) -> tuple[int, ...]:
    """Return `share` of `total` contracts from `order`, at least one, going round."""
    count = min(len(order), max(1, round(share * total)))
    return tuple(order[(start + step) % len(order)] for step in range(count))


def _targets(
    plan: ElectionPlan, skeleton: list[tuple[District, int]], order: list[int]
) -> tuple[Target, ...]:
    targets: list[Target] = []
    taken = 0
    for number, injection in enumerate(plan.injections):
        rng = generator(plan.seed, Stream.INJECTION, number)
        if injection.kind.startswith("sync_"):
            targets.append(_common_target(injection, number, plan, skeleton, rng))
            continue
        chosen = _slice(order, taken, INJECTED_SHARE, len(skeleton))
        taken += len(chosen)
        targets.append(Target(injection, number, frozenset(chosen)))
    return tuple(targets)


def _common_target(
    injection: Injection,
    number: int,
    plan: ElectionPlan,
    skeleton: list[tuple[District, int]],
    rng: np.random.Generator,
) -> Target:
    """Choose one hour for a whole region, or for a third of the largest zone's peers."""
    by_region = injection.kind == "sync_region"
    groups = [d.region.code if by_region else d.region.timezone for d, _ in skeleton]
    sizes = Counter(groups)
    # Among equals the first of the list, whatever a hash says.
    largest = max(dict.fromkeys(groups), key=lambda group: sizes[group])
    members = [index for index, group in enumerate(groups) if group == largest]
    count = len(members) if by_region else max(1, round(PEER_SHARE * len(members)))
    chosen = rng.permutation(members)[:count].tolist()
    district = skeleton[members[0]][0]
    day = int(rng.integers(plan.days))
    hours = 24 * day + int(rng.choice(list(DAYTIME)))
    start = hour_in(district.zone, district.opens_ms) + hours * HOUR
    return Target(injection, number, frozenset(chosen), start)


def _contract_faults(
    plan: ElectionPlan, order: list[int], targets: tuple[Target, ...]
) -> list[frozenset[str]]:
    """Return the faults of every contract as a whole.

    Every fault has its place in the order whether it is on or off.
    """
    found: list[set[str]] = [set() for _ in range(plan.constituencies)]
    for place, fault in enumerate(CONTRACT_FAULTS):
        if fault not in plan.faults:
            continue
        count = max(1, math.ceil(FAULTY_SHARE * plan.constituencies))
        for index in _slice(
            order[::-1], place * count, FAULTY_SHARE, plan.constituencies
        ):
            found[index].add(fault)
    for target in targets:
        if target.injection.kind == "double_vote":
            # A second vote is a violation only where revoting is blocked.
            for index in target.contracts:
                found[index].discard("revote")
    return [frozenset(faults) for faults in found]


def _jumps(
    plan: ElectionPlan, opens: int, closes: int
) -> tuple[tuple[int, float], ...]:
    """Return three to five buckets with 39 to 57 % more of everything, nationwide."""
    rng = generator(plan.seed, Stream.WORLD, 3)
    count = int(rng.integers(3, 6))
    buckets = rng.choice((closes - opens) // (5 * MINUTE), size=count, replace=False)
    factors = 1 + rng.uniform(0.39, 0.57, size=count)
    first = opens // (5 * MINUTE) * 5 * MINUTE
    return tuple(
        (first + int(bucket) * 5 * MINUTE, float(factor))
        for bucket, factor in zip(buckets.tolist(), factors.tolist(), strict=True)
    )


def _outage(plan: ElectionPlan) -> tuple[int, int] | None:
    if "outage" not in plan.faults:
        return None
    # Five hours after the opening of the first region: every zone is voting or about to.
    start = _wall_clock(plan.opening, _regions(plan)[0]) + 5 * HOUR
    return start, start + 90 * MINUTE
