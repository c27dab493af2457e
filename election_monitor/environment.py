"""Read environment variables strictly: what makes no sense stops the start.

django-environ takes any word for false, and an address of any kind for a database.
"""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import ImproperlyConfigured

ON, OFF = {"1", "true", "on", "yes"}, {"0", "false", "off", "no"}
NO_LIMIT = "off"
RATE = re.compile(r"([1-9][0-9]{0,8})/(s|sec|min|m|hour|h|day|d)", re.ASCII)
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds."""

    requests: int
    seconds: int

    @property
    def per_second(self) -> float:
        """Return the rate on a scale that rates can be compared on."""
        return self.requests / self.seconds


def flag(name: str, *, default: bool) -> bool:
    """Return whether a switch is on; empty counts as not set.

    Raises:
        ImproperlyConfigured: the value is neither on nor off.
    """
    value = os.environ.get(name, "").lower()
    if value not in ON | OFF | {""}:
        raise ImproperlyConfigured(f"{name} is {value!r}: use 1 or 0.")
    return value in ON if value else default


def count(name: str, *, default: int, smallest: int = 1) -> int:
    """Return a whole number of at least `smallest`; empty counts as not set.

    Raises:
        ImproperlyConfigured: the value is none.
    """
    value = os.environ.get(name) or str(default)
    if not (value.isascii() and value.isdigit() and int(value) >= smallest):
        raise ImproperlyConfigured(
            f"{name} is {value!r}: use a whole number above {smallest - 1}."
        )
    return int(value)


def seconds(name: str, *, default: float) -> float:
    """Return a number of seconds, with a fraction or not; empty counts as not set.

    Raises:
        ImproperlyConfigured: the value is none, or below 0.
    """
    value = os.environ.get(name) or str(default)
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value):
        raise ImproperlyConfigured(f"{name} is {value!r}: use a number of seconds.")
    return float(value)


def rates(name: str, *, default: Mapping[str, Rate | None]) -> dict[str, Rate | None]:
    """Return the rate of each role, None where there is no limit.

    `default` names all roles, and holds for those that the value leaves out.

    Raises:
        ImproperlyConfigured: the value names another role, or no rate.
    """
    value = os.environ.get(name, "").strip()
    if value.lower() == NO_LIMIT:
        return dict.fromkeys(default)
    stated = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        role, _, rate = (word.strip() for word in part.partition("="))
        if role not in default or not (rate == NO_LIMIT or RATE.fullmatch(rate)):
            raise ImproperlyConfigured(
                f"{name} has {part!r}: use off, or a list such as "
                f"anonymous=120/min,viewer=off. Roles: {', '.join(default)}; periods: "
                "sec, min, hour, day."
            )
        stated[role] = None if rate == NO_LIMIT else rate_of(rate)
    return {**default, **stated}


def rate_of(text: str) -> Rate:
    """Return a rate such as 120/min."""
    requests, _, period = text.partition("/")
    return Rate(int(requests), SECONDS[period[0]])


def origins(name: str) -> list[str]:
    """Return origins, such as https://monitor.example.org; empty counts as none.

    Raises:
        ImproperlyConfigured: one is none. A path or a star would never match.
    """
    stated = [part.strip() for part in os.environ.get(name, "").split(",")]
    found = [part.rstrip("/").lower() for part in stated if part]
    for origin in found:
        if not ORIGIN.fullmatch(origin):
            raise ImproperlyConfigured(
                f"{name} has {origin!r}: use origins such as "
                "https://monitor.example.org, with commas between them."
            )
    return found


def url(name: str, *, schemes: Collection[str]) -> str:
    """Return the address of a service, or an empty text where there is none.

    Raises:
        ImproperlyConfigured: it begins with none of `schemes`. The message does not
            repeat the address: it may hold a password.
    """
    value = os.environ.get(name, "")
    if value and urlsplit(value).scheme not in schemes:
        known = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ImproperlyConfigured(f"{name} has to begin with {known}")
    return value


def origin_of(address: str) -> list[str]:
    """Return the origin of an address, nothing where it is relative."""
    parts = urlsplit(address)
    return [f"{parts.scheme}://{parts.netloc}"] if parts.netloc else []


def broker_url(redis_url: str) -> str:
    """Return the address of a Redis as Celery spells it: sockets have another scheme."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{parts.path}?virtual_host={database}"


def named(redis_url: str, name: str) -> str:
    """Return the address of a Redis that is told `name` by whoever connects to it."""
    joint = "&" if urlsplit(redis_url).query else "?"
    return f"{redis_url}{joint}client_name={name}"


def writable_folder(name: str, path: Path) -> Path:
    """Return `path`, made where it is missing; the setting `name` led to it.

    Raises:
        ImproperlyConfigured: it cannot be made.
    """
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name} leads to {path}, which cannot be made: {error.strerror}."
        ) from error
    return path
