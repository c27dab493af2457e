"""How pages write numbers and times."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django import template

register = template.Library()

NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"


@register.filter
def grouped(number: int) -> str:
    """Return `number` in groups of three digits."""
    return f"{number:,}".replace(",", NARROW_SPACE)


@register.filter
def percent(rate: float) -> str:
    """Return `rate`, which is in percent, with one decimal."""
    return f"{rate:,.1f}{NARROW_SPACE}%".replace(",", NARROW_SPACE)


@register.filter
def moment(value: datetime, zone: str = "UTC") -> str:
    """Return date, time and offset in `zone`: 18 Sep 2026, 14:05:33 UTC+03:00."""
    return _written(value.astimezone(ZoneInfo(zone)), "%H:%M:%S")


@register.filter
def minute(value: datetime, zone: str = "UTC") -> str:
    """Return the same without seconds: 18 Sep 2026, 14:05 UTC+03:00."""
    return _written(value.astimezone(ZoneInfo(zone)), "%H:%M")


def _written(local: datetime, clock: str) -> str:
    offset = f"{local:%z}"
    zone = f"UTC{offset[:3]}:{offset[3:5]}"
    return f"{local.day} {local:%b %Y}, {local:{clock}} {zone}"
