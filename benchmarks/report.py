"""The table, and what it was measured on."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version

from django.db import connection

from benchmarks.measure import Figure, Verdict
from benchmarks.sizes import Sizes

SETTINGS = [
    "server_version",
    "shared_buffers",
    "effective_cache_size",
    "work_mem",
    "max_wal_size",
    "checkpoint_timeout",
    "wal_level",
    "wal_compression",
    "full_page_writes",
    "fsync",
    "synchronous_commit",
    "autovacuum",
    "jit",
    "max_parallel_workers_per_gather",
]
PACKAGES = ["Django", "psycopg", "polars", "numpy", "orjson"]
HEADINGS = ("figure", "", "limit", "", "ratio", "p5–p95", "budget", "verdict")


def print_report(figures: Sequence[Figure], sizes: Sizes) -> None:
    """Print figures beside limits, then machine, versions and server settings."""
    rows = [HEADINGS, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())
    pairs = max((len(figure.pairs) for figure in figures), default=0)
    print(f"\nsize: {sizes.name}; {pairs} interleaved pairs per ratio, median shown")
    print(f"machine: {os.cpu_count()} cores, {_memory_gib():.0f} GiB, {_load()}")
    print("versions: " + ", ".join(_versions()))
    print("server: " + ", ".join(_server_settings()))


def _row(figure: Figure) -> tuple[str, ...]:
    measured, limit, ratio = figure.medians
    low, high = figure.interval
    verdict: Verdict = figure.verdict
    return (
        figure.name,
        _number(measured, figure.unit),
        figure.limit,
        _number(limit, figure.unit),
        f"{ratio:.2f}",
        f"{low:.2f}–{high:.2f}",
        str(figure.budget or "–"),
        verdict.value,
    )


def _number(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:,.2f} {unit}"


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def _load() -> str:
    return "load {:.1f} / {:.1f} / {:.1f} at the end".format(*os.getloadavg())


def _versions() -> list[str]:
    packages = [f"{name} {version(name)}" for name in PACKAGES]
    return [f"Python {platform.python_version()}", *packages]


def _server_settings() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name || ' ' || current_setting(name) FROM unnest(%s::text[]) AS name",
            [SETTINGS],
        )
        return [row[0] for row in cursor.fetchall()]
