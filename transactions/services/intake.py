"""What is decided about a file before its lines are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice

from django.db import connection

from elections.clock import Clock
from elections.locks import Lock, is_locked
from transactions.formats import ExportFile, UnreadableFile
from transactions.models import BatchStatus, ImportBatch


@dataclass(slots=True)
class Delivery:
    """A file with its content's digest, and the content itself where it is small."""

    file: ExportFile
    content: bytes | None = None
    digest: bytes | None = None
    error: UnreadableFile | None = None


class Deliveries:
    """Opens files a window at a time, so that look-ups are shared and memory bounded."""

    WINDOW_FILES = 300
    # Contents held at once: files of up to 8 MB share a window.
    WINDOW_BYTES = 64 << 20

    def windows(self, files: Sequence[ExportFile]) -> Iterator[list[Delivery]]:
        """Yield the files in their order, hashed, a window at a time."""
        remaining = iter(files)
        while window := list(self._window(remaining)):
            yield window

    def _window(self, files: Iterator[ExportFile]) -> Iterator[Delivery]:
        size = 0
        for file in islice(files, self.WINDOW_FILES):
            yield open_delivery(file)
            size += file.size if file.is_small else 0
            if size >= self.WINDOW_BYTES:
                return


def open_delivery(file: ExportFile) -> Delivery:
    """Hash a file's content, and keep it where it is small."""
    try:
        if not file.is_small:
            return Delivery(file, digest=file.sha256())
        content = file.read_all()
    except UnreadableFile as error:
        return Delivery(file, error=error)
    return Delivery(file, content=content, digest=sha256(content).digest())


Known = dict[tuple[bytes, str, datetime | None], ImportBatch]


def loaded_before(deliveries: Sequence[Delivery]) -> Known:
    """Return the batches that loaded the same contents, by content, contract and hour."""
    # By contract too: all empty hours of an election have one content.
    batches = ImportBatch.objects.filter(
        status=BatchStatus.LOADED,
        contract_id__in={delivery.file.contract_id or "" for delivery in deliveries},
        sha256__in={delivery.digest for delivery in deliveries if delivery.digest},
    ).only("sha256", "contract_id", "interval", "rows_read", "parent_id", "started_at")
    return {
        (bytes(batch.sha256 or b""), batch.contract_id, batch.interval): batch
        for batch in batches
    }


def next_batch_ids(count: int) -> list[int]:
    """Return ids for new batches: known before the commit, to ask afterwards for it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('transactions_importbatch', 'id')) "
            "FROM generate_series(1, %s)",
            [count],
        )
        return [row[0] for row in cursor.fetchall()]


def mark_interrupted(clock: Clock) -> None:
    """Find batches whose loader is gone, and say so; importing the file finishes them.

    Uploads are left out: they are taken up again by themselves.
    """
    files = ImportBatch.objects.without_uploads().filter(status=BatchStatus.RUNNING)
    for batch_id in files.order_by("id").values_list("id", flat=True):
        if not is_locked(Lock.RUNNING_BATCH, batch_id):
            give_up(batch_id, clock())


def give_up(batch_id: int, now: datetime) -> None:
    """Say of a batch that is being loaded that it was stopped half-way."""
    ImportBatch.objects.filter(pk=batch_id, status=BatchStatus.RUNNING).update(
        status=BatchStatus.INTERRUPTED,
        finished_at=now,
        error_code="interrupted",
        error="The import was stopped half-way. Import the file again to finish.",
    )
