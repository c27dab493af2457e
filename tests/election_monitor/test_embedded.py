"""The embedded PostgreSQL and Redis, with real servers in temporary directories."""

import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from election_monitor import embedded
from election_monitor.embedded import accounts, processes
from election_monitor.embedded.layout import SOCKET_PATH_BYTES, Layout
from election_monitor.embedded.postgres import Postgres
from election_monitor.embedded.redis import Redis

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 30

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change accounts")


@pytest.fixture
def directory():
    """A directory whose path is short, below one that only its owner can enter."""
    path = Path(tempfile.mkdtemp(prefix="em-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def var_dir(directory):
    """A VAR_DIR whose servers are stopped in the end."""
    with _stopped_in_the_end(directory / "var") as path:
        yield path


@pytest.fixture(scope="module")
def stopped_cluster():
    """A VAR_DIR that was used before: creating one takes most of a first start."""
    path = Path(tempfile.mkdtemp(prefix="em-"))
    with _stopped_in_the_end(path / "var") as var_dir:
        embedded.start(var_dir, throw_away=True)
        embedded.stop(var_dir)
        yield var_dir
    shutil.rmtree(path)


@pytest.fixture
def used_var_dir(var_dir, stopped_cluster):
    """A VAR_DIR with data, nothing running."""
    subprocess.run(["cp", "-a", stopped_cluster, var_dir], check=True)
    return var_dir


@pytest.fixture
def long_var_dir(directory):
    with _stopped_in_the_end(directory / ("long" * 30) / "var") as path:
        yield path


@contextmanager
def _stopped_in_the_end(path):
    try:
        yield path
    finally:
        embedded.stop(path)
        shutil.rmtree(Layout.of(path).runtime, ignore_errors=True)


def run_sql(var_dir, statement):
    with psycopg.connect(embedded.database_url(var_dir), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None


def ping(var_dir):
    with redis.Redis.from_url(embedded.redis_url(var_dir)) as client:
        return client.ping()


def pids(var_dir):
    status = embedded.status(var_dir)
    return status.postgres.pid, status.redis.pid


def kill_and_wait(var_dir, numbers):
    processes.send(numbers, signal.SIGKILL)
    assert processes.wait_until(
        lambda: not any(map(processes.is_alive, numbers)), seconds=SECONDS
    )


def start_in_a_process(var_dir, **options):
    code = (
        "import sys; from pathlib import Path; from election_monitor import embedded; "
        "print(embedded.start(Path(sys.argv[1]), throw_away=True))"
    )
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, str(var_dir)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def test_a_start_creates_the_database_and_a_second_start_finds_it_running(var_dir):
    started = embedded.start(var_dir, throw_away=True)
    before = pids(var_dir)

    again = embedded.start(var_dir, throw_away=True)

    assert (started, again) == (True, False)
    assert pids(var_dir) == before
    assert None not in before
    assert ping(var_dir)
    assert run_sql(
        var_dir,
        "SELECT current_database(), pg_encoding_to_char(encoding), datcollate,"
        " datlocprovider, datlocale, current_setting('timezone'),"
        " current_setting('listen_addresses') FROM pg_database"
        " WHERE datname = current_database()",
    ) == [("election_monitor", "UTF8", "C", "b", "C.UTF-8", "UTC", "")]


def test_a_stop_ends_every_process_and_keeps_the_data(used_var_dir):
    embedded.start(used_var_dir)
    run_sql(used_var_dir, "CREATE TABLE kept AS SELECT 96 AS votes_cast")
    layout = Layout.of(used_var_dir)

    embedded.stop(used_var_dir)
    embedded.stop(used_var_dir)

    assert pids(used_var_dir) == (None, None)
    assert Postgres(layout).processes() == Redis(layout).processes() == set()
    embedded.start(used_var_dir)
    assert run_sql(used_var_dir, "SELECT votes_cast FROM kept") == [(96,)]


def test_one_service_starts_without_the_other(var_dir):
    embedded.start(var_dir, postgres=False)

    status = embedded.status(var_dir)

    assert (status.postgres.is_running, status.redis.is_running) == (False, True)


def test_nothing_runs_where_nothing_was_started(var_dir):
    status = embedded.status(var_dir)

    assert (status.postgres.is_running, status.redis.is_running) == (False, False)
    assert not var_dir.exists()


def test_a_running_database_gets_back_a_database_that_is_missing(used_var_dir):
    embedded.start(used_var_dir, throw_away=True)
    with psycopg.connect(
        embedded.database_url(used_var_dir), dbname="postgres", autocommit=True
    ) as connection:
        connection.execute("DROP DATABASE election_monitor")

    embedded.start(used_var_dir, throw_away=True)

    assert run_sql(used_var_dir, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("whole_cluster", [False, True])
def test_killed_servers_start_again_with_their_data(used_var_dir, whole_cluster):
    embedded.start(used_var_dir)
    run_sql(used_var_dir, "CREATE TABLE kept AS SELECT 96 AS votes_cast")
    postgres, redis_pid = pids(used_var_dir)
    cluster = (
        Postgres(Layout.of(used_var_dir)).processes() if whole_cluster else {postgres}
    )
    kill_and_wait(used_var_dir, {*cluster, redis_pid})

    started = embedded.start(used_var_dir)

    assert started
    assert ping(used_var_dir)
    assert run_sql(used_var_dir, "SELECT votes_cast FROM kept") == [(96,)]


def test_a_start_waits_for_a_server_that_recovers_from_a_killed_child(used_var_dir):
    embedded.start(used_var_dir)
    postgres, _ = pids(used_var_dir)
    children = Postgres(Layout.of(used_var_dir)).processes() - {postgres}
    run_sql(used_var_dir, "CREATE TABLE kept AS SELECT 96 AS votes_cast")
    processes.send(children, signal.SIGKILL)

    embedded.start(used_var_dir)

    assert run_sql(used_var_dir, "SELECT votes_cast FROM kept") == [(96,)]
    assert pids(used_var_dir)[0] == postgres


def test_a_stale_pid_that_now_belongs_to_another_process_is_no_obstacle(used_var_dir):
    embedded.start(used_var_dir, throw_away=True)
    layout = Layout.of(used_var_dir)
    files = (Postgres(layout).pid_file, Redis(layout).pid_file)
    old = pids(used_var_dir)
    kill_and_wait(
        used_var_dir, Postgres(layout).processes() | Redis(layout).processes()
    )
    # The bystander runs under the servers' account: the case PostgreSQL itself refuses.
    owner = layout.postgres_data.stat().st_uid
    bystander = subprocess.Popen(["sleep", "600"], user=owner, cwd="/")
    for path, pid in zip(files, old, strict=True):
        path.write_text(path.read_text().replace(str(pid), str(bystander.pid), 1))

    before = pids(used_var_dir)
    started = embedded.start(used_var_dir, throw_away=True)
    embedded.stop(used_var_dir)

    assert before == (None, None)
    assert started
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_program_of_the_same_name_for_another_directory_is_not_ours(var_dir):
    ours, other = Layout.of(var_dir), Layout.of(var_dir.with_name("other"))
    program = ["/usr/bin/postgres", "-D"]
    title = "redis-server unixsocket:"

    assert Postgres(ours).is_ours([*program, str(ours.postgres_data)])
    assert not Postgres(ours).is_ours([*program, str(other.postgres_data)])
    assert not Postgres(ours).is_ours(["less", "-D", str(ours.postgres_data)])
    assert Redis(ours).is_ours([f"{title}{ours.redis_socket}"])
    assert not Redis(ours).is_ours([f"{title}{other.redis_socket}"])
    assert not Redis(ours).is_ours(["redis-cli", "-s", str(ours.redis_socket)])


def test_a_starter_killed_while_it_waits_leaves_nothing_broken(var_dir):
    starter = start_in_a_process(var_dir)
    lock = Layout.of(var_dir).lock
    assert processes.wait_until(lock.exists, seconds=SECONDS)
    starter.kill()
    starter.communicate()

    embedded.start(var_dir, throw_away=True)

    assert ping(var_dir)
    assert run_sql(var_dir, "SELECT 1") == [(1,)]


def test_two_processes_that_start_at_once_start_one_server(var_dir):
    starters = [start_in_a_process(var_dir) for _ in range(2)]

    answers = sorted(starter.communicate(timeout=SECONDS)[0] for starter in starters)

    assert answers == ["False\n", "True\n"]
    postmasters = [
        pid
        for pid in Postgres(Layout.of(var_dir)).processes()
        if b"-D" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    ]
    assert postmasters == [embedded.status(var_dir).postgres.pid]


def test_the_servers_outlive_a_ctrl_c_in_the_terminal_of_their_starter(used_var_dir):
    starter = start_in_a_process(used_var_dir, start_new_session=True)
    starter.communicate(timeout=SECONDS)

    sessions = {os.getsid(pid) for pid in pids(used_var_dir)}

    assert starter.pid not in sessions
    assert os.getsid(0) not in sessions


def test_a_long_path_gets_a_short_private_socket_directory(long_var_dir):
    embedded.start(long_var_dir, throw_away=True)

    layout = Layout.of(long_var_dir)

    assert layout.runtime.parent == Path("/tmp")  # noqa: S108
    assert len(os.fsencode(layout.postgres_socket)) <= SOCKET_PATH_BYTES
    assert stat.S_IMODE(layout.runtime.stat().st_mode) & 0o066 == 0
    assert stat.S_IMODE(layout.sockets.stat().st_mode) == 0o700
    assert ping(long_var_dir)
    assert run_sql(long_var_dir, "SELECT 1") == [(1,)]


def test_a_path_with_characters_that_urls_quote_works(directory):
    with _stopped_in_the_end(directory / "a, b%20é?c") as path:
        embedded.start(path, throw_away=True)

        assert ping(path)
        assert run_sql(path, "SELECT 1") == [(1,)]


def test_two_long_directories_never_share_a_socket_directory(directory):
    long = directory / ("long" * 30)

    first, second = Layout.of(long / "first"), Layout.of(long / "second")

    assert first.runtime != second.runtime
    assert first == Layout.of(long / "second" / ".." / "first")


def test_two_directories_run_side_by_side(directory):
    with (
        _stopped_in_the_end(directory / "first") as first,
        _stopped_in_the_end(directory / "second") as second,
    ):
        embedded.start(first, throw_away=True)
        embedded.start(second, throw_away=True)
        run_sql(first, "CREATE TABLE only_here ()")

        embedded.stop(first)

        assert pids(first) == (None, None)
        assert ping(second)
        assert run_sql(second, "SELECT to_regclass('only_here')") == [(None,)]


@as_root
def test_a_socket_directory_of_somebody_else_is_refused(long_var_dir):
    runtime = Layout.of(long_var_dir).runtime
    runtime.mkdir(mode=0o777)
    nobody = pwd.getpwnam("nobody")
    os.chown(runtime, nobody.pw_uid, nobody.pw_gid)

    with pytest.raises(embedded.EmbeddedServiceError, match="belongs to another"):
        embedded.start(long_var_dir, throw_away=True)

    assert list(runtime.iterdir()) == []
    assert not Layout.of(long_var_dir).postgres_data.exists()


def test_a_link_in_place_of_the_socket_directory_is_refused(long_var_dir, directory):
    runtime = Layout.of(long_var_dir).runtime
    runtime.symlink_to(directory)

    with pytest.raises(embedded.EmbeddedServiceError, match="belongs to another"):
        embedded.start(long_var_dir, throw_away=True)

    runtime.unlink()


@as_root
def test_root_behind_a_closed_directory_runs_the_servers_as_somebody_else(var_dir):
    assert stat.S_IMODE(var_dir.parent.stat().st_mode) == 0o700

    embedded.start(var_dir, throw_away=True)

    assert 0 not in {_effective_uid(pid) for pid in pids(var_dir)}
    assert stat.S_IMODE(Layout.of(var_dir).home.stat().st_mode) == 0o700
    assert stat.S_IMODE(var_dir.parent.stat().st_mode) == 0o700
    assert run_sql(var_dir, "SELECT current_user") == [("election_monitor",)]


def _effective_uid(pid):
    return int(_status_field(pid, "Uid").split()[1])


def _status_field(pid, name):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    raise AssertionError(name)


@as_root
def test_the_servers_keep_one_capability_and_only_where_they_need_it(used_var_dir):
    embedded.start(used_var_dir, throw_away=True)

    for pid in pids(used_var_dir):
        kept = {
            name: int(_status_field(pid, name), 16) for name in ("CapEff", "CapPrm")
        }
        assert kept["CapEff"] == kept["CapPrm"]
        assert kept["CapEff"].bit_count() == 1


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_root_of_a_container_starts_and_stops_servers_it_cannot_trace(var_dir):
    """Docker leaves root neither CAP_SYS_PTRACE nor CAP_DAC_READ_SEARCH."""
    left = "+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap"
    limited = ["setpriv", f"--bounding-set=-all,{left}", "--inh-caps=-all"]
    code = (
        "import sys; from pathlib import Path; from election_monitor import embedded\n"
        "var = Path(sys.argv[1]); started = embedded.start(var, throw_away=True)\n"
        "found = embedded.status(var); embedded.stop(var); after = embedded.status(var)\n"
        "print(started, None in (found.postgres.pid, found.redis.pid),"
        " after.postgres.is_running, after.redis.is_running)"
    )

    result = subprocess.run(
        [*limited, sys.executable, "-c", code, str(var_dir)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert (result.stdout, result.stderr) == ("True False False False\n", "")


@as_root
def test_no_capability_is_kept_where_everybody_may_pass(directory):
    directory.chmod(0o755)
    program = Path("/bin/sh")

    account = accounts.prepare(Layout.of(directory / "var"), [program])

    home = directory / "var" / "embedded"
    assert account.capability is None
    assert stat.S_IMODE(home.stat().st_mode) == 0o711


@as_root
def test_an_ordinary_user_starts_and_stops_servers(directory):
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None or not _can_run_as_nobody(python):
        pytest.skip("no Python that the account nobody can run")
    nobody = pwd.getpwnam("nobody")
    directory.chmod(0o755)
    home = directory / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    packages = Path(redis.__file__).parents[1]
    code = (
        "import json, os, sys; from pathlib import Path\n"
        "from election_monitor import embedded\n"
        "var = Path(sys.argv[1]); embedded.start(var, throw_away=True)\n"
        "owners = [os.stat(f'/proc/{s.pid}').st_uid for s in"
        " (embedded.status(var).postgres, embedded.status(var).redis)]\n"
        "embedded.stop(var); after = embedded.status(var)\n"
        "print(json.dumps([owners, after.postgres.is_running, after.redis.is_running]))"
    )

    result = subprocess.run(
        [python, "-W", "error", "-c", code, str(home / "var")],
        env={"PYTHONPATH": f"{REPOSITORY}:{packages}", "PATH": "/usr/bin:/bin"},
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert result.stderr == ""
    assert json.loads(result.stdout) == [[nobody.pw_uid] * 2, False, False]


def _can_run_as_nobody(python):
    """Return whether nobody can run `python` and read this repository with it."""
    probe = "import sys, election_monitor; sys.exit(sys.version_info < (3, 11))"
    nobody = pwd.getpwnam("nobody")
    result = subprocess.run(
        [python, "-c", probe],
        env={"PYTHONPATH": str(REPOSITORY)},
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        check=False,
    )
    return result.returncode == 0


def test_a_server_that_fails_says_why(used_var_dir):
    embedded.start(used_var_dir, postgres=True, redis=False, throw_away=True)
    embedded.stop(used_var_dir)
    (Layout.of(used_var_dir).postgres_data / "global" / "pg_control").unlink()

    with pytest.raises(embedded.EmbeddedServiceError) as raised:
        embedded.start(used_var_dir, redis=False, throw_away=True)

    assert "PostgreSQL ended while starting" in str(raised.value)
    assert "pg_control" in str(raised.value)


def test_data_of_another_version_is_refused(var_dir):
    data = Layout.of(var_dir).postgres_data
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")

    with pytest.raises(embedded.EmbeddedServiceError, match="written by PostgreSQL 17"):
        embedded.start(var_dir, redis=False, throw_away=True)


def test_a_snapshot_redis_cannot_read_is_moved_aside(var_dir):
    embedded.start(var_dir, postgres=False)
    embedded.stop(var_dir)
    snapshot = Layout.of(var_dir).redis_data / "dump.rdb"
    snapshot.write_bytes(b"REDIS9999 written by a newer Redis")

    embedded.start(var_dir, postgres=False)

    assert ping(var_dir)
    assert snapshot.with_name("dump.rdb.unreadable").exists()


def test_a_long_log_is_moved_aside_at_the_next_start(var_dir, monkeypatch):
    monkeypatch.setattr("election_monitor.embedded.server.LOG_BYTES", 100)
    embedded.start(var_dir, postgres=False)
    embedded.stop(var_dir)

    embedded.start(var_dir, postgres=False)

    names = sorted(path.name for path in Layout.of(var_dir).logs.iterdir())
    assert names == ["redis.log", "redis.log.1"]
