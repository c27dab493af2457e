"""Import whole trees: find the files, deal constituencies to workers, add up."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import groupby

from elections.models import Election
from transactions import spawned
from transactions.formats import ExportFile, discover
from transactions.loader.patience import patiently
from transactions.models import ImportBatch
from transactions.services.imports import ImportService
from transactions.services.summary import ImportSummary
from transactions.services.waiting import forget_loaded

OnFiles = Callable[[int], None]

# Tasks per worker: enough that the last ones end together, few enough that a task's
# start does not matter.
TASKS_PER_WORKER = 16

# A worker is ready after two seconds; less than this is loaded sooner without.
WORTH_A_POOL = 100_000_000

# How soon a stop request reaches the workers.
STOP_POLL_SECONDS = 0.2


class WorkerDied(RuntimeError):
    """A worker process was killed. What it committed stays loaded; import again."""


def import_paths(
    paths: Sequence[str],
    *,
    election: Election | None = None,
    workers: int = 1,
    is_trial: bool = False,
    is_stopped: Callable[[], bool] = lambda: False,
    on_found: OnFiles = lambda count: None,
    on_done: OnFiles = lambda count: None,
) -> ImportSummary:
    """Load all export files at and below `paths` and return what that did.

    One tree gives one result with any number of workers: files go in the order of
    their hours, a constituency is dealt to one worker, and files that hold several
    constituencies come last, one after the other.

    Raises:
        WorkerDied: a worker was killed; import again to finish.
    """
    found = discover(paths)
    on_found(len(found.files) + len(found.unusable))

    def here(files: Sequence[ExportFile]) -> ImportSummary:
        service = ImportService(
            election=election, is_trial=is_trial, is_stopped=is_stopped
        )
        return service.import_files(files, on_file=lambda: on_done(1))

    summary = ImportService(is_trial=is_trial).refuse_files(found.unusable)
    on_done(len(found.unusable))
    own = [file for file in found.files if file.contract_id]
    shared = [file for file in found.files if not file.contract_id]
    tasks = _deal(own, workers)
    if len(tasks) > 1:
        work = partial(_work, election=election, is_trial=is_trial)
        summary += _Pool(workers).run(
            work, tasks, is_stopped=is_stopped, on_done=on_done
        )
    else:
        summary += here(own)
    if not summary.is_stopped:
        summary += here(shared)
    if not is_trial:
        patiently(forget_loaded)
    return summary


def load_waiting(batches: Sequence[ImportBatch]) -> ImportSummary:
    """Load waiting files whose constituency is registered now; the others wait on."""
    return import_paths([b.source_path for b in batches if b.source_path])


def _deal(files: Sequence[ExportFile], workers: int) -> list[list[ExportFile]]:
    """Cut the files, which are sorted by contract, into tasks of whole contracts."""
    total = sum(_weight(file) for file in files)
    if workers < 2 or total < WORTH_A_POOL:
        return [list(files)]
    target = total / (workers * TASKS_PER_WORKER)
    tasks: list[list[ExportFile]] = []
    weight = target
    for group in _contracts(files):
        if weight >= target:
            tasks.append([])
            weight = 0
        tasks[-1].extend(group)
        weight += sum(_weight(file) for file in group)
    return tasks


def _contracts(files: Sequence[ExportFile]) -> Iterator[list[ExportFile]]:
    for _, group in groupby(files, key=lambda file: file.contract_id):
        yield list(group)


def _weight(file: ExportFile) -> int:
    # Opening a file takes about as long as reading this many bytes.
    return file.size + 50_000


class _Pool:
    """Worker processes, each with a connection of its own."""

    def __init__(self, workers: int) -> None:
        # Forked from a process that has only imported, never from this one: neither a
        # connection nor the threads of polars survive a fork.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["transactions.preloaded"])
        self._stop = context.Event()
        # Held open by this process alone: workers see it end with us.
        for_workers, self._alive = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            workers,
            mp_context=context,
            initializer=spawned.prepare,
            initargs=(self._stop, for_workers),
        )

    def run(
        self,
        work: Callable[[list[ExportFile]], ImportSummary],
        tasks: Sequence[list[ExportFile]],
        *,
        is_stopped: Callable[[], bool],
        on_done: OnFiles,
    ) -> ImportSummary:
        summary = ImportSummary()
        with self._executor as executor:
            pending = {executor.submit(work, task) for task in tasks}
            try:
                while pending:
                    done, pending = wait(pending, timeout=STOP_POLL_SECONDS)
                    for finished in done:
                        summary += finished.result()
                        on_done(finished.result().files)
                    if is_stopped():
                        self._stop.set()
            except BrokenProcessPool as error:
                raise WorkerDied(
                    "A worker process was killed. What it committed stays loaded; "
                    "import again to finish."
                ) from error
            finally:
                # Whatever ended this, the workers end too.
                self._stop.set()
        return summary


def _work(
    files: list[ExportFile], *, election: Election | None, is_trial: bool
) -> ImportSummary:
    """Load files in a worker process."""
    service = ImportService(
        election=election, is_trial=is_trial, is_stopped=spawned.is_stopped
    )
    return service.import_files(files)
