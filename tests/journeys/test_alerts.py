"""From export files with a burst in them to a resolved alert, with a real worker."""

import json

import pytest
import redis
from django.test import Client

from anomalies.models import Alert
from tests.beside import wait_until
from tests.factories import make_token, make_user
from tests.journeys.processes import Processes
from transactions.simulator import ElectionPlan, build, parse_injection, write_files

pytestmark = pytest.mark.django_db(transaction=True)

PLAN = {
    "slug": "struck",
    "name": "Struck",
    "constituencies": 40,
    "transactions": 20_000,
    "timezone": "Europe/Moscow",
    "seed": 5,
}


@pytest.fixture
def processes(transactional_db):
    running = Processes()
    redis.Redis.from_url(running.redis_url).flushdb()
    yield running
    running.end_all()


@pytest.fixture
def export(tmp_path):
    """Return a folder of export files and the contracts in which a burst struck."""
    folder = tmp_path / "export"
    world = build(ElectionPlan(**PLAN, injections=(parse_injection("burst:20"),)))
    truth = write_files(world, folder, layout="zips")
    return folder, {item.contract_id for item in truth.injections}


def test_a_burst_goes_from_its_file_to_a_resolved_alert(processes, export):
    folder, struck = export
    processes.worker()
    # An evaluation waits some seconds for late rows; beat finds it when it is due.
    processes.beat(str(folder.parent / "beat"))
    analyst = make_user("analyst", username="vera", password=None)
    client = Client(headers={"authorization": f"Token {make_token(analyst)}"})

    processes.manage("import_transactions", str(folder))
    wait_until(lambda: Alert.objects.exists(), "the rules have found something")
    [alert] = client.get("/api/v1/alerts/?severity=critical").json()["results"]
    taken = send(
        client,
        "PATCH",
        f"{alert['id']}/",
        {
            "version": alert["version"],
            "status": "investigating",
            "assigned_to": "vera",
        },
    )
    send(client, "POST", f"{alert['id']}/notes/", {"text": "A factory voted together."})
    resolved = send(
        client,
        "PATCH",
        f"{alert['id']}/",
        {"version": taken["version"] + 1, "status": "resolved", "reason": "Explained."},
    )

    assert alert["constituency"] in struck
    assert alert["q"] < 1e-6
    assert (resolved["status"], resolved["assigned_to"]) == ("resolved", "vera")
    assert [item["status"] for item in resolved["history"]][-1] == "resolved"
    assert (
        client.get("/api/v1/alerts/?open=true&severity=critical").json()["count"] == 0
    )


def send(client, method, path, body):
    answer = client.generic(
        method, f"/api/v1/alerts/{path}", json.dumps(body), "application/json"
    )
    assert answer.status_code in {200, 201}, answer.content
    return answer.json()
