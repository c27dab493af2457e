"""Reading of written exports, and elections that several tests look at."""

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle import File, Recount, recount
from transactions.simulator import ElectionPlan, World, build, parse_injection

LABEL_ZONE = timezone(timedelta(hours=3))
FIGURES = (
    "bulletins_issued",
    "votes_cast",
    "revotes",
    "transaction_count",
    "failed_count",
)


def plan(*injections: str, faults=frozenset(), **changes) -> ElectionPlan:
    fields: dict[str, Any] = {
        "slug": "test",
        "name": "Симуляция: проверка",
        "constituencies": 12,
    }
    fields |= {"transactions": 8_000, "seed": 5, "faults": frozenset(faults)}
    parsed = tuple(parse_injection(item) for item in injections)
    return ElectionPlan(**(fields | changes), injections=parsed)


def world(*injections: str, faults=frozenset(), **changes) -> World:
    return build(plan(*injections, faults=faults, **changes))


def read_export(out: Path) -> list[File]:
    """Return the files below `out`, later versions last."""
    named = list(_members(out))
    named.sort(key=lambda item: (item[0].startswith("republished/"), item[0]))
    return [_file(name, content) for name, content in named]


def _members(out: Path) -> Iterator[tuple[str, bytes]]:
    for path in out.rglob("*"):
        name = path.relative_to(out).as_posix()
        if path.suffix == ".csv":
            yield name, path.read_bytes()
        elif path.suffix == ".zip":
            prefix = "" if path.parent == out else f"{name}/"
            with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
                for member in archive.namelist():
                    yield prefix + member, archive.read(member)


def _file(name: str, content: bytes) -> File:
    contract_id, day, hours = name.rsplit("/", 1)[-1].removesuffix(".csv").split("_")
    start = datetime.strptime(f"{day} {hours[:4]}", "%Y-%m-%d %H%M")  # noqa: DTZ007
    interval = start.replace(tzinfo=LABEL_ZONE)
    return File(name, contract_id, interval, content.split(b"\n"))


def read_truth(out: Path) -> dict:
    return json.loads((out / "truth.json").read_text(encoding="utf-8"))


def accounts(truth: dict) -> dict[str, dict]:
    """Return every contract's account, those outside the tree included."""
    return truth["contracts"] | truth["unknown_contracts"]


def zones(truth: dict) -> dict[str, ZoneInfo]:
    return {key: ZoneInfo(item["timezone"]) for key, item in accounts(truth).items()}


def recounted(out: Path) -> Recount:
    return recount(read_export(out), zones(read_truth(out)))


def as_account(counted: Recount, contract_id: str) -> dict:
    """Return what the oracle counted in the form of the truth."""
    hours = {
        f"{hour:%Y-%m-%dT%H:%M:%SZ}": [getattr(figures, name) for name in FIGURES]
        for (owner, hour), figures in counted.hours.items()
        if owner == contract_id
    }
    total = counted.totals[contract_id]
    return {
        "registered_voters": counted.registered[contract_id] or 0,
        **{name: getattr(total, name) for name in FIGURES},
        "hours": hours,
    }
