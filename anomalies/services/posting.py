"""One HTTP request to an address that staff have typed in: bounded, and never inwards."""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

from django.utils.encoding import iri_to_uri

# From the first packet to the last byte of the answer.
TIMEOUT_SECONDS = 5.0
# So much of an answer is read, to tell staff why it is a refusal.
ANSWER_BYTES = 1_024
# IPv4 behind a translator: where it leads stands in its last four bytes.
TRANSLATED = IPv6Network("64:ff9b::/96")
PORTS = {"http": 80, "https": 443}

IpAddress = IPv4Address | IPv6Address


class NoAnswer(Exception):
    """The receiver could not be reached, or did not answer in time."""


class PrivateAddress(NoAnswer):
    """The address leads to this machine, or into its network."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    # The beginning of its body.
    text: str

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, may_be_private: bool
) -> Answer:
    """Post a body and return the answer; redirects and proxies are not followed.

    Raises:
        NoAnswer: there was none.
    """
    try:
        return _post(url, body, headers, may_be_private=may_be_private)
    except TimeoutError as error:
        raise NoAnswer(f"No answer within {TIMEOUT_SECONDS:g} s.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(f"{type(error).__name__}: {error}") from error


def _post(
    url: str, body: bytes, headers: Mapping[str, str], *, may_be_private: bool
) -> Answer:
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("The address is neither https:// nor http://.")
    host = parts.hostname.encode("idna").decode()
    port = parts.port or PORTS[parts.scheme]
    connection = http.client.HTTPConnection(host, port)
    # What goes without saying in the header Host.
    connection.default_port = PORTS[parts.scheme]
    # The name is looked up once: what was judged is what is connected to.
    ends_at = time.monotonic() + TIMEOUT_SECONDS
    plain = _connected(host, port, ends_at, may_be_private=may_be_private)
    try:
        if parts.scheme == "https":
            plain.settimeout(_left(ends_at))
            plain = _trust().wrap_socket(plain, server_hostname=host)
        connection.sock = _TimedSocket(plain, ends_at)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(
            "POST", iri_to_uri(target), body, {"Connection": "close", **headers}
        )
        response = connection.getresponse()
        text = b""
        # The status stands, whatever becomes of the rest.
        with suppress(OSError, http.client.HTTPException):
            text = response.read(ANSWER_BYTES)
        return Answer(response.status, text.decode("utf-8", "replace"))
    finally:
        connection.close()
        plain.close()


def is_public(address: str) -> bool:
    """Tell whether an address is on the internet, and not of this machine or its network."""
    found: IpAddress = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found.sixtofour is not None:
            found = found.sixtofour
        elif found in TRANSLATED:
            found = IPv4Address(int(found) & 0xFFFFFFFF)
        elif found.is_site_local:
            return False
    return found.is_global and not (found.is_multicast or found.is_reserved)


def _connected(
    host: str, port: int, ends_at: float, *, may_be_private: bool
) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    usable = [
        (family, address)
        for family, _, _, _, address in found
        if may_be_private or is_public(str(address[0]))
    ]
    if not usable:
        raise PrivateAddress(
            f"{host} leads to this machine or into its network "
            f"({found[0][4][0]}): ELECTION_MONITOR_WEBHOOK_PRIVATE_HOSTS is off."
        )
    trouble: OSError | None = None
    for family, address in usable:
        connecting = socket.socket(family, socket.SOCK_STREAM)
        try:
            connecting.settimeout(_left(ends_at))
            connecting.connect(address)
        except OSError as error:
            connecting.close()
            trouble = error
        else:
            return connecting
    raise trouble or OSError("No address was found.")


def _left(ends_at: float) -> float:
    left = ends_at - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


class _TimedSocket:
    """A socket whose calls have one deadline together.

    A time-out of Python's is one per call: whoever sends a byte every four seconds would
    hold a worker for hours.
    """

    def __init__(self, wrapped: socket.socket, ends_at: float) -> None:
        self._wrapped, self._ends_at = wrapped, ends_at

    def sendall(self, data: Any) -> None:
        self._wrapped.settimeout(_left(self._ends_at))
        self._wrapped.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._wrapped, self._ends_at))

    def close(self) -> None:
        """Leave it open: the answer is read after its connection is given up."""


class _TimedReader(io.RawIOBase):
    def __init__(self, wrapped: socket.socket, ends_at: float) -> None:
        super().__init__()
        self._wrapped, self._ends_at = wrapped, ends_at

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._wrapped.settimeout(_left(self._ends_at))
        return self._wrapped.recv_into(buffer)
