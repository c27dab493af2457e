"""Files in the layouts of the portal and of observers' archives.

`tree` unpacks every hour into `<contract folder>/<stem>/<stem>.csv`, `zips` keeps it as
`<contract folder>/<stem>.zip`. Beside the regions' folders there can be:

- `republished/…`: later versions of hour files, to be loaded after the others;
- `long_names.zip`: the tree of an election whose name no folder can bear;
- `unregistered/<stem>.zip`: files of a contract that no folder assigns to an election.
"""

import io
import os
import zipfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from transactions.simulator.hours import HourRows, contract_ledger, ledger_hours
from transactions.simulator.truth import Truth, empty_truth
from transactions.simulator.world import Contract, World

Layout = Literal["tree", "zips"]
LAYOUTS: tuple[Layout, ...] = ("tree", "zips")

# Random text shrinks little more at higher levels (0.57 instead of 0.58), and takes
# half as long again.
COMPRESSION_LEVEL = 1
# Compressing takes four times as long as writing the rows, and leaves other threads
# free: 14,000 rows/s a core. So many files may wait for it.
MOST_WAITING = 32
# The earliest time a zip can name; the real one would change the bytes.
ZIP_TIME = (1980, 1, 1, 0, 0, 0)

# Called after every contract with contracts done and rows written.
Progress = Callable[[int, int], None]


def write_files(
    world: World,
    out: Path,
    layout: Layout = "tree",
    on_progress: Progress | None = None,
) -> Truth:
    """Write all files of the election and `truth.json` below `out`; return the truth.

    Raises:
        FileExistsError: `out` holds something already.
    """
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise FileExistsError(f"{out} is not empty; give a new folder.")
    truth = empty_truth(world)
    with ExitStack() as stack:
        writer = _Writer(out, layout, stack)
        stack.callback(writer.finish)
        for done, contract in enumerate((*world.contracts, *world.strangers), start=1):
            _write_contract(world, contract, writer, truth)
            if on_progress is not None:
                on_progress(done, truth.rows)
    truth.write(out / "truth.json")
    return truth


def _write_contract(
    world: World, contract: Contract, writer: "_Writer", truth: Truth
) -> None:
    ledger = contract_ledger(world, contract)
    is_known = contract not in world.strangers
    for hour in ledger_hours(world, ledger):
        if is_known:
            writer.write(contract, hour)
        else:
            writer.write_unregistered(hour)
        truth.files += 1
        truth.rows += len(hour.rows)
    truth.note(ledger, is_known=is_known)


class _Writer:
    """Puts hour files where the layout wants them."""

    def __init__(self, out: Path, layout: Layout, stack: ExitStack) -> None:
        self._out = out
        self._layout = layout
        self._stack = stack
        self._archive: zipfile.ZipFile | None = None
        self._threads = stack.enter_context(ThreadPoolExecutor(os.cpu_count()))
        self._waiting: deque[Future[None]] = deque()

    def write(self, contract: Contract, hour: HourRows) -> None:
        """Write one hour of a contract of the tree."""
        root = "" if hour.version == 1 else "republished/"
        if "long_names" in contract.faults:
            self._write_member(
                f"{root}{contract.folder}/{hour.stem}/{hour.stem}.csv", hour
            )
            return
        folder = self._out / root / contract.folder
        if self._layout == "zips":
            self._zip(folder / f"{hour.stem}.zip", hour)
        else:
            _write(folder / hour.stem / f"{hour.stem}.csv", hour.content)

    def write_unregistered(self, hour: HourRows) -> None:
        """Write one hour of a contract that stands outside the tree."""
        self._zip(self._out / "unregistered" / f"{hour.stem}.zip", hour)

    def finish(self) -> None:
        """Wait for the files that are not written yet."""
        while self._waiting:
            self._waiting.popleft().result()

    def _zip(self, path: Path, hour: HourRows) -> None:
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._threads.submit(_write_zip, path, hour))

    def _write_member(self, name: str, hour: HourRows) -> None:
        if self._archive is None:
            path = self._out / "long_names.zip"
            self._archive = self._stack.enter_context(zipfile.ZipFile(path, "w"))
        _add_member(self._archive, name, hour.content)


def _write_zip(path: Path, hour: HourRows) -> None:
    """Write a zip that holds the hour's one CSV, the same bytes every time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        _add_member(archive, f"{hour.stem}.csv", hour.content)
    _write(path, buffer.getvalue())


def _add_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, date_time=ZIP_TIME)
    archive.writestr(member, content, zipfile.ZIP_DEFLATED, COMPRESSION_LEVEL)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
