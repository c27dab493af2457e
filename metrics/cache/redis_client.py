"""Redis as the cache needs it: bytes as they are, and a server that can be told apart."""

from threading import Lock
from typing import Any

from django_redis.client import DefaultClient

# Of the server that was connected to last: another one after each of its restarts.
_run_id = b""
# One greeting at a time: what an old server said is never noted after a new one's word.
_greeting = Lock()


def run_id() -> bytes:
    """Return which run of the server this process talks to, empty where it is unknown.

    A server that restarts from a snapshot has versions of tags and entries again that
    were bumped since: by its run they are told from those of now.
    """
    return _run_id


class BytesClient(DefaultClient):  # type: ignore[misc]
    """Keeps bytes and numbers as they are; notes which run of the server it is connected to."""

    def __init__(self, server: Any, params: dict[str, Any], backend: Any) -> None:
        options = params.get("OPTIONS", {})
        pool = options.get("CONNECTION_POOL_KWARGS", {})
        watched = {**pool, "redis_connect_func": _greet}
        options = {**options, "CONNECTION_POOL_KWARGS": watched}
        super().__init__(server, {**params, "OPTIONS": options}, backend)

    def encode(self, value: bytes | int, **_: object) -> bytes | int:
        """Return the value as it is."""
        return value

    def decode(self, value: bytes) -> bytes:
        """Return the bytes as they are."""
        return value


def _greet(connection: Any) -> None:
    global _run_id
    connection.on_connect()
    with _greeting:
        connection.send_command("INFO", "server")
        told = connection.read_response()
        text = told.decode() if isinstance(told, bytes) else str(told)
        lines = [line for line in text.splitlines() if line.startswith("run_id:")]
        _run_id = lines[0].encode() if lines else b""
