"""Load export files into the ledger, each line exactly once."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from typing import BinaryIO

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from elections.clock import Clock
from elections.locks import Lock, lock_session, unlock_session
from elections.models import Election
from elections.services import RegistryService
from transactions.formats import (
    Block,
    ExportFile,
    Reason,
    Rejection,
    UnreadableFile,
    UnusableFile,
    read,
)
from transactions.loader import Loader, OpenBatch, Part, Place, copy_records
from transactions.loader.patience import Answer, patiently
from transactions.loader.records import SOME_UNKNOWN
from transactions.models import BatchKind, BatchStatus, ImportBatch
from transactions.row_hashes import row_hashes
from transactions.services import waiting
from transactions.services.assembly import Assembly
from transactions.services.intake import (
    Deliveries,
    Delivery,
    Known,
    give_up,
    loaded_before,
    mark_interrupted,
    next_batch_ids,
)
from transactions.services.places import Places
from transactions.services.summary import ImportSummary

logger = structlog.get_logger(__name__)

OnFile = Callable[[], None]
OnRecord = Callable[[ExportFile, ImportBatch], None]


def ignore_record(file: ExportFile, record: ImportBatch) -> None:
    """Do nothing with the batch of a file."""


class ImportService:
    """Loads export files one after the other, in the order given.

    `election` receives all contracts that are new. With `is_trial` everything is
    done and undone again, window by window: the figures say what an import would do.
    `is_stopped` is asked between files and pieces of files; what is committed stays.
    Batches of files that an upload brought become members of `upload`. `on_record` is
    given each file with its batch, whose fate may be open still. `guard` is called in each
    transaction; what it raises ends the import.
    """

    def __init__(
        self,
        *,
        election: Election | None = None,
        is_trial: bool = False,
        is_stopped: Callable[[], bool] = lambda: False,
        clock: Clock = timezone.now,
        upload: ImportBatch | None = None,
        on_record: OnRecord = ignore_record,
        guard: Callable[[], object] = lambda: None,
    ) -> None:
        self._upload_id = upload.pk if upload else None
        self._on_record = on_record
        self._started_at = clock()
        self._is_trial = is_trial
        self._is_stopped = is_stopped
        self._clock = clock
        self._guard = guard
        self._places = Places(election)
        self._summary = ImportSummary()
        self._unchanged: list[ImportBatch] = []
        self._assembly = Assembly(
            Loader(is_trial=is_trial, guard=guard),
            chunk_rows=settings.CHUNK_ROWS,
            chunk_files=settings.CHUNK_FILES,
            clock=clock,
        )

    def import_files(
        self, files: Sequence[ExportFile], *, on_file: OnFile = lambda: None
    ) -> ImportSummary:
        """Load the files and return what that did; `on_file` hears of each one."""
        if not self._is_trial:
            patiently(partial(mark_interrupted, self._clock))
        for window in Deliveries().windows(files):
            if self._summary.is_stopped:
                break
            with self._trial():
                self._import_window(window, on_file)
                self._assembly.flush()
        self._summary += self._assembly.summary
        if not self._is_trial:
            slugs = self._summary.elections
            patiently(partial(RegistryService().widen_windows, slugs))
        return self._summary

    def refuse_files(self, files: Sequence[UnusableFile]) -> ImportSummary:
        """Record files that cannot be used, each with its reason."""
        summary = ImportSummary(files=len(files), files_failed=len(files))
        summary.problems = [(file.path, file.message) for file in files]
        if files and not self._is_trial:
            ids = patiently(partial(next_batch_ids, len(files)))
            now = self._clock()
            refusals = [
                _refusal(batch_id, file, now, self._upload_id)
                for batch_id, file in zip(ids, files, strict=True)
            ]
            # Those that an earlier try has written, whose answer was lost, are there.
            record = partial(ImportBatch.objects.bulk_create, ignore_conflicts=True)
            patiently(partial(record, refusals))
        return summary

    @contextmanager
    def _trial(self) -> Iterator[None]:
        if not self._is_trial:
            yield
            return
        with transaction.atomic():
            with connection.cursor() as cursor:
                # It reads files between its statements, some of them for minutes.
                cursor.execute(
                    "SET LOCAL idle_in_transaction_session_timeout = '15min'"
                )
            yield
            transaction.set_rollback(True)
        # What was created for the trial is gone again.
        self._places.forget()

    def _import_window(self, window: Sequence[Delivery], on_file: OnFile) -> None:
        known, batch_ids = self._patiently(partial(self._prepare, window))
        met: set[object] = set()
        for delivery, batch_id in zip(window, batch_ids, strict=True):
            if self._is_stopped():
                self._summary.is_stopped = True
                break
            record = self._record(delivery, batch_id)
            key = (delivery.digest or b"", record.contract_id, record.interval)
            if key in met:
                # A copy of a file that is still in hand.
                self._assembly.flush()
                known |= self._patiently(partial(loaded_before, [delivery]))
            met.add(key)
            self._summary.files += 1
            self._take(delivery, record, known.get(key))
            self._on_record(delivery.file, record)
            on_file()
        self._patiently(self._record_unchanged)
        self._unchanged.clear()

    def _patiently(self, do: Callable[[], Answer]) -> Answer:
        """Do what is safe to repeat, again while the database is away.

        Not in a trial: its transaction is gone with the connection.
        """
        return do() if self._is_trial else patiently(partial(self._guarded, do))

    def _guarded(self, do: Callable[[], Answer]) -> Answer:
        with transaction.atomic():
            self._guard()
            return do()

    def _record_unchanged(self) -> None:
        ids = [record.pk for record in self._unchanged]
        # Of an earlier try, whose answer was lost.
        known = set(ImportBatch.objects.filter(pk__in=ids).values_list("pk", flat=True))
        copy_records([record for record in self._unchanged if record.pk not in known])

    def _prepare(self, window: Sequence[Delivery]) -> tuple[Known, list[int]]:
        """Look up what the window needs; safe to repeat."""
        self._places.prepare_files(delivery.file for delivery in window)
        return loaded_before(window), next_batch_ids(len(window))

    def _record(self, delivery: Delivery, batch_id: int) -> ImportBatch:
        file = delivery.file
        place = self._places.get(file.contract_id or "")
        return ImportBatch(
            id=batch_id,
            parent_id=self._upload_id,
            kind=BatchKind(file.kind.value),
            name=file.name,
            contract_id=file.contract_id or "",
            constituency_id=place.constituency_id if place else None,
            interval=file.interval,
            sha256=delivery.digest,
            size_bytes=file.size,
            started_at=self._clock(),
        )

    def _take(
        self, delivery: Delivery, record: ImportBatch, before: ImportBatch | None
    ) -> None:
        if delivery.error is not None:
            self._fail(record, delivery.error)
        elif before is not None and self._is_earlier_attempt(before):
            logger.info("Loaded before the upload was cut off", batch=before.pk)
        elif before is not None:
            self._leave_unchanged(record, before)
        elif record.contract_id and record.constituency_id is None:
            self._let_wait(delivery, record)
        else:
            self._load(delivery, record)

    def _is_earlier_attempt(self, before: ImportBatch) -> bool:
        """Tell whether this upload itself has loaded the file, in an attempt before."""
        is_of_upload = self._upload_id is not None
        return (
            is_of_upload
            and before.parent_id == self._upload_id
            and before.started_at < self._started_at
        )

    def _leave_unchanged(self, record: ImportBatch, before: ImportBatch) -> None:
        record.status = BatchStatus.UNCHANGED
        record.finished_at = record.started_at
        record.rows_read = record.duplicate = before.rows_read
        self._unchanged.append(record)
        self._summary.files_unchanged += 1
        self._summary.rows_read += before.rows_read
        self._summary.duplicate += before.rows_read

    def _let_wait(self, delivery: Delivery, record: ImportBatch) -> None:
        keep = partial(waiting.keep, record, delivery.file, is_trial=self._is_trial)
        self._patiently(keep)
        self._summary.files_waiting += 1
        self._summary.problems.append((record.name, record.error))

    def _load(self, delivery: Delivery, record: ImportBatch) -> None:
        batch = OpenBatch(record)
        is_long = self._spans_chunks(delivery) and not self._is_trial
        if is_long:
            patiently(partial(lock_session, Lock.RUNNING_BATCH, record.pk))
        try:
            is_whole = self._read_and_add(delivery, batch)
        except UnreadableFile as error:
            self._fail_half_way(batch, error)
        else:
            self._end(batch, is_whole=is_whole)
        if is_long:
            self._assembly.flush()
            unlock_session(Lock.RUNNING_BATCH, record.pk)

    def _end(self, batch: OpenBatch, *, is_whole: bool) -> None:
        if not is_whole:
            self._assembly.flush()
            self._summary.is_stopped = True
            self._patiently(partial(give_up, batch.record.pk, self._clock()))
        elif batch.lacks_constituencies:
            self._assembly.flush()
            self._patiently(partial(waiting.replace_older, batch.record))
            self._summary.files_waiting += 1
            self._summary.problems.append((batch.record.name, SOME_UNKNOWN))

    def _spans_chunks(self, delivery: Delivery) -> bool:
        """Tell whether another import could meet the file half loaded."""
        content = delivery.content
        return content is None or content.count(b"\n") >= settings.CHUNK_ROWS

    def _read_and_add(self, delivery: Delivery, batch: OpenBatch) -> bool:
        """Add the file piece by piece; return False where a stop came in between."""
        with ExitStack() as stack:
            stream: BinaryIO = (
                stack.enter_context(delivery.file.open())
                if delivery.content is None
                else io.BytesIO(delivery.content)
            )
            blocks = read(delivery.file.kind, stream, block_rows=settings.CHUNK_ROWS)
            block = next(blocks, Block())
            for following in blocks:
                self._add(delivery, batch, block, is_last=False)
                if self._is_stopped():
                    return False
                block = following
            self._add(delivery, batch, block, is_last=True)
        return True

    def _add(
        self, delivery: Delivery, batch: OpenBatch, block: Block, *, is_last: bool
    ) -> None:
        if batch.record.interval is not None:
            batch.row_hashes += row_hashes(block.statements.tx_id)
        place = self._places.get(batch.record.contract_id)
        if place is not None:
            places = {place.constituency_id: place}
            ids: int | list[int] = place.constituency_id
        else:
            ids, places = self._place_rows(batch, block)
        if is_last and batch.lacks_constituencies and not self._is_trial:
            # Before the chunk that says so: a batch never waits without its content.
            batch.kept_at = waiting.copy_content(batch.record, delivery.file)
        self._assembly.add(Part(batch, block, ids, is_last), places)

    def _place_rows(
        self, batch: OpenBatch, block: Block
    ) -> tuple[list[int], dict[int, Place]]:
        """Find the constituency of each row; rows of unknown ones become rejections."""
        contracts = block.statements.contract_id
        self._patiently(partial(self._places.prepare_contracts, set(contracts)))
        found = [self._places.get(contract_id) for contract_id in contracts]
        if None in found:
            _refuse_unknown(block, found)
            batch.lacks_constituencies = True
        known = [place for place in found if place is not None]
        ids = [place.constituency_id for place in known]
        return ids, dict(zip(ids, known, strict=True))

    def _fail(self, record: ImportBatch, error: UnreadableFile) -> None:
        record.status = BatchStatus.FAILED
        record.error_code, record.error = error.code, str(error)
        record.finished_at = self._clock()
        self._patiently(record.save)
        self._summary.files_failed += 1
        self._summary.problems.append((record.name, record.error))

    def _fail_half_way(self, batch: OpenBatch, error: UnreadableFile) -> None:
        """Mark the batch as failed; what was read before the fault stays loaded."""
        self._assembly.flush()
        if not batch.chunks:
            self._fail(batch.record, error)
            return
        half_loaded = ImportBatch.objects.filter(pk=batch.record.pk)
        fail = partial(
            half_loaded.update,
            status=BatchStatus.FAILED,
            error_code=error.code,
            error=f"{error} What was read before that is loaded.",
            finished_at=self._clock(),
        )
        self._patiently(fail)
        self._summary.files_failed += 1
        self._summary.problems.append((batch.record.name, str(error)))


def _refuse_unknown(block: Block, found: Sequence[Place | None]) -> None:
    """Turn the rows of unknown contracts into rejections; their file is kept."""
    rows = block.statements
    block.rejections.extend(
        Rejection(
            line=rows.line[index],
            code=Reason.UNKNOWN_CONSTITUENCY.code,
            message=Reason.UNKNOWN_CONSTITUENCY.sentence(
                contract_id=rows.contract_id[index]
            ),
            raw=rows.tx_id[index],
            is_cut=True,
        )
        for index, place in enumerate(found)
        if place is None
    )
    rows.keep([place is not None for place in found])


def _refusal(
    batch_id: int, file: UnusableFile, now: datetime, upload_id: int | None
) -> ImportBatch:
    return ImportBatch(
        id=batch_id,
        parent_id=upload_id,
        kind=BatchKind.UNKNOWN,
        name=file.path,
        status=BatchStatus.FAILED,
        error_code=file.code,
        error=file.message,
        started_at=now,
        finished_at=now,
    )
