"""docker-compose.yml and the Dockerfile, which no container engine here can try."""

import re
from pathlib import Path

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft7Validator

REPOSITORY = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
LONG_RUNNING = sorted(set(SERVICES) - {"migrate"})
OURS = sorted(name for name in SERVICES if "build" in SERVICES[name])
SECRET_NAMES = re.compile("SECRET|PASSWORD|TOKEN|_KEY|_URL")


def test_the_file_follows_the_compose_schema():
    validator = Draft7Validator(get_builtin_schema("vendor.compose-spec"))

    assert [error.message for error in validator.iter_errors(COMPOSE)] == []


def test_the_services_are_those_of_the_design():
    assert sorted(SERVICES) == [
        "beat",
        "importer",
        "live",
        "migrate",
        "postgres",
        "redis",
        "web",
        "worker",
    ]


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_a_long_running_service_restarts_and_is_checked(name):
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


def test_no_engine_restarts_the_web_service_because_another_one_is_down():
    (command,) = SERVICES["web"]["healthcheck"]["test"][3:]

    assert "/health/live/" in command
    assert [
        name
        for name, service in SERVICES.items()
        if "web" in service.get("depends_on", {})
    ] == []


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(OURS)))
def test_a_foreign_image_runs_under_its_own_account(name):
    assert SERVICES[name]["user"] == name


def test_our_image_runs_under_an_ordinary_account():
    dockerfile = (REPOSITORY / "Dockerfile").read_text()

    users = re.findall(r"^USER (\S+)$", dockerfile, re.MULTILINE)

    assert users == ["monitor"]
    assert "useradd --uid 10001 --no-create-home" in dockerfile


@pytest.mark.parametrize("name", OURS)
def test_our_services_share_the_files_and_keep_no_privilege(name):
    assert SERVICES[name]["volumes"] == ["files:/var/lib/election-monitor"]
    assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES[name]["environment"]["DEBUG"] == "0"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_secret_stands_in_the_file_and_none_has_a_default(name):
    secrets = {
        key: value
        for key, value in SERVICES[name].get("environment", {}).items()
        if SECRET_NAMES.search(key)
        and value not in {"redis://redis:6379/0", "${LIVE_URL:-}"}
    }

    assert all(
        re.search(r"\$\{(SECRET_KEY|POSTGRES_PASSWORD):\?[^}]+\}", value)
        for value in secrets.values()
    )
    assert secrets or name == "redis"


def test_only_web_and_live_are_reachable_and_only_from_this_machine():
    ports = {name: service.get("ports", []) for name, service in SERVICES.items()}

    assert {name: found for name, found in ports.items() if found} == {
        "web": ["127.0.0.1:${PORT:-8000}:8000"],
        "live": ["127.0.0.1:${LIVE_PORT:-8001}:8001"],
    }


def test_every_named_volume_is_declared():
    used = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
    }

    assert used == set(COMPOSE["volumes"])
