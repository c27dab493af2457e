"""What answers of the API cost: out of the cache, without it, and ending them."""

import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.cache import caches
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings

from benchmarks import databases
from benchmarks.measure import Figure, at_least, at_most, seconds
from benchmarks.progress import say
from benchmarks.rows import make_places
from benchmarks.sizes import Sizes
from benchmarks.updates import environment_of_database
from benchmarks.web_urls import KEY
from elections.models import Constituency, MachineToken
from elections.tags import constituency_tag
from metrics.cache import metrics_cache
from metrics.models import HourlyStats

HOURS = 72
CONNECTIONS, ROUND_SECONDS = 8, 1.5
MANY_ENTRIES, MISSES, INVALIDATIONS = 100_000, 30, 300
START = datetime(2026, 9, 18, tzinfo=UTC)


def run(sizes: Sizes, *, pristine: str) -> Iterator[Figure]:
    with databases.temporary("bench_answers", template=pristine):
        contract_id = _fill()
        path = f"/api/v1/hourly-stats/?constituency={contract_id}"
        yield from _hits(sizes, path)
        yield _miss(sizes, f"/api/v1/metrics/constituencies/{contract_id}/")
        yield _invalidation(sizes)


def _fill() -> str:
    """Make a constituency of seventy-two hours."""
    [place] = make_places("answers", 1)
    election = Constituency.objects.get(pk=place.constituency_id).election
    HourlyStats.objects.bulk_create(
        HourlyStats(
            election=election,
            constituency_id=place.constituency_id,
            hour=START + timedelta(hours=hour),
            timestamp=START,
            votes_cast=hour,
            bulletins_issued=hour + 1,
            transaction_count=2 * hour + 1,
        )
        for hour in range(HOURS)
    )
    return place.contract_id


def _hits(sizes: Sizes, path: str) -> Iterator[Figure]:
    anonymous = Figure(
        "answers", "API hit, anonymous", "bare view", "requests/s", at_least(0.8)
    )
    known = Figure(
        "answers", "API hit, with token", "bare view", "requests/s", at_least(0.5)
    )
    unchanged = Figure(
        "answers", "API 304, anonymous", "bare view", "requests/s", at_least(0.8)
    )
    headers = {"Authorization": f"Token {_token()}"}
    with _web() as port:
        answer = _ask(port, path, {})
        etag = answer.partition(b"ETag: ")[2].partition(b"\r\n")[0].decode()
        # The bare view has the very same bytes to send.
        caches["metrics"].set(KEY, answer.partition(b"\r\n\r\n")[2], timeout=None)
        for number in range(sizes.pairs + 1):
            limit = _rate(port, "/api/v1/bare/", {})
            rates = [
                (anonymous, _rate(port, path, {})),
                (known, _rate(port, path, headers)),
                (unchanged, _rate(port, path, {"If-None-Match": etag})),
            ]
            told = ", ".join(f"{rate:,.0f}" for _, rate in rates)
            say(f"hits {number}: {told} of {limit:,.0f} requests/s")
            if number:
                for figure, rate in rates:
                    figure.add(rate, limit)
    yield from (anonymous, known, unchanged)


def _miss(sizes: Sizes, path: str) -> Figure:
    """Compare an answer that has to be computed with the bare statements it asks."""
    figure = Figure(
        "answers",
        f"API miss, constituency of {HOURS} hours",
        "its bare SQL",
        "ms",
        at_most(5),
    )
    client = Client()
    # No server in between: the limit has none either.
    with override_settings(API_PUBLIC_READ=True, ALLOWED_HOSTS=["testserver"]):
        with CaptureQueriesContext(connection) as queries:
            client.get(path)
        statements = [query["sql"] for query in queries]
        for number in range(sizes.pairs + 1):
            taken = seconds(lambda: _repeat_miss(client, path)) * 1_000 / MISSES
            limit = seconds(lambda: _repeat_sql(statements)) * 1_000 / MISSES
            say(f"miss {number}: {taken:.1f} ms, its SQL {limit:.1f} ms")
            if number:
                figure.add(taken, limit)
    return figure


def _repeat_miss(client: Client, path: str) -> None:
    for _ in range(MISSES):
        metrics_cache().invalidate_all()
        if client.get(path).headers["X-Cache"] != "MISS":
            raise RuntimeError("This was to be computed.")


def _repeat_sql(statements: Sequence[str]) -> None:
    for _ in range(MISSES):
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                cursor.fetchall()


def _invalidation(sizes: Sizes) -> Figure:
    figure = Figure(
        "answers", f"ending {MANY_ENTRIES:,} entries", "ending 1", "ms", at_most(1.1)
    )
    for name in ("one", "many"):
        tags = [constituency_tag(name)]
        metrics_cache().fetch(f"answer:{name}", lambda: b"{}", tags=tags)
    kept = caches["metrics"].get("answer:many")
    for number in range(MANY_ENTRIES):
        caches["metrics"].set(f"answer:{number}", kept, timeout=600)
    for number in range(sizes.pairs + 1):
        many = seconds(lambda: _repeat_invalidation("many")) * 1_000 / INVALIDATIONS
        one = seconds(lambda: _repeat_invalidation("one")) * 1_000 / INVALIDATIONS
        say(f"ending {number}: {many:.3f} ms, of one {one:.3f} ms")
        if number:
            figure.add(many, one)
    return figure


def _repeat_invalidation(name: str) -> None:
    for _ in range(INVALIDATIONS):
        metrics_cache().invalidate([constituency_tag(name)])


def _token() -> str:
    user = get_user_model().objects.create_user("machine")
    user.groups.add(Group.objects.get_or_create(name="viewer")[0])
    _, token = MachineToken.objects.create(user, name="bench")
    return str(token)


@contextmanager
def _web() -> Iterator[int]:
    """Run the web server on the database of this benchmark."""
    Path(settings.STATIC_ROOT).mkdir(exist_ok=True)
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        port = own.getsockname()[1]
    environment = environment_of_database() | {
        "DJANGO_SETTINGS_MODULE": "benchmarks.web_settings",
        "API_PUBLIC_READ": "1",
        "THROTTLE_RATES": "off",
        "PORT": str(port),
        # With two, the rate is that of how connections happen to fall to them.
        "GUNICORN_CMD_ARGS": "--workers=1",
    }
    words = ("-m", "gunicorn", "--config", "python:election_monitor.web")
    process = subprocess.Popen((sys.executable, *words), env=environment)
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("The web server does not answer.")


def _request(path: str, headers: dict[str, str]) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _ask(port: int, path: str, headers: dict[str, str]) -> bytes:
    """Return an answer, which is kept from then on."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port)) as own:
        for _ in range(2):
            own.sendall(_request(path, headers))
            answer = b""
            while not _is_whole(answer):
                answer += own.recv(65536)
    return answer


def _rate(port: int, path: str, headers: dict[str, str]) -> float:
    """Return requests per second over several connections, each one at a time.

    By bare sockets in one thread: a client that costs as much as the server would hide it.
    """
    request = _request(path, headers)
    answered, buffers = 0, {}
    with selectors.DefaultSelector() as selector:
        for _ in range(CONNECTIONS):
            own = socket.create_connection(("127.0.0.1", port))
            selector.register(own, selectors.EVENT_READ)
            buffers[own] = b""
            own.sendall(request)
        started = time.monotonic()
        while (passed := time.monotonic() - started) < ROUND_SECONDS:
            for key, _ in selector.select(timeout=1):
                own = key.fileobj  # type: ignore[assignment]
                buffers[own] += own.recv(65536)
                if _is_whole(buffers[own]):
                    answered += 1
                    buffers[own] = b""
                    own.sendall(request)
        for own in buffers:
            own.close()
    return answered / passed


def _is_whole(answer: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 304")):
        raise RuntimeError(f"Not answered: {head[:200]!r}")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return len(body) >= int(length or 0)
