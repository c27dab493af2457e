"""What must come out of a simulated election, by the simulator's own account."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from transactions.simulator.hours import contract_ledger
from transactions.simulator.ledger import Applied, Expected, Ledger
from transactions.simulator.times import iso
from transactions.simulator.world import Contract, World

HOUR_FIGURES = (
    "bulletins_issued",
    "votes_cast",
    "revotes",
    "transaction_count",
    "failed_count",
)


@dataclass(frozen=True, slots=True)
class ContractTruth:
    """One contract and what it must show once all of its files are loaded."""

    contract_id: str
    region: str
    election: str
    district: str
    name: str
    timezone: str
    opens_at: str
    closes_at: str
    expected: Expected


@dataclass(slots=True)
class Truth:
    """What was simulated and what must be found."""

    plan: dict[str, Any]
    contracts: list[ContractTruth] = field(default_factory=list)
    # Contracts whose files wait until somebody registers them.
    unknown_contracts: list[ContractTruth] = field(default_factory=list)
    injections: list[Applied] = field(default_factory=list)
    faults: list[Applied] = field(default_factory=list)
    # Files and their rows as published, later versions included.
    files: int = 0
    rows: int = 0

    def note(self, ledger: Ledger, *, is_known: bool = True) -> None:
        """Add the account of one contract."""
        account = _contract_truth(ledger.contract, ledger.expected())
        (self.contracts if is_known else self.unknown_contracts).append(account)
        self.injections.extend(ledger.injections)
        self.faults.extend(ledger.faults)

    def as_json(self) -> dict[str, Any]:
        """Return the truth with contracts by id, their totals beside their names."""
        return {
            "plan": self.plan,
            "files": self.files,
            "rows": self.rows,
            # What the five numbers of an hour are.
            "hour_figures": list(HOUR_FIGURES),
            "contracts": _by_id(self.contracts),
            "unknown_contracts": _by_id(self.unknown_contracts),
            "injections": [_event(item, "kind") for item in self.injections],
            "faults": [_event(item, "fault") for item in self.faults],
        }

    def write(self, path: Path) -> None:
        """Write the truth as JSON."""
        text = json.dumps(self.as_json(), ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")


def expect(world: World) -> Truth:
    """Return the truth of an election without writing a row of it; no files counted."""
    truth = empty_truth(world)
    for contract in world.contracts:
        truth.note(contract_ledger(world, contract))
    for contract in world.strangers:
        truth.note(contract_ledger(world, contract), is_known=False)
    return truth


def empty_truth(world: World) -> Truth:
    """Return a truth that names the plan and no contract yet."""
    plan = world.plan
    return Truth(
        {
            "slug": plan.slug,
            "name": plan.name,
            "elections": list(world.elections),
            "constituencies": plan.constituencies,
            "transactions": plan.transactions,
            "days": plan.days,
            "opening": plan.opening.isoformat(),
            "timezone": plan.timezone,
            "seed": plan.seed,
            "preset": plan.preset,
            "injections": [str(item) for item in plan.injections],
            "faults": sorted(plan.faults),
        }
    )


def _contract_truth(contract: Contract, expected: Expected) -> ContractTruth:
    district = contract.district
    return ContractTruth(
        contract_id=contract.contract_id,
        region=district.region.folder,
        election=contract.election,
        district=district.name,
        name=contract.name,
        timezone=district.region.timezone,
        opens_at=iso(district.opens_ms),
        closes_at=iso(district.closes_ms),
        expected=expected,
    )


def _by_id(contracts: Iterable[ContractTruth]) -> dict[str, dict[str, Any]]:
    found = {}
    for contract in contracts:
        fields = asdict(contract)
        contract_id, expected = fields.pop("contract_id"), fields.pop("expected")
        found[contract_id] = {**fields, **expected}
    return found


def _event(item: Applied, label: str) -> dict[str, Any]:
    fields = asdict(item)
    name, size = fields.pop("name"), fields.pop("size")
    return {label: name, **({} if size is None else {"size": size}), **fields}
