"""Memory of an import of one large file, in a process of its own."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from benchmarks.files import ExportWriter
from benchmarks.measure import Figure, at_most
from benchmarks.progress import say
from benchmarks.sizes import Sizes

MIB = 1 << 20
SAMPLE_SECONDS = 0.05


def run(sizes: Sizes) -> Iterator[Figure]:
    size = sizes.memory_file_bytes
    name = f"memory, one file of {size / 1e6:,.0f} MB"
    figure = Figure("memory", name, "1 GiB", "MiB", at_most(1))
    with tempfile.TemporaryDirectory(dir=os.environ["VAR_DIR"]) as folder:
        ExportWriter(np.random.default_rng(5)).one(Path(folder) / "x", size=size)
        peak = _peak_of_import(folder)
    say(f"memory: {peak / MIB:,.0f} MiB")
    figure.add(peak / MIB, 1024)
    yield figure


def _peak_of_import(folder: str) -> int:
    """Return the largest sum of resident memory of the command and its children."""
    command = [sys.executable, "manage.py", "import_transactions", folder]
    process = subprocess.Popen(
        [*command, "--election", "memory"], stdout=subprocess.DEVNULL
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, _resident(process.pid))
        time.sleep(SAMPLE_SECONDS)
    if process.returncode:
        raise RuntimeError(f"The import ended with status {process.returncode}.")
    return peak


def _resident(pid: int) -> int:
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total
