"""What load balancers and `make run` ask."""

import pytest
from django.db import connections

from election_monitor import health

NOWHERE = "/nonexistent"


@pytest.fixture(autouse=True)
def static_files(settings):
    """The folder that `manage.py prepare` fills: WhiteNoise warns where it is missing."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


@pytest.fixture
def lost_database(monkeypatch):
    """A connection to a server that is not there, in place of the real one."""
    lost = connections.create_connection("default")
    monkeypatch.setattr(
        lost, "settings_dict", lost.settings_dict | {"OPTIONS": {"host": NOWHERE}}
    )
    monkeypatch.setattr(health, "connection", lost)

    def ask_the_lost(now):
        lost.cursor()

    monkeypatch.setattr(health, "queue_age", ask_the_lost)


@pytest.fixture
def lost_redis(settings):
    """A cache whose server is not there, in place of the real one."""
    default = settings.CACHES["default"] | {"LOCATION": f"unix://{NOWHERE}/redis.sock"}
    settings.CACHES = {"default": default}


def test_liveness_asks_no_service(client, lost_database, lost_redis):
    response = client.get("/health/live/")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_readiness_names_its_parts(client):
    response = client.get("/health/ready/")

    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "database": "ok",
        "cache": "ok",
        "queue": "ok",
    }


@pytest.mark.django_db
def test_without_the_database_it_is_not_ready(client, lost_database):
    response = client.get("/health/ready/")

    assert response.status_code == 503
    assert response.json() == {
        "status": "failed",
        "database": "failed",
        "cache": "ok",
        "queue": "failed",
    }


@pytest.mark.django_db
def test_without_redis_it_is_not_ready_and_says_why(client, lost_redis):
    response = client.get("/health/ready/")

    assert response.status_code == 503
    assert response.json() == {
        "status": "failed",
        "database": "ok",
        "cache": "failed",
        "queue": "ok",
    }


@pytest.mark.django_db
def test_no_proxy_may_keep_an_answer(client):
    assert "no-store" in client.get("/health/ready/")["Cache-Control"]


def test_health_is_only_read(client):
    assert client.post("/health/ready/").status_code == 405
