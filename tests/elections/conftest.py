"""Constituencies have figures only by loading, so their tests load as the ledger's do."""

from tests.transactions.conftest import (
    election,
    figures_stay_exact,
    load,
    two_contracts,
    write,
)

__all__ = ["election", "figures_stay_exact", "load", "two_contracts", "write"]
