"""The API does what its schema says, whatever the schema lets a caller send, or does not.

Cases are made from the schema: valid ones, and ones that break it in a single place.
`CASES=10000` asks that many as each role; the short run takes two roles.
"""

import json
import math
import os

import pytest
import schemathesis
from django.conf import settings as written_settings
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from elections.roles import Role
from metrics.models import MetricsUpdate
from tests.anomalies.factories import make_alert
from tests.factories import make_token, make_user
from tests.journeys.processes import Processes
from tests.transactions.conftest import election, load, two_contracts, write
from tests.transactions.lines import A, B, hour_file, issue, vote
from transactions.models import ImportBatch

__all__ = ["election", "load", "two_contracts", "write"]

pytestmark = pytest.mark.django_db(transaction=True)

CASES = int(os.environ.get("CASES", "0"))
SHORT_CASES, SHORT_ROLES = 700, ["anonymous", Role.ADMIN]
ROLES = ["anonymous", *Role] if CASES else SHORT_ROLES
# Half of the cases name something that there is.
KNOWN = {
    "slug": "duma",
    "election": "duma",
    "contract_id": A,
    "constituency": A,
    "ids": f"{A},{B}",
    "start": "2026-09-18T00:00:00Z",
    "end": "2026-09-21T00:00:00Z",
    "tags": ["election:duma"],
}
OK = {200, 202, 204}
DOCUMENTED = (written_settings.BASE_DIR / "docs" / "api.md").read_text()
TOO_LONG, LONGEST_ADDRESS = 414, 4_000
# Of a machine that is busy with other tests: what is asked here is not how long it takes.
PATIENCE_SECONDS = 30
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
LEAKS = (b"Traceback", bytes(written_settings.BASE_DIR), b"psycopg", b"site-packages")


@pytest.fixture
def server():
    """Start the web server on the database of this test; return its address."""
    processes = Processes()
    try:
        port = processes.web(
            API_PUBLIC_READ="1",
            THROTTLE_RATES="off",
            LOG_FORMAT="json",
            # No worker runs: what is asked for stays in the queue.
            ELECTION_MONITOR_BACK_PRESSURE_SECONDS="86400",
        )
        yield f"http://127.0.0.1:{port}"
    finally:
        processes.end_all()


@pytest.fixture
def known(two_contracts, load):
    """Return what stands for each id of a path, once there is something."""
    load(
        hour_file("09:00", issue("i1"), vote("v1")),
        hour_file("09:00", issue("i2"), contract_id=B),
    )
    ids = {
        "imports": ImportBatch.objects.latest("pk").pk,
        "metrics": MetricsUpdate.objects.latest("pk").pk,
        "alerts": make_alert(election=two_contracts).pk,
    }
    return KNOWN, ids


@pytest.mark.parametrize("role", ROLES)
def test_every_answer_is_as_described(server, known, role):
    schema = schemathesis.openapi.from_dict(
        json.loads(Client().get("/api/v1/schema/?format=json").content)
    )
    schema.config.generation.update(with_security_parameters=False)
    headers = {}
    if role != "anonymous":
        headers["Authorization"] = f"Token {make_token(make_user(role))}"
    operations = [found.ok() for found in schema.get_all_operations()]
    number = math.ceil((CASES or SHORT_CASES) / len(operations))
    never = {
        operation.label
        for operation in operations
        if not ask(operation, number, server, headers, known) & OK
    }
    if CASES and role is Role.ADMIN:
        # Nobody signs in without a CSRF token, and no update has failed.
        assert never <= {
            "POST /api/v1/auth/login/",
            "POST /api/v1/metrics/updates/{id}/retry/",
        }


def ask(operation, number, server, headers, known):
    """Ask `number` cases of an operation; return the statuses that came."""
    told = set()
    names, ids = known
    first = operation.path.removeprefix("/api/v1/").split("/")[0]

    @settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases(operation), st.booleans())
    def one(case, is_known):
        if is_known:
            for container in (case.path_parameters, case.query, case.body):
                if isinstance(container, dict):
                    container |= {
                        name: names[name] for name in names.keys() & container
                    }
            if "id" in (case.path_parameters or ()):
                case.path_parameters["id"] = ids[first]
        response = case.call(base_url=server, headers=headers, timeout=PATIENCE_SECONDS)
        if response.status_code == TOO_LONG:
            # By the web server, before the API sees it.
            assert len(response.request.url) > LONGEST_ADDRESS
            return
        told.add(response.status_code)
        case.validate_response(response, checks=CHECKS, headers=headers)
        if response.status_code >= 400:
            assert f"`{response.json()['code']}`" in DOCUMENTED
        assert not [leak for leak in LEAKS if leak in response.content]

    one()
    return told


def cases(operation):
    """Return what may be sent, and what may not, where the schema leaves anything out."""
    valid = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    if not (operation.query or operation.path_parameters or operation.body):
        return valid
    return valid | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
