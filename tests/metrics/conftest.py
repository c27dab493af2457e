"""Statistics come from the ledger, so their tests load as the ledger's do."""

from tests.transactions.conftest import (
    election,
    figures_stay_exact,
    load,
    pytest_configure,
    two_contracts,
    write,
)

__all__ = [
    "election",
    "figures_stay_exact",
    "load",
    "pytest_configure",
    "two_contracts",
    "write",
]
