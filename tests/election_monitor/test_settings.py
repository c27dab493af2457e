"""A wrong environment stops the start with a sentence that names the setting."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LONG_RANDOM = "q7Zr0vJmT2xLk9Yb4WcN8sHd5GfPaE3uR6iQoXzV1tMyKjBw"


def start(tmp_path, program, **environment):
    """Run `program` in an environment with nothing but `environment`."""
    return subprocess.run(
        [sys.executable, *program],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def complaint(tmp_path, **environment):
    """Return what stops the settings, or nothing where they load."""
    program = ["-c", "import election_monitor.settings"]
    result = start(tmp_path, program, **environment)
    return result.stderr.strip().rpartition("\n")[2] if result.returncode else ""


def test_an_empty_environment_is_enough(tmp_path):
    assert complaint(tmp_path) == ""


def test_production_needs_no_more_than_its_values(tmp_path):
    assert (
        complaint(
            tmp_path,
            DEBUG="0",
            SECRET_KEY=LONG_RANDOM,
            DATABASE_URL="postgresql://monitor:secret@database:5432/monitor",
            REDIS_URL="redis://cache:6379/0",
        )
        == ""
    )


@pytest.mark.parametrize(
    "environment", [{"DEBUG": "0"}, {"DATABASE_URL": "postgresql://a@b/c"}]
)
def test_production_has_no_default_secret(tmp_path, environment):
    assert "Set SECRET_KEY to a long random value" in complaint(tmp_path, **environment)
    assert not (tmp_path / "secret_key").exists()


def test_an_unknown_setting_of_ours_is_refused(tmp_path):
    sentence = complaint(tmp_path, ELECTION_MONITOR_CHUNK_ROW="100")

    assert "Unknown setting ELECTION_MONITOR_CHUNK_ROW in the environment" in sentence
    assert "ELECTION_MONITOR_CHUNK_ROWS" in sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOG_FORMAT", "xml"),
        ("DEBUG", "maybe"),
        ("API_PUBLIC_READ", "sometimes"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "sqlite:///file.db"),
        ("REDIS_URL", "nonsense"),
        ("ELECTION_MONITOR_CHUNK_ROWS", "many"),
        ("ELECTION_MONITOR_CHUNK_ROWS", "0"),
        ("ELECTION_MONITOR_CHUNK_FILES", "-1"),
    ],
)
def test_a_malformed_value_is_refused_by_name(tmp_path, name, value):
    sentence = complaint(tmp_path, **{"SECRET_KEY": LONG_RANDOM, name: value})

    assert sentence.startswith("django.core.exceptions.ImproperlyConfigured: ")
    assert name in sentence


def test_the_start_shows_the_sentence_and_no_traceback(tmp_path):
    result = start(tmp_path, ["-m", "election_monitor.run"], LOG_FORMAT="xml")

    assert result.returncode == 1
    assert result.stderr == "LOG_FORMAT is 'xml': use console or json.\n"
