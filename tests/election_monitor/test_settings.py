"""A wrong environment stops the start with a sentence that names the setting."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from election_monitor.secret import secret_key

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


def public_settings(tmp_path, **environment):
    """Return what the settings say of HTTPS, with a database of one's own."""
    names = "SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"
    code = (
        "from election_monitor import settings as s; "
        f"print({', '.join(f's.{name}' for name in names)}, s.SECURE_HSTS_SECONDS, "
        "getattr(s, 'SECURE_HSTS_PRELOAD', 0), "
        "getattr(s, 'SECURE_HSTS_INCLUDE_SUBDOMAINS', 0))"
    )
    given = {"SECRET_KEY": LONG_RANDOM, "DATABASE_URL": "postgresql://a@b/c"}
    return start(tmp_path, ["-c", code], **given, **environment).stdout.strip()


@pytest.mark.parametrize("hosts", [{}, {"ALLOWED_HOSTS": "127.0.0.1,localhost"}])
def test_an_own_database_on_this_machine_is_served_by_plain_http(tmp_path, hosts):
    assert public_settings(tmp_path, **hosts) == "False False False 0 0 0"


@pytest.mark.parametrize("host", ["monitor.example.org", "*"])
def test_a_public_name_means_https_for_this_host_alone(tmp_path, host):
    found = public_settings(tmp_path, ALLOWED_HOSTS=f"localhost,{host}")

    assert found == "True True True 31536000 0 0"


def live_settings(tmp_path, **environment):
    """Return where browsers are sent for live events, and what they may connect to."""
    code = (
        "from election_monitor import settings as s; "
        "directives = s.CONTENT_SECURITY_POLICY['DIRECTIVES']; "
        "print(s.LIVE_URL or '-', *directives['connect-src'])"
    )
    return start(tmp_path, ["-c", code], **environment).stdout.strip()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "http://127.0.0.1:8001 'self' http://127.0.0.1:8001"),
        ({"PORT": "9000"}, "http://127.0.0.1:9001 'self' http://127.0.0.1:9001"),
        ({"ALLOWED_HOSTS": "monitor.example.org"}, "- 'self'"),
        (
            {"LIVE_URL": "https://live.example.org/em/"},
            "https://live.example.org/em 'self' https://live.example.org",
        ),
    ],
)
def test_browsers_are_told_where_the_live_process_is(tmp_path, environment, expected):
    assert live_settings(tmp_path, **environment) == expected


def test_a_var_dir_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()

    sentence = complaint(tmp_path, VAR_DIR=str(tmp_path / "file" / "var"))

    assert "VAR_DIR leads to" in sentence


def test_uploads_wait_below_var_dir(settings):
    assert settings.FILE_UPLOAD_TEMP_DIR == settings.VAR_DIR / "uploads"
    assert settings.FILE_UPLOAD_TEMP_DIR.is_dir()


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
        ("LIVE_URL", "live.example.org"),
        ("ELECTION_MONITOR_LIVE_LISTENERS", "0"),
        ("ELECTION_MONITOR_CHUNK_ROWS", "many"),
        ("ELECTION_MONITOR_CHUNK_ROWS", "0"),
        ("ELECTION_MONITOR_CHUNK_FILES", "-1"),
        ("ELECTION_MONITOR_TRUSTED_PROXIES", "-1"),
        ("ELECTION_MONITOR_TRUSTED_PROXIES", "one"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("CORS_ALLOWED_ORIGINS", "figures.example.org"),
        ("CORS_ALLOWED_ORIGINS", "https://a.example.org/path"),
        ("CORS_ALLOWED_ORIGINS", "https://a.example.org https://b.example.org"),
        ("THROTTLE_RATES", "120/min"),
        ("THROTTLE_RATES", "anonymous=many"),
        ("THROTTLE_RATES", "anonymous=0/min"),
        ("THROTTLE_RATES", "anonymous=-1/min"),
        ("THROTTLE_RATES", "anonymous=1/fortnight"),
        ("THROTTLE_RATES", "nobody=1/min"),
        ("THROTTLE_RATES", "viewer=1/min;anonymous=1/min"),
    ],
)
def test_a_malformed_value_is_refused_by_name(tmp_path, name, value):
    sentence = complaint(tmp_path, **{"SECRET_KEY": LONG_RANDOM, name: value})

    assert sentence.startswith("django.core.exceptions.ImproperlyConfigured: ")
    assert name in sentence


def setting(tmp_path, name, **environment):
    """Return what a setting is, with a database of one's own."""
    code = f"from election_monitor import settings; print(settings.{name})"
    given = {"SECRET_KEY": LONG_RANDOM, "DATABASE_URL": "postgresql://a@b/c"}
    result = start(tmp_path, ["-c", code], **given, **environment)
    return result.stdout.strip()


def test_origins_are_a_list(tmp_path):
    stated = "https://A.example.org, http://localhost:3000/,"

    assert setting(tmp_path, "CORS_ALLOWED_ORIGINS") == "[]"
    assert setting(
        tmp_path, "CORS_ALLOWED_ORIGINS", CORS_ALLOWED_ORIGINS=stated
    ) == str(["https://a.example.org", "http://localhost:3000"])


@pytest.mark.parametrize(
    ("value", "anonymous", "viewer"),
    [
        ("", 120, 600),
        ("off", None, None),
        ("OFF", None, None),
        ("anonymous=5/sec", 5, 600),
        (" viewer = off , anonymous=7/hour,", 7, None),
    ],
)
def test_rates_that_are_not_stated_keep_their_default(
    tmp_path, value, anonymous, viewer
):
    one, other = (
        setting(tmp_path, f"THROTTLE_RATES['{role}']", THROTTLE_RATES=value)
        for role in ("anonymous", "viewer")
    )

    assert one.startswith(
        "None" if anonymous is None else f"Rate(requests={anonymous},"
    )
    assert other.startswith("None" if viewer is None else f"Rate(requests={viewer},")


def test_nobody_is_counted_on_this_machine_alone(settings):
    assert set(settings.THROTTLE_RATES.values()) == {None}


@pytest.mark.parametrize(
    ("environment", "proxies"),
    [
        ({}, "0"),
        ({"ALLOWED_HOSTS": "monitor.example.org"}, "1"),
        (
            {
                "ALLOWED_HOSTS": "monitor.example.org",
                "ELECTION_MONITOR_TRUSTED_PROXIES": "0",
            },
            "0",
        ),
        ({"ELECTION_MONITOR_TRUSTED_PROXIES": "2"}, "2"),
    ],
)
def test_a_public_installation_has_a_proxy_in_front(tmp_path, environment, proxies):
    assert setting(tmp_path, "TRUSTED_PROXIES", **environment) == proxies


def test_the_start_shows_the_sentence_and_no_traceback(tmp_path):
    result = start(tmp_path, ["-m", "election_monitor.run"], LOG_FORMAT="xml")

    assert result.returncode == 1
    assert result.stderr == "LOG_FORMAT is 'xml': use console or json.\n"


@pytest.mark.parametrize("words", [["check"], ["migrate"], ["services", "status"]])
def test_a_command_shows_the_sentence_and_no_traceback(tmp_path, words):
    result = start(tmp_path, ["manage.py", *words], DATABASE_URL="mysql://x")

    assert result.returncode == 1
    assert (
        result.stderr == "DATABASE_URL has to begin with postgresql:// or postgres://\n"
    )


def test_a_service_that_does_not_start_is_a_sentence(tmp_path):
    (tmp_path / "embedded").touch()

    result = start(tmp_path, ["manage.py", "check"])

    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert str(tmp_path) in result.stderr


# The secret key ---------------------------------------------------------------------


def test_the_key_stays_the_same_and_is_the_owners_alone(tmp_path):
    key = secret_key(tmp_path / "var")

    assert secret_key(tmp_path / "var") == key
    assert len(key) > 50
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["secret_key"]
    assert (tmp_path / "var" / "secret_key").stat().st_mode & 0o777 == 0o600


def test_a_crash_before_the_key_is_written_leaves_no_empty_one(tmp_path, monkeypatch):
    with monkeypatch.context() as crash:
        crash.setattr(secrets, "token_urlsafe", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            secret_key(tmp_path)
    assert list(tmp_path.iterdir()) == []

    assert secret_key(tmp_path)


def test_of_processes_that_start_at_once_one_makes_the_key(tmp_path):
    code = (
        "from pathlib import Path; from election_monitor.secret import secret_key; "
        "import sys; input(); print(secret_key(Path(sys.argv[1])))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()

    keys = {process.communicate()[0].strip() for process in processes}

    assert keys == {(tmp_path / "secret_key").read_text()}
