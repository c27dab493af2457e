"""A front end in TypeScript, with types made from the schema, on a running server."""

import json
import subprocess
from pathlib import Path

import pytest
from django.test import Client

from election_monitor.environment import Rate
from tests.factories import make_token, make_user
from tests.journeys.conftest import wait_for_the_server_to_hang_up
from tests.transactions.conftest import election, load, two_contracts, write
from tests.transactions.lines import A, B, hour_file, issue, vote

__all__ = ["election", "load", "two_contracts", "write"]

HERE = Path(__file__).resolve().parents[1] / "typescript"
GENERATED = HERE / "generated"
COMPILER = HERE / "node_modules" / ".bin" / "tsc"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        not COMPILER.exists(), reason="There is no npm: `make typescript` installs tsc."
    ),
]


@pytest.fixture(scope="module")
def built():
    """Make the types and compile the program: what does not fit the schema fails here."""
    GENERATED.mkdir(exist_ok=True)
    schema = Client().get("/api/v1/schema/?format=json").content
    (GENERATED / "schema.json").write_bytes(schema)
    done = subprocess.run(
        ["npm", "run", "--silent", "build"], cwd=HERE, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return GENERATED / "client.js"


@pytest.fixture
def run(built, live_server):
    def run(*words):
        done = subprocess.run(
            ["node", built, live_server.url, *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return json.loads(done.stdout)

    yield run
    wait_for_the_server_to_hang_up()


def test_it_reads_what_was_loaded(run, two_contracts, load, settings):
    settings.API_PUBLIC_READ = True
    load(
        hour_file("09:00", issue("i1"), vote("v1"), issue("i2"), vote("v2", key="k2")),
        hour_file("09:00", issue("i3"), vote("v3"), contract_id=B),
    )

    told = run("duma")

    assert told["votes"] == told["sumOfTable"] == 3
    assert told["constituencies"] == [[A, 2], [B, 1]]
    assert told["asOf"]
    assert told["isUnchanged"]


def test_it_is_told_why_it_is_refused(run, two_contracts, settings):
    settings.API_PUBLIC_READ = False
    feeder = make_token(make_user("feeder"))
    viewer = make_token(make_user("viewer"))

    assert run("duma")["code"] == "not_authenticated"
    assert run("duma", "0" * 64)["code"] == "invalid_token"
    assert run("duma", feeder)["code"] == "permission_denied"
    assert run("elsewhere", viewer)["code"] == "not_found"


def test_it_is_told_when_to_come_again(run, two_contracts, settings):
    settings.API_PUBLIC_READ = True
    settings.THROTTLE_RATES = {**settings.THROTTLE_RATES, "anonymous": Rate(1, 3600)}
    run("duma")

    told = run("duma")

    assert told["status"] == 429
    assert told["code"] == "throttled"
    assert 0 < told["retryAfter"] <= 3600
