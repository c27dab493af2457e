"""Read environment variables strictly: what makes no sense stops the start.

django-environ takes any word for false, and an address of any kind for a database.
"""

import os
import re
from collections.abc import Collection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import ImproperlyConfigured

ON, OFF = {"1", "true", "on", "yes"}, {"0", "false", "off", "no"}


def flag(name: str, *, default: bool) -> bool:
    """Return whether a switch is on; empty counts as not set.

    Raises:
        ImproperlyConfigured: the value is neither on nor off.
    """
    value = os.environ.get(name, "").lower()
    if value not in ON | OFF | {""}:
        raise ImproperlyConfigured(f"{name} is {value!r}: use 1 or 0.")
    return value in ON if value else default


def count(name: str, *, default: int) -> int:
    """Return a whole number of at least 1; empty counts as not set.

    Raises:
        ImproperlyConfigured: the value is none.
    """
    value = os.environ.get(name) or str(default)
    if not (value.isascii() and value.isdigit() and int(value)):
        raise ImproperlyConfigured(f"{name} is {value!r}: use a whole number above 0.")
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
