"""A faithful synthetic election: what the portal would publish, and what is true of it.

    world = build(ElectionPlan(slug="demo", name="…", constituencies=40, seed=7))
    truth = write_files(world, Path("exports"), layout="zips")

The same plan gives the same bytes, in whatever order contracts are made. Everything in it
is invented but its proportions, which are those of real votes (docs: data sources).
Nothing here knows Django or the database.
"""

from transactions.simulator.files import LAYOUTS, Layout, write_files
from transactions.simulator.hours import HourRows, contract_hours
from transactions.simulator.kinds import (
    DEFAULT_FAULTS,
    FAULTS,
    INJECTION_KINDS,
    Injection,
    parse_faults,
    parse_injection,
)
from transactions.simulator.ledger import Applied, Expected
from transactions.simulator.live import Event, stream
from transactions.simulator.plan import PRESETS, ElectionPlan
from transactions.simulator.truth import ContractTruth, Truth, expect
from transactions.simulator.world import Contract, District, World, build

__all__ = [
    "DEFAULT_FAULTS",
    "FAULTS",
    "INJECTION_KINDS",
    "LAYOUTS",
    "PRESETS",
    "Applied",
    "Contract",
    "ContractTruth",
    "District",
    "ElectionPlan",
    "Event",
    "Expected",
    "HourRows",
    "Injection",
    "Layout",
    "Truth",
    "World",
    "build",
    "contract_hours",
    "expect",
    "parse_faults",
    "parse_injection",
    "stream",
    "write_files",
]
