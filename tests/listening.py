"""A listener to the live stream, as a browser is one, for tests."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Received:
    kind: str
    data: Any
    # The last id that the stream has told so far.
    last_id: str


class Refused(Exception):
    """The answer is no stream."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.headers = answer.status, answer.headers
        self.body = json.loads(answer.read())
        super().__init__(f"{self.status} {self.body}")


class Ended(Exception):
    """The stream has ended."""


class Listening:
    """An open stream; `last_id` is what a browser would come back with."""

    def __init__(
        self,
        port: int,
        path: str,
        *,
        ticket: str = "",
        after: str = "",
        last_event_id: str = "",
        origin: str = "",
        receive_buffer: int = 0,
        seconds: float = 20,
    ) -> None:
        self.last_id = last_event_id or after
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._connection.sock = socket.socket()
        if receive_buffer:
            self._connection.sock.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer
            )
        self._connection.sock.settimeout(seconds)
        self._connection.sock.connect(("127.0.0.1", port))
        query = "&".join(
            f"{name}={quote(value)}"
            for name, value in {"ticket": ticket, "after": after}.items()
            if value
        )
        headers = {"Last-Event-ID": last_event_id, "Origin": origin}
        self._connection.request(
            "GET",
            f"{path}?{query}",
            headers={name: value for name, value in headers.items() if value},
        )
        self.answer = self._connection.getresponse()
        if self.answer.status != 200:
            refused = Refused(self.answer)
            self.close()
            raise refused

    def __enter__(self) -> "Listening":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.answer.close()
        self._connection.close()

    def next(self) -> Received:
        """Wait for the next event.

        Raises:
            Ended: the stream has ended.
        """
        kind, data = "message", []
        while line := self.answer.readline():
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "event":
                kind = value
            elif name == "data":
                data.append(value)
            elif not name and data:
                return Received(kind, json.loads("\n".join(data)), self.last_id)
        raise Ended

    def until(self, kind: str) -> Received:
        """Wait for the next event of a kind."""
        while (received := self.next()).kind != kind:
            pass
        return received

    def rest(self) -> list[Received]:
        """Return what comes until the stream ends."""
        received = []
        with suppress(Ended):
            # Not by `extend`, which keeps nothing when the stream ends.
            for each in self:
                received.append(each)  # noqa: PERF402
        return received

    def __iter__(self) -> Iterator[Received]:
        while True:
            yield self.next()
