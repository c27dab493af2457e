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
    local = value.astimezone(ZoneInfo(zone))
    offset = f"{local:%z}"
    return f"{local.day} {local:%b %Y, %H:%M:%S} UTC{offset[:3]}:{offset[3:]}"
