"""Files of contracts that nobody registered: kept until staff do, then loaded."""

import zipfile
from pathlib import Path
from shutil import copyfileobj

from django.conf import settings

from transactions.formats import ExportFile, Kind
from transactions.models import BatchStatus, ImportBatch

SUFFIXES = {
    Kind.PLAIN_CSV: ".csv",
    Kind.PLAIN_JSON_LINES: ".jsonl",
    Kind.PLAIN_PARQUET: ".parquet",
}
UNKNOWN_CONSTITUENCY = "unknown_constituency"
SOME_UNKNOWN = (
    "Some rows belong to contracts that no constituency has, see the rejected rows. "
    "Register them, then load the waiting files; the content is kept."
)


def keep(record: ImportBatch, file: ExportFile, *, is_trial: bool = False) -> None:
    """Store the content of a file whose contract is unknown, and a batch that waits.

    The same content waits once.
    """
    record.status = BatchStatus.WAITING
    record.error_code = UNKNOWN_CONSTITUENCY
    record.error = (
        f"No constituency has the contract {record.contract_id}. Register it under "
        "Constituencies, then load the waiting files; the content is kept."
    )
    if not is_trial and not _waits(record):
        record.source_path = str(_copy(record, file))
        record.save(force_insert=True)


def keep_content(record: ImportBatch, file: ExportFile) -> None:
    """Store the content of a file that is loaded but for rows of unknown contracts."""
    ImportBatch.objects.filter(pk=record.pk).update(
        error_code=UNKNOWN_CONSTITUENCY,
        error=SOME_UNKNOWN,
        source_path=str(_copy(record, file)),
    )


def forget_loaded() -> None:
    """Remove waiting batches, and their copies, whose content is loaded meanwhile.

    One that was loaded in part stays, for rows of the ledger come from it.
    """
    loaded = ImportBatch.objects.filter(status=BatchStatus.LOADED)
    for batch in ImportBatch.objects.filter(status=BatchStatus.WAITING).order_by("id"):
        same = loaded.filter(sha256=batch.sha256, contract_id=batch.contract_id)
        successor = same.filter(interval=batch.interval).order_by("id").last()
        if successor is None:
            continue
        Path(batch.source_path).unlink(missing_ok=True)
        if batch.chunks:
            _settle(batch, successor)
        else:
            batch.delete()


def _settle(batch: ImportBatch, successor: ImportBatch) -> None:
    """Let a batch wait no more whose missing rows came with a later one."""
    batch.rejected_rows.filter(code=UNKNOWN_CONSTITUENCY, resolved_by=None).update(
        resolved_by=successor
    )
    ImportBatch.objects.filter(pk=batch.pk).update(
        status=BatchStatus.LOADED, error_code="", error="", source_path=""
    )


def _waits(record: ImportBatch) -> bool:
    return ImportBatch.objects.filter(
        status=BatchStatus.WAITING,
        contract_id=record.contract_id,
        interval=record.interval,
        sha256=record.sha256,
    ).exists()


def _copy(record: ImportBatch, file: ExportFile) -> Path:
    """Copy the content below VAR_DIR, under a name that tells what it is again."""
    folder = settings.VAR_DIR / "waiting" / str(record.pk)
    folder.mkdir(parents=True, exist_ok=True)
    if not record.contract_id:
        path = folder / f"rows{SUFFIXES[file.kind]}"
        with file.open() as source, path.open("wb") as copy:
            copyfileobj(source, copy)
        return path
    stem = _stem(record)
    path = folder / f"{stem}.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{stem}.csv", "w", force_zip64=True) as copy,
        file.open() as source,
    ):
        copyfileobj(source, copy)
    return path


def _stem(record: ImportBatch) -> str:
    start = record.interval
    if start is None:
        return record.contract_id
    end = f"{(start.hour + 1) % 24:02}{start:%M}"
    return f"{record.contract_id}_{start:%Y-%m-%d_%H%M}-{end}"
