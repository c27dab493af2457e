"""Uploaded files: stored at once, loaded by a worker, told of by one batch."""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import structlog
from celery import current_app
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.files import File
from django.db import transaction
from django.db.models import QuerySet
from kombu.exceptions import OperationalError as BrokerAway

from elections.clock import Clock
from elections.locks import Lock, alone, is_locked
from elections.models import Election
from transactions.formats import UnusableFile, discover
from transactions.formats.reasons import clean
from transactions.models import BatchKind, BatchStatus, ImportBatch, Upload
from transactions.services.imports import ImportService
from transactions.services.intake import (
    give_up,
    next_batch_ids,
)
from transactions.services.verdicts import OPEN, Verdict, end_upload, verdict_on
from transactions.services.waiting import forget_loaded

logger = structlog.get_logger(__name__)

IMPORT_UPLOAD = "transactions.import_upload"
# An upload that ends its worker each time is given up.
MAX_ATTEMPTS = 5
# A message may be lost, a worker killed: then it is sent again.
RESEND_AFTER = timedelta(seconds=60)
# What file systems take as a name.
MAX_NAME_BYTES = 255


class UnusableName(ValueError):
    """A file cannot be stored under its name; the message says why."""


class TakenUp(RuntimeError):
    """Another worker has begun to load an upload anew."""


def receive_upload(
    content: "File[bytes]",
    *,
    name: str,
    election: Election | None = None,
    uploaded_by: AbstractBaseUser | AnonymousUser | None = None,
    now: datetime,
) -> ImportBatch:
    """Store a file, queue it for a worker and return its batch.

    Its name is kept, since it tells contract and hour.

    Raises:
        UnusableName: the name is none of a file.
    """
    file_name = _checked_name(name)
    batch_id = next_batch_ids(1)[0]
    uploads = settings.MEDIA_ROOT / "uploads"
    uploads.mkdir(parents=True, exist_ok=True)
    # A folder of this id alone may be left from another database.
    folder = Path(mkdtemp(prefix=f"{batch_id:012}-", dir=uploads))
    try:
        path = folder / file_name
        _store(content, path)
        batch = ImportBatch(
            id=batch_id,
            kind=BatchKind.UPLOAD,
            name=file_name,
            status=BatchStatus.QUEUED,
            size_bytes=path.stat().st_size,
            source_path=str(path),
            started_at=now,
        )
        _queue(batch, election, uploaded_by)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return batch


def load_upload(batch_id: int, *, clock: Clock) -> None:
    """Load an upload that is queued, or whose loading was cut off.

    Safe to call again, at any time and by several workers: one of them loads. One that
    lost its connection may lose the upload to another; it then leaves it alone.

    Raises:
        OperationalError: the database stayed away. It is tried again later.
    """
    with alone(Lock.RUNNING_BATCH, batch_id) as is_alone:
        upload = _begin(batch_id) if is_alone else None
        if upload is None:
            logger.info("The upload is loaded, or being loaded", batch=batch_id)
            return
        try:
            verdict = _load(upload, clock)
            with transaction.atomic():
                _hold(upload)
                end_upload(batch_id, verdict, now=clock())
        except TakenUp:
            logger.warning("Another worker has taken up the upload", batch=batch_id)
            return
        _remove_file(upload)


def resume_uploads(now: datetime) -> list[int]:
    """Ask again for a worker for uploads that none has in hand; return their ids.

    Files that a killed worker had loaded, but not removed, are removed.
    """
    for upload in _loaded_uploads_with_file():
        _remove_file(upload)
    # A time that lies ahead tells of a clock that ran back.
    overdue = _open_uploads().exclude(sent_at__range=(now - RESEND_AFTER, now))
    sent = []
    for upload in overdue.order_by("pk"):
        # Conditional: of two sweeps at once, one sends.
        same = Upload.objects.filter(pk=upload.pk, sent_at=upload.sent_at)
        if not is_locked(Lock.RUNNING_BATCH, upload.pk) and same.update(sent_at=now):
            _ask_worker(upload.pk)
            sent.append(upload.pk)
    return sent


def _checked_name(name: str) -> str:
    """Return the name if it is one of a file in a folder, and nothing more."""
    if name in {"", ".", ".."} or any(c in name for c in "/\\\0"):
        raise UnusableName("The name is no plain file name.")
    if clean(name) != name or not name.isprintable():
        raise UnusableName("The name has characters that cannot be printed.")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise UnusableName(f"The name is longer than {MAX_NAME_BYTES} bytes.")
    return name


def _store(content: "File[bytes]", path: Path) -> None:
    if hasattr(content, "temporary_file_path"):
        # In the same file system: two gigabytes are not copied.
        shutil.move(content.temporary_file_path(), path)
        return
    with path.open("xb") as file:
        for piece in content.chunks():
            file.write(piece)


def _queue(
    batch: ImportBatch,
    election: Election | None,
    user: AbstractBaseUser | AnonymousUser | None,
) -> None:
    with transaction.atomic():
        batch.save(force_insert=True)
        Upload.objects.create(
            batch=batch,
            election=election.slug if election else "",
            uploaded_by_id=user.pk if user else None,
            sent_at=batch.started_at,
        )

        # No partial: Django names a robust hook that failed, and a partial has no name.
        def ask_worker() -> None:
            _ask_worker(batch.pk)

        transaction.on_commit(ask_worker, robust=True)


def _ask_worker(batch_id: int) -> None:
    """Send the message; a broker that is away fails nobody, the sweep sends it again."""
    message = {"batch_id": batch_id}
    try:
        current_app.send_task(IMPORT_UPLOAD, kwargs=message, queue="import")
    except BrokerAway as error:
        logger.warning("No worker could be asked", batch=batch_id, reason=str(error))


def _open_uploads() -> "QuerySet[Upload]":
    return Upload.objects.select_related("batch").filter(batch__status__in=OPEN)


def _loaded_uploads_with_file() -> "QuerySet[Upload]":
    loaded = Upload.objects.select_related("batch").exclude(batch__status__in=OPEN)
    return loaded.exclude(batch__source_path="")


def _begin(batch_id: int) -> Upload | None:
    """Return an upload for another attempt; None where it is loaded already."""
    with transaction.atomic():
        # In a statement of its own: the next one then sees how another attempt ended.
        Upload.objects.select_for_update().filter(pk=batch_id).first()
        upload = _open_uploads().filter(pk=batch_id).first()
        if upload is not None:
            upload.attempts += 1
            upload.save(update_fields=["attempts"])
            end_upload(batch_id, Verdict(BatchStatus.RUNNING))
    return upload


def _hold(upload: Upload) -> None:
    """Keep this attempt the last one until the transaction ends.

    Raises:
        TakenUp: a later one was begun.
    """
    same = Upload.objects.select_for_update(no_key=True)
    # Not exists(), which locks nothing.
    if same.filter(pk=upload.pk, attempts=upload.attempts).first() is None:
        raise TakenUp


def _load(upload: Upload, clock: Clock) -> Verdict:
    """Load what an upload holds and return what came of it."""
    path = Path(upload.batch.source_path)
    election = Election.objects.filter(slug=upload.election).first()
    if upload.attempts > MAX_ATTEMPTS:
        return _failure(
            "loading_ends_early",
            f"Its loading ended {MAX_ATTEMPTS} times before it was done, the log says "
            "why. What was loaded stays. Upload it again, perhaps in smaller files.",
        )
    if upload.election and election is None:
        return _failure("election_gone", f"There is no election {upload.election}.")
    if not path.is_file():
        return _failure("file_gone", "The stored file is gone: upload it again.")
    _close_earlier_attempt(upload.batch, clock())
    found = discover([path])
    Upload.objects.filter(pk=upload.pk).update(
        files=len(found.files) + len(found.unusable)
    )
    service = ImportService(
        election=election,
        clock=clock,
        upload=upload.batch,
        guard=partial(_hold, upload),
    )
    service.refuse_files(_named_by_upload(found.unusable, path))
    # Files of several constituencies come last, as in any import.
    service.import_files(sorted(found.files, key=lambda file: not file.contract_id))
    forget_loaded()
    return verdict_on(upload.pk)


def _failure(code: str, sentence: str) -> Verdict:
    return Verdict(BatchStatus.FAILED, code, sentence)


def _close_earlier_attempt(batch: ImportBatch, now: datetime) -> None:
    """Say of what an attempt left half loaded that it was cut off.

    What it said of files of which it loaded nothing is forgotten: it is said again.
    """
    for member in batch.members.filter(status=BatchStatus.RUNNING):
        give_up(member.pk, now)
    said = [BatchStatus.FAILED, BatchStatus.UNCHANGED]
    batch.members.filter(status__in=said, chunks=0).delete()


def _named_by_upload(files: Iterable[UnusableFile], path: Path) -> list[UnusableFile]:
    """Name files as the upload does: where it is stored is nobody's business."""
    folder = f"{path.resolve().parent}/"
    return [replace(file, path=file.path.removeprefix(folder)) for file in files]


def _remove_file(upload: Upload) -> None:
    """Remove the stored file; files that wait have a copy of their own."""
    shutil.rmtree(Path(upload.batch.source_path).parent, ignore_errors=True)
    ImportBatch.objects.filter(pk=upload.pk).update(source_path="")
