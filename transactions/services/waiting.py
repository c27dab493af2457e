"""Files of contracts that nobody registered: kept until staff do, then loaded."""

import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.db.models import OuterRef, QuerySet, Subquery

from transactions.formats import ExportFile, Kind
from transactions.models import BatchStatus, ImportBatch
from transactions.services.verdicts import judge_upload

SUFFIXES = {
    Kind.PLAIN_CSV: ".csv",
    Kind.PLAIN_JSON_LINES: ".jsonl",
    Kind.PLAIN_PARQUET: ".parquet",
}
UNKNOWN_CONSTITUENCY = "unknown_constituency"


def keep(record: ImportBatch, file: ExportFile, *, is_trial: bool = False) -> None:
    """Store the content of a file whose contract is unknown, and a batch that waits.

    The same content waits once; that of an upload once more, so that it shows there.
    """
    record.status = BatchStatus.WAITING
    record.error_code = UNKNOWN_CONSTITUENCY
    record.error = (
        f"No constituency has the contract {record.contract_id}. Register it under "
        "Constituencies, then load the waiting files; the content is kept."
    )
    same = _same(record).filter(parent_id=record.parent_id)
    if not is_trial and not same.exists():
        record.source_path = copy_content(record, file)
        record.save(force_insert=True)


def replace_older(record: ImportBatch) -> None:
    """Let older batches of the same content wait no more: this one does for them."""
    for batch in _same(record).exclude(pk=record.pk):
        _settle(batch, record, BatchStatus.UNCHANGED)


def forget_loaded() -> None:
    """Remove waiting batches, and their copies, whose content is loaded meanwhile.

    One that was loaded in part stays, for rows of the ledger come from it.
    """
    loaded = ImportBatch.objects.filter(
        status=BatchStatus.LOADED,
        contract_id=OuterRef("contract_id"),
        sha256=OuterRef("sha256"),
    ).order_by("-id")
    waiting = ImportBatch.objects.filter(status=BatchStatus.WAITING).order_by("id")
    settled = waiting.alias(successor=Subquery(loaded.values("id")[:1])).exclude(
        successor=None
    )
    for batch in list(settled):
        same = ImportBatch.objects.filter(
            status=BatchStatus.LOADED,
            contract_id=batch.contract_id,
            sha256=batch.sha256,
            interval=batch.interval,
        )
        if (successor := same.order_by("id").last()) is not None:
            _settle(batch, successor, BatchStatus.LOADED)


def discard(batches: Iterable[ImportBatch]) -> None:
    """Give up files that nobody wants to register: their copies are removed."""
    for batch in batches:
        _remove_copy(batch)
        ImportBatch.objects.filter(pk=batch.pk).update(
            status=BatchStatus.FAILED,
            error_code="discarded",
            error="Discarded by staff.",
            source_path="",
        )
        judge_upload(batch.parent_id)


def _settle(batch: ImportBatch, successor: ImportBatch, status: BatchStatus) -> None:
    """Let a batch wait no more whose content came with a later one."""
    _remove_copy(batch)
    if not batch.chunks:
        # What came of the upload's file is the other batch now.
        ImportBatch.objects.filter(pk=successor.pk, parent=None).update(
            parent=batch.parent_id
        )
        batch.delete()
        judge_upload(batch.parent_id)
        return
    batch.rejected_rows.filter(code=UNKNOWN_CONSTITUENCY, resolved_by=None).update(
        resolved_by=successor
    )
    ImportBatch.objects.filter(pk=batch.pk).update(
        status=status, error_code="", error="", source_path=""
    )
    judge_upload(batch.parent_id)


def _remove_copy(batch: ImportBatch) -> None:
    if batch.source_path:
        shutil.rmtree(Path(batch.source_path).parent, ignore_errors=True)


def _same(record: ImportBatch) -> "QuerySet[ImportBatch]":
    return ImportBatch.objects.filter(
        status=BatchStatus.WAITING,
        contract_id=record.contract_id,
        interval=record.interval,
        sha256=record.sha256,
    )


def copy_content(record: ImportBatch, file: ExportFile) -> str:
    """Copy the content below VAR_DIR, under a name that tells what it is again.

    Folders sort in the order of arrival: of two versions the older is loaded first.
    """
    folder = settings.VAR_DIR / "waiting" / f"{record.pk:012}"
    folder.mkdir(parents=True, exist_ok=True)
    if not record.contract_id:
        path = folder / f"rows{SUFFIXES[file.kind]}"
        with file.open() as source, path.open("wb") as copy:
            shutil.copyfileobj(source, copy)
        return str(path)
    stem = _stem(record)
    path = folder / f"{stem}.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{stem}.csv", "w", force_zip64=True) as copy,
        file.open() as source,
    ):
        shutil.copyfileobj(source, copy)
    return str(path)


def _stem(record: ImportBatch) -> str:
    start = record.interval
    if start is None:
        return record.contract_id
    end = f"{(start.hour + 1) % 24:02}{start:%M}"
    return f"{record.contract_id}_{start:%Y-%m-%d_%H%M}-{end}"
