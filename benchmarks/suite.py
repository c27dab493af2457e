"""Runs the benchmarks asked for, one after the other."""

from collections.abc import Callable, Iterator, Sequence

from django.db import connection

from benchmarks import (
    anomalies,
    answers,
    databases,
    growth,
    imports,
    live,
    memory,
    prepared,
    recompute,
    updates,
)
from benchmarks.measure import Figure, Verdict
from benchmarks.progress import say
from benchmarks.report import print_report
from benchmarks.sizes import Sizes

# Migrated and empty: what the databases of single benchmarks are copied from.
PRISTINE = "bench_pristine"

# Several figures come from the same rounds of imports.
FILES = {"large-files", "small-zips", "replay"}


def run(*, names: Sequence[str], sizes: Sizes) -> bool:
    """Measure and print; return whether no budget is missed."""
    databases.create(PRISTINE, template=str(connection.settings_dict["NAME"]))
    figures: list[Figure] = []
    for group, benchmark in _benchmarks(sizes):
        if group & set(names):
            say(f"— {', '.join(sorted(group & set(names)))} …")
            figures += [f for f in benchmark() if f.group in names]
    print_report(figures, sizes)
    return all(figure.verdict != Verdict.MISSED for figure in figures)


def _benchmarks(
    sizes: Sizes,
) -> Iterator[tuple[set[str], Callable[[], Iterator[Figure]]]]:
    yield {"prepared"}, lambda: prepared.run(sizes, pristine=PRISTINE)
    yield FILES, lambda: imports.run(sizes)
    yield {"recompute"}, lambda: recompute.run(sizes, pristine=PRISTINE)
    yield {"updates"}, lambda: updates.run(sizes, pristine=PRISTINE)
    yield {"anomalies"}, lambda: anomalies.run(sizes, pristine=PRISTINE)
    yield {"live"}, lambda: live.run(sizes, pristine=PRISTINE)
    yield {"answers"}, lambda: answers.run(sizes, pristine=PRISTINE)
    yield {"growth"}, lambda: growth.run(sizes, pristine=PRISTINE)
    yield {"memory"}, lambda: memory.run(sizes)
