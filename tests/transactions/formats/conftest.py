"""Portal lines and archives, composed field by field."""

import io
import json
import zipfile

import pytest

CONTRACT = "CJ9vdyteoijMZrUXjhfTymUGP6JMvtKppdQ9ZxHKNoPc"
TX = "65dbpXxZ4bq7tQ9cG5r7mJ2kL8nP3sVwYzAaBbCcDdE"
KEY = "883ZWFtest"
TS = 1725604228819


def entry(key, value):
    name = {bool: "boolValue", int: "intValue"}.get(type(value), "stringValue")
    return {"key": key, name: value}


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@pytest.fixture
def contract():
    return CONTRACT


@pytest.fixture
def line():
    """Compose a line; `fields` replaces single fields by their number."""

    def compose(operation="vote", params=(), diff=None, fields=None, **named):
        told = [entry("operation", operation)] if operation else []
        told += list(params)
        written = [f"VOTE_{KEY}"] if diff is None else diff
        values = [
            named.get("tx_id", TX),
            named.get("kind", "104"),
            "3dK",
            "4",
            str(named.get("ts", TS)),
            KEY,
            "0",
            "",
            compact(told),
            compact([{"key": key, "stringValue": "{}"} for key in written]),
            '{"contractVersion":1}',
            "",
        ]
        for number, value in (fields or {}).items():
            values[number] = value
        return ";".join(values)

    return compose


@pytest.fixture
def issue(line):
    """Compose an accepted issue to `users`."""

    def compose(users=("9f2c",), diff=(f"BLINDSIG_{TX}",), data=None, **named):
        told = compact([{"userId": user, "maskedSig": "0a"} for user in users])
        params = [
            entry("data", told if data is None else data),
            entry("primaryUikRegionCode", "90"),
            entry("primaryUikNumber", 1734),
        ]
        return line("blindSigIssue", params, list(diff), **named)

    return compose


@pytest.fixture
def zipped():
    """Compose a zip archive of members, in memory."""

    def compose(members, **options):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **options) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    return compose
