"""Where a request comes from, behind the proxies that stand in front."""

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str | None:
    """Return the address that the outermost trusted proxy saw, or None on a socket.

    Each proxy appends to X-Forwarded-For whom it was called by; what stands further left
    came from the client, who may have made it up.
    """
    direct = _address(request.META.get("REMOTE_ADDR", ""))
    if not (proxies := settings.TRUSTED_PROXIES):
        return direct
    stated = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    return _address(stated[-proxies:][0]) or direct


def _address(text: str) -> str | None:
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        return None
