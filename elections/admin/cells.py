"""How values look in lists and forms: short, aligned, and with the whole in a title."""

from datetime import UTC, datetime, tzinfo
from urllib.parse import urlencode

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator

NOTHING = SafeString('<span class="em-nothing" title="not known">–</span>')


def number(value: float | None) -> SafeString:
    """Return a number with its thousands apart, aligned to the right."""
    if value is None:
        return NOTHING
    return format_html('<span class="em-number">{}</span>', f"{value:,}")


def percent(value: float | None) -> SafeString:
    """Return a rate in percent, with two decimals."""
    if value is None:
        return NOTHING
    return format_html('<span class="em-number">{} %</span>', f"{value:,.2f}")


def moment(
    value: datetime | None, zone: tzinfo = UTC, *, timespec: str = "minutes"
) -> SafeString:
    """Return an instant on the clock of its zone, with the offset; UTC on hovering."""
    if value is None:
        return NOTHING
    local = value.astimezone(zone)
    text = local.isoformat(sep=" ", timespec=timespec)
    offset_start = len(text) - len("+00:00")
    return format_html(
        '<time class="em-time" datetime="{}" title="{} UTC">{} <small>{}</small></time>',
        value.isoformat(),
        f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        text[:offset_start],
        "UTC" if zone is UTC else text[offset_start:],
    )


def label_hour(value: datetime | None) -> SafeString:
    """Return the hour that a file's name states; no zone is known for it."""
    if value is None:
        return NOTHING
    return format_html(
        '<span class="em-time" title="Hour in the file’s name">{}</span>',
        f"{value.astimezone(UTC):%Y-%m-%d %H:%M}",
    )


def short(text: str, length: int = 60) -> SafeString:
    """Return the start of a text of any length; the whole shows on hovering."""
    if not text:
        return NOTHING
    return format_html(
        '<span class="em-short" title="{}">{}</span>',
        text,
        Truncator(text).chars(length),
    )


def code(text: str, length: int = 24) -> SafeString:
    """Return the start of an id or a digest in type of one width."""
    if not text:
        return NOTHING
    return format_html(
        '<code class="em-short" title="{}">{}</code>',
        text,
        Truncator(text).chars(length),
    )


def whole(text: str) -> SafeString:
    """Return a text in full, broken where it must be."""
    return format_html('<span class="em-whole">{}</span>', text) if text else NOTHING


def digest(value: bytes | memoryview | None) -> SafeString:
    """Return a digest as hexadecimal digits."""
    if not value:
        return NOTHING
    return format_html('<code class="em-whole">{}</code>', bytes(value).hex())


def badge(kind: str, text: str) -> SafeString:
    """Return a word in a coloured frame; kinds: good, busy, bad, quiet, simulated."""
    return format_html('<span class="em-badge em-{}">{}</span>', kind, text)


def link(address: str, label: str) -> SafeString:
    """Return a link."""
    return format_html('<a href="{}">{}</a>', address, label)


def change_url(obj: Model) -> str:
    """Return the address of an object's own page in the admin."""
    options = obj._meta
    name = f"admin:{options.app_label}_{options.model_name}_change"
    return reverse(name, args=[obj.pk])


def list_url(model: type[Model], **filters: object) -> str:
    """Return the address of a model's list in the admin, with filters set."""
    options = model._meta
    address = reverse(f"admin:{options.app_label}_{options.model_name}_changelist")
    return f"{address}?{urlencode(filters)}" if filters else address


def links(pages: list[tuple[str, str]]) -> SafeString:
    """Return links side by side, given as pairs of label and address."""
    items = ((address, label) for label, address in pages)
    joined = format_html_join(" · ", '<a href="{}">{}</a>', items)
    return format_html('<span class="em-links">{}</span>', joined)
