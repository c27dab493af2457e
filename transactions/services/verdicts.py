"""What became of an upload: the sum of its files, and a status that says so."""

from dataclasses import dataclass
from datetime import datetime

from transactions import queries
from transactions.models import BatchKind, BatchStatus, ImportBatch

OPEN = [BatchStatus.QUEUED, BatchStatus.RUNNING]
SOME_FILES_FAILED = "some_files_failed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of an upload, as its batch tells it."""

    status: BatchStatus
    error_code: str = ""
    error: str = ""


def judge_upload(upload_id: int | None) -> None:
    """Sum up again an upload whose loading has ended, after a change of its files."""
    if upload_id is None:
        return
    uploads = ImportBatch.objects.filter(pk=upload_id, kind=BatchKind.UPLOAD)
    if uploads.exclude(status__in=OPEN).exists():
        end_upload(upload_id, verdict_on(upload_id))


def end_upload(
    upload_id: int, verdict: Verdict, *, now: datetime | None = None
) -> None:
    """Write what an upload came to; `now` is when its loading ended, if it just did."""
    ImportBatch.objects.filter(pk=upload_id).update(
        status=verdict.status,
        error_code=verdict.error_code,
        error=verdict.error,
        **({"finished_at": now} if now else {}),
        **queries.upload_counts(upload_id),
    )


def verdict_on(upload_id: int) -> Verdict:
    """Return what the files of an upload come to.

    Files that wait can still be loaded; a file that was loaded makes the others that
    were not a remark.
    """
    members = ImportBatch.objects.filter(parent_id=upload_id)
    numbers = queries.numbers_by_status(upload_id)
    waiting = members.filter(status=BatchStatus.WAITING).order_by("id").first()
    if waiting is not None:
        return Verdict(BatchStatus.WAITING, waiting.error_code, waiting.error)
    failed = members.filter(status=BatchStatus.FAILED).order_by("id").first()
    usable = numbers.keys() & {BatchStatus.LOADED, BatchStatus.UNCHANGED}
    if failed is not None and not usable:
        return Verdict(BatchStatus.FAILED, failed.error_code, failed.error)
    status = (
        BatchStatus.UNCHANGED
        if numbers.keys() == {BatchStatus.UNCHANGED}
        else BatchStatus.LOADED
    )
    if failed is None:
        return Verdict(status)
    number = numbers[BatchStatus.FAILED]
    files = f"{number:,} files" if number > 1 else "1 file"
    error = f"{files} could not be used, such as {failed.name}: {failed.error}"
    return Verdict(status, SOME_FILES_FAILED, error)
