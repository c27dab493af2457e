"""Statistics come from the ledger, so their tests load as the ledger's do."""

import pytest

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


@pytest.fixture
def get(client, request):
    """Return the body of a GET below `BASE` of the module; its status is the one stated."""

    def get(path, status=200, /, **parameters):
        response = client.get(f"{request.module.BASE}{path}", parameters)
        assert response.status_code == status, response.content
        assert response["Content-Type"] == "application/json"
        told = response.json()
        # It changes with every event; see test_live_ids.
        told.pop("live_id", None)
        return told

    return get
