"""Arrays of {"key": …, "stringValue": …}: the form of params and diff of the portal."""

from typing import Any

import orjson

from transactions.formats.errors import RowRefused
from transactions.formats.reasons import Reason

Entries = dict[str, dict[str, Any]]

# Present with false, 0 or "" is a value; only an absent name is none.
_VALUE_NAMES = ("stringValue", "intValue", "boolValue", "binaryValue")


def params_of(text: bytes) -> Entries:
    """Return the entries of the field params by key; the last of equal keys holds."""
    return _by_key(
        json_array(text, Reason.PARAMS_BROKEN_JSON, Reason.PARAMS_NOT_AN_ARRAY),
        Reason.PARAMS_ENTRY_WITHOUT_KEY,
    )


def diff_of(text: bytes) -> Entries:
    """Return the entries of the field diff by key; an empty field has none."""
    if not text:
        return {}
    return _by_key(
        json_array(text, Reason.DIFF_BROKEN_JSON, Reason.DIFF_NOT_AN_ARRAY),
        Reason.DIFF_ENTRY_WITHOUT_KEY,
    )


def value_of(entries: Entries, key: str) -> Any:
    """Return the value of `key`, whatever its type, or None where it has none."""
    if (entry := entries.get(key)) is None:
        return None
    # A loop: next() over a generator costs 0.5 µs more, five times per row.
    for name in _VALUE_NAMES:
        if name in entry:
            return entry[name]
    return None


def json_array(text: bytes | str, broken: Reason, not_an_array: Reason) -> list[Any]:
    """Return the array that `text` holds.

    Raises:
        RowRefused: for the reason `broken` or `not_an_array`. Nesting deeper than 1,024
            and numbers beyond a double are broken too.
    """
    try:
        array = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RowRefused(broken, error=error) from None
    if type(array) is not list:
        raise RowRefused(not_an_array)
    return array


def _by_key(array: list[Any], without_key: Reason) -> Entries:
    entries: Entries = {}
    try:
        for entry in array:
            key = entry["key"]
            if type(key) is not str:
                raise RowRefused(without_key)
            entries[key] = entry
    except (TypeError, KeyError):
        raise RowRefused(without_key) from None
    return entries
