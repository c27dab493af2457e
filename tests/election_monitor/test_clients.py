"""Whose address counts, behind proxies."""

import pytest
from django.test import RequestFactory

from election_monitor.clients import client_address


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, "", "192.0.2.1"),
        # Without a proxy it is the client's own word.
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (2, "198.51.100.1, 203.0.113.9", "198.51.100.1"),
        (2, "9.9.9.9,198.51.100.1 ,203.0.113.9", "198.51.100.1"),
        # Fewer than stated: the leftmost is the best there is.
        (3, "198.51.100.1, 203.0.113.9", "198.51.100.1"),
        # Whoever has one of these has the whole /64.
        (1, "2001:DB8::1", "2001:db8::"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        (1, "[2001:db8:1:2::9]:4711", "2001:db8:1:2::"),
        (1, "[2001:db8:1:2::9]", "2001:db8:1:2::"),
        (1, "fe80::1%eth0", "fe80::"),
        (1, "::ffff:203.0.113.9", "203.0.113.9"),
        (1, "203.0.113.9:5060", "203.0.113.9"),
        (1, "unknown", "192.0.2.1"),
        (1, "[unknown]:1", "192.0.2.1"),
        (1, "999.0.113.9:5060", "192.0.2.1"),
        (1, "a\0b", "192.0.2.1"),
        (1, "203.0.113.9,", "192.0.2.1"),
    ],
)
def test_the_address_is_what_the_outermost_trusted_proxy_saw(
    settings, proxies, forwarded, expected
):
    settings.TRUSTED_PROXIES = proxies
    meta = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}

    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", **meta)

    assert client_address(request) == expected


def test_a_socket_has_no_address():
    assert client_address(RequestFactory().get("/", REMOTE_ADDR="")) is None
