"""`make run` from start to stop, with everything real."""

import asyncio
import fcntl
import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from election_monitor import embedded
from election_monitor.embedded.layout import Layout
from election_monitor.embedded.postgres import Postgres
from election_monitor.embedded.processes import wait_until
from election_monitor.embedded.redis import Redis
from election_monitor.run.supervisor import Program, Supervisor, leashed

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 120
STOP_SECONDS = 30


@pytest.fixture
def var_dir():
    """A VAR_DIR with a short path, whose services are stopped in the end."""
    path = Path(tempfile.mkdtemp(prefix="em-run-"))
    yield path
    embedded.stop(path)
    shutil.rmtree(path)


@pytest.fixture
def port():
    """Return a port that is free, as is the one above it, which live has."""
    while True:
        with socket.socket() as probe, socket.socket() as above:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            with suppress(OSError, OverflowError):
                above.bind(("127.0.0.1", port + 1))
                return port


@pytest.fixture
def launch(var_dir, port):
    """Start `python -m election_monitor.run`; what still runs in the end is killed."""
    runs = []

    def launch_run(**environment):
        wanted = {"VAR_DIR": str(var_dir), "PORT": str(port), "DEMO": "0"}
        with (var_dir / "output").open("ab") as out, errors(var_dir).open("ab") as err:
            run = subprocess.Popen(
                [sys.executable, "-m", "election_monitor.run"],
                cwd=REPOSITORY,
                env=os.environ | wanted | environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        runs.append(run)
        return run

    yield launch_run
    for run in runs:
        run.kill()
        run.wait()


def status_of(port, path):
    """Return the status of an answer, or 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def is_ready(port):
    return status_of(port, "/health/ready/") == 200


def program(run, word):
    """Return the process of one program, the only child with `word` in its command."""
    children = psutil.Process(run.pid).children()
    (found,) = [child for child in children if word in child.cmdline()]
    return found


def errors(var_dir):
    return var_dir / "errors"


def test_a_run_survives_what_is_killed_and_leaves_nothing_behind(launch, var_dir, port):
    run = launch()
    output = var_dir / "output"
    wait_until(
        lambda: "Ctrl-C stops it." in output.read_text() or run.poll() is not None,
        seconds=START_SECONDS,
    )
    assert run.poll() is None, errors(var_dir).read_text()
    assert f"Election Monitor is ready: http://127.0.0.1:{port}/" in output.read_text()
    assert status_of(port, "/admin/login/") == 200
    assert wait_until(
        lambda: status_of(port + 1, "/health/live/") == 200, seconds=START_SECONDS
    )
    assert status_of(port + 1, "/live/elections/") == 401
    assert (var_dir / "staff-login").stat().st_mode & 0o777 == 0o600

    second = launch()
    assert second.wait(timeout=START_SECONDS) == 1
    assert (
        f"already runs in {var_dir} (process {run.pid}, port {port})"
        in errors(var_dir).read_text()
    )

    killed = program(run, "gunicorn")
    killed.kill()
    assert wait_until(lambda: not killed.is_running(), seconds=STOP_SECONDS)
    assert wait_until(lambda: is_ready(port), seconds=START_SECONDS)
    assert program(run, "gunicorn").pid != killed.pid

    status = embedded.status(var_dir)
    for server in (status.postgres, status.redis):
        psutil.Process(server.pid).kill()
    assert wait_until(lambda: not is_ready(port), seconds=START_SECONDS)
    assert wait_until(lambda: is_ready(port), seconds=START_SECONDS)
    assert wait_until(
        lambda: embedded.status(var_dir).redis.is_running, seconds=START_SECONDS
    )

    processes = psutil.Process(run.pid).children(recursive=True)
    run.terminate()
    assert run.wait(timeout=STOP_SECONDS) == 0
    assert [process for process in processes if is_alive(process)] == []
    layout = Layout.of(var_dir)
    assert Postgres(layout).processes() | Redis(layout).processes() == set()
    assert "Traceback" not in errors(var_dir).read_text()


def is_alive(process):
    """Tell whether it runs; one that has ended may wait for init to take note."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("above", [0, 1])
def test_a_taken_port_is_refused_before_anything_starts(launch, var_dir, port, above):
    taken = port + above
    with socket.create_server(("127.0.0.1", taken)):
        run = launch()

        assert run.wait(timeout=START_SECONDS) == 1
    assert (
        errors(var_dir)
        .read_text()
        .startswith(f"Port {taken} cannot be used (Address already")
    )
    assert not (var_dir / "embedded").exists()


@pytest.mark.parametrize("value", ["0", "65535", "eighty", "-1"])
def test_a_malformed_port_is_refused(launch, var_dir, value):
    assert launch(PORT=value).wait(timeout=START_SECONDS) == 1
    assert (
        errors(var_dir).read_text()
        == f"PORT is '{value}': give a number from 1 to 65534.\n"
    )


def test_a_held_lock_is_refused(launch, var_dir):
    with (var_dir / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = launch()

        assert run.wait(timeout=START_SECONDS) == 1
    assert "Election Monitor already runs in" in errors(var_dir).read_text()


def test_a_killed_supervisor_takes_its_programs_along(tmp_path):
    script = f"""if True:
        import subprocess, sys, time
        from election_monitor.run.supervisor import leashed
        child = subprocess.Popen(leashed([{sys.executable!r}, "-c", "input()"]))
        print(child.pid, flush=True)
        time.sleep(600)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    is_itself = wait_until(lambda: "input()" in child.cmdline(), seconds=START_SECONDS)
    assert is_itself

    parent.kill()

    assert wait_until(lambda: not child.is_running(), seconds=STOP_SECONDS)
    parent.communicate()


def test_a_program_without_its_parent_does_not_start():
    words = leashed([sys.executable, "-c", "print('started')"])
    words[words.index(str(os.getpid()))] = "1"

    result = subprocess.run(words, capture_output=True, text=True, check=False)

    assert (result.returncode, result.stdout) == (1, "")


def test_what_fails_is_started_again_and_what_may_finish_is_not(tmp_path):
    failing, finishing = tmp_path / "failing", tmp_path / "finishing"
    note = "import sys; open(sys.argv[1], 'a').write('x'); sys.exit(int(sys.argv[2]))"
    words = [sys.executable, "-c", note]

    async def run_until_three_failures():
        supervisor = Supervisor(
            [
                Program("failing", [*words, str(failing), "1"], may_finish=True),
                Program("finishing", [*words, str(finishing), "0"], may_finish=True),
            ],
            revive=lambda: None,
        )
        running = asyncio.create_task(supervisor.run())
        while not (failing.exists() and len(failing.read_text()) == 3):
            assert not await supervisor.stopped_within(0.02)
        supervisor.stop()
        await running

    asyncio.run(asyncio.wait_for(run_until_three_failures(), START_SECONDS))

    assert failing.read_text() == "xxx"
    assert finishing.read_text() == "x"
