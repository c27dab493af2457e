"""A folder into which files arrive: what is complete is loaded, each file once."""

import os
import shutil
import stat
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
from django.utils import timezone

from elections.clock import Clock
from elections.locks import Lock, alone, key_of
from elections.models import Election
from transactions.formats import Discovery, ExportFile, UnusableFile, discover
from transactions.formats.layout import MANIFEST_NAME
from transactions.models import BatchStatus, ImportBatch
from transactions.services.imports import ImportService
from transactions.services.summary import ImportSummary
from transactions.services.waiting import forget_loaded

logger = structlog.get_logger(__name__)

# How those who write files name them until they are whole.
UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", "~")


@dataclass(frozen=True, slots=True)
class _Look:
    """A file as it was seen: it is the same while its size and time of change are."""

    size: int
    changed_ns: int
    # By a clock that nobody sets.
    seen_at: float

    def is_of(self, other: "_Look") -> bool:
        return (self.size, self.changed_ns) == (other.size, other.changed_ns)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that arrived, and what became of it."""

    path: Path
    # By status, how many files that are: an archive may hold thousands.
    files: dict[str, int]
    problems: list[str]

    @property
    def is_done(self) -> bool:
        """Tell whether everything in it was loaded, or is kept elsewhere."""
        return not self.files.keys() & {BatchStatus.FAILED, BatchStatus.RUNNING}

    def __str__(self) -> str:
        words = ", ".join(
            status if self.files == {status: 1} else f"{number:,} {status}"
            for status, number in sorted(self.files.items())
        )
        return ". ".join([f"{self.path.name}: {words}", *self.problems[:1]])


class FolderWatch:
    """Looks at a folder again and again, and loads what has arrived.

    A file is complete when two looks found it unchanged, `settle_seconds` apart. What was
    dealt with is remembered as long as it stays the same; after a restart the digest of
    its content says whether it was loaded. With `move_to` it is moved away.
    """

    def __init__(
        self,
        folder: Path,
        *,
        settle_seconds: float,
        election: Election | None = None,
        move_to: Path | None = None,
        is_stopped: Callable[[], bool] = lambda: False,
        clock: Clock = timezone.now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder.resolve()
        self._settle_seconds = settle_seconds
        self._election = election
        self._move_to = move_to.resolve() if move_to else None
        self._is_stopped = is_stopped
        self._clock = clock
        self._monotonic = monotonic
        self._seen: dict[Path, _Look] = {}
        self._done: dict[Path, _Look] = {}
        self._warned: set[str] = set()
        self.summary = ImportSummary()

    @property
    def expects_more(self) -> bool:
        """Tell whether a file was seen that may still be growing."""
        return bool(self._seen)

    def look(self) -> list[Arrival]:
        """Load what is complete, and return what became of it.

        Raises:
            OperationalError, InterfaceError: the database stays away. Look again later.
            OSError: the folder cannot be read. Look again later.
        """
        complete = self._complete()
        if not complete:
            return []
        key = key_of(os.fsencode(self._folder))
        with alone(Lock.WATCHED_FOLDER, key) as is_alone:
            if not is_alone:
                logger.info("Another watcher is loading", folder=str(self._folder))
                return []
            # Who had the folder before may have moved some away.
            return self._load({path for path in complete if self._is_unchanged(path)})

    def _complete(self) -> set[Path]:
        """Look at all files; return those that have stopped to change."""
        now = self._monotonic()
        looks = {path: _Look(*found, now) for path, found in self._files()}
        self._done = {
            path: done
            for path, done in self._done.items()
            if path in looks and looks[path].is_of(done)
        }
        self._seen = {
            path: self._first_look(path, look)
            for path, look in looks.items()
            if path not in self._done
        }
        return {
            path
            for path, look in self._seen.items()
            if now - look.seen_at >= self._settle_seconds and look.seen_at < now
        }

    def _first_look(self, path: Path, look: _Look) -> _Look:
        before = self._seen.get(path)
        return before if before is not None and before.is_of(look) else look

    def _files(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        """Yield the files at and below the folder that may be exports, with their state."""
        for folder, below, names in os.walk(self._folder, onerror=self._on_error):
            here = Path(folder)
            below[:] = [name for name in below if self._is_entered(here / name)]
            for name in names:
                found = _state_of(here / name) if _is_finished(name) else None
                if found is not None:
                    yield here / name, found

    def _on_error(self, error: OSError) -> None:
        # A folder that is away must not look empty.
        if error.filename == str(self._folder):
            raise error
        self._warn_once(str(error))

    def _warn_once(self, sentence: str) -> None:
        if sentence not in self._warned:
            self._warned.add(sentence)
            logger.warning("Something in the folder cannot be used", reason=sentence)

    def _is_entered(self, folder: Path) -> bool:
        return not folder.name.startswith(".") and folder != self._move_to

    def _is_unchanged(self, path: Path) -> bool:
        return _state_of(path) == (self._seen[path].size, self._seen[path].changed_ns)

    def _load(self, paths: set[Path]) -> list[Arrival]:
        found = discover([self._folder], is_wanted=lambda path: Path(path) in paths)
        batches: defaultdict[Path, list[ImportBatch]] = defaultdict(list)

        def note(file: ExportFile, record: ImportBatch) -> None:
            batches[file.path].append(record)

        service = ImportService(
            election=self._election,
            is_stopped=self._is_stopped,
            clock=self._clock,
            on_record=note,
        )
        unusable = self._unusable_by_path(found, paths)
        refused = [file for files in unusable.values() for file in files]
        self.summary += service.refuse_files(refused)
        # Files of several constituencies come last, as in any import.
        files = sorted(found.files, key=lambda file: not file.contract_id)
        summary = service.import_files(files)
        self.summary += summary
        # They are told with each arrival, and a watch can run for weeks.
        self.summary.problems.clear()
        forget_loaded()
        _refresh(batch for of_path in batches.values() for batch in of_path)
        stopped = _not_reached(files, batches) if summary.is_stopped else set()
        arrivals = [
            self._finish(path, _told(path, unusable[path], batches[path]))
            for path in sorted(paths - stopped)
        ]
        return [arrival for arrival in arrivals if arrival.files]

    def _unusable_by_path(
        self, found: Discovery, paths: set[Path]
    ) -> defaultdict[Path, list[UnusableFile]]:
        """Return what cannot be used of the files that are loaded now.

        What else was met on the way, such as a broken manifest, is met at each look.
        """
        by_path: defaultdict[Path, list[UnusableFile]] = defaultdict(list)
        for file in found.unusable:
            outer = file.path
            while Path(outer) not in paths and "!" in outer:
                outer = outer.rpartition("!")[0]
            if Path(outer) in paths:
                by_path[Path(outer)].append(file)
            else:
                self._warn_once(f"{file.path}: {file.message}")
        return by_path

    def _finish(self, path: Path, arrival: Arrival) -> Arrival:
        """Remember a file that was dealt with, or move it away."""
        look = self._seen.pop(path)
        if self._move_to is None or not (arrival.is_done and arrival.files):
            self._done[path] = look
            return arrival
        try:
            _move(path, self._move_to / path.relative_to(self._folder))
        except OSError as error:
            self._done[path] = look
            problem = f"It is loaded, but cannot be moved away: {error.strerror}."
            return replace(arrival, problems=[*arrival.problems, problem])
        return arrival


def _is_finished(name: str) -> bool:
    if name.startswith(".") or name == MANIFEST_NAME:
        return False
    return not name.lower().endswith(UNFINISHED)


def _state_of(path: Path) -> tuple[int, int] | None:
    """Return size and time of change; None of what is gone, or is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _not_reached(
    files: Iterable[ExportFile], batches: dict[Path, list[ImportBatch]]
) -> set[Path]:
    """Return the paths of which a stop left something for the next time."""
    expected: defaultdict[Path, int] = defaultdict(int)
    for file in files:
        expected[file.path] += 1
    return {
        path
        for path, number in expected.items()
        if number > len(batches.get(path, ()))
        or any(b.status == BatchStatus.INTERRUPTED for b in batches[path])
    }


def _told(
    path: Path, unusable: list[UnusableFile], batches: list[ImportBatch]
) -> Arrival:
    statuses = [str(batch.status) for batch in batches]
    statuses += [BatchStatus.FAILED.value for _ in unusable]
    problems = [batch.error for batch in batches if batch.error]
    problems += [file.message for file in unusable]
    return Arrival(path, dict(Counter(statuses)), problems)


def _refresh(batches: Iterable[ImportBatch]) -> None:
    """Read what became of batches; what was not stored stays as it was made."""
    by_id = {batch.pk: batch for batch in batches}
    stored = ImportBatch.objects.filter(pk__in=by_id)
    for pk, status, error in stored.values_list("pk", "status", "error"):
        by_id[pk].status, by_id[pk].error = status, error


def _move(path: Path, target: Path) -> None:
    """Move a file; one that is there already keeps its name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    free = target
    number = 1
    while free.exists():
        number += 1
        free = target.with_name(f"{target.stem} ({number}){target.suffix}")
    shutil.move(path, free)
