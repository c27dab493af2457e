"""Where a request comes from, behind the proxies that stand in front."""

import re
from ipaddress import IPv4Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest

# With a port, as some proxies write it.
WITH_PORT = re.compile(r"\[(?P<v6>[^\]]+)\](:\d+)?|(?P<v4>[\d.]+):\d+", re.ASCII)
# What one customer of a provider has; inside it an address is chosen at will.
CUSTOMER_BITS = 64


def client_address(request: HttpRequest) -> str | None:
    """Return the address that the outermost trusted proxy saw, or None on a socket.

    Of IPv6 the first address of its /64: whoever has one has all of it.

    Each proxy appends to X-Forwarded-For whom it was called by; what stands further left
    came from the client, who may have made it up.
    """
    direct = _address(request.META.get("REMOTE_ADDR", ""))
    if not (proxies := settings.TRUSTED_PROXIES):
        return direct
    stated = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    return _address(stated[-proxies:][0]) or direct


def _address(text: str) -> str | None:
    stated = text.strip()
    if (parts := WITH_PORT.fullmatch(stated)) is not None:
        stated = parts["v6"] or parts["v4"]
    try:
        address = ip_address(stated)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    network = IPv6Network((int(address), CUSTOMER_BITS), strict=False)
    return str(network.network_address)
