"""Hour files as if they had been received, for tests of what is read of them."""

from datetime import UTC, datetime

from elections.models import Constituency
from transactions.models import BatchKind, BatchStatus, FeedHour, ImportBatch


def make_batch(**fields: object) -> ImportBatch:
    made_up = {
        "kind": BatchKind.PORTAL_HOUR,
        "name": "file.csv",
        "status": BatchStatus.LOADED,
        "started_at": datetime(2026, 9, 18, 6, tzinfo=UTC),
    }
    return ImportBatch.objects.create(**{**made_up, **fields})


def receive(constituency: Constituency, *labels: str, version: int = 1) -> None:
    """Record an hour file of each label, such as "2026-09-18 08:00"."""
    batch = make_batch(constituency=constituency)
    FeedHour.objects.bulk_create(
        FeedHour(
            constituency=constituency,
            interval=datetime.fromisoformat(label).replace(tzinfo=UTC),
            version=version,
            batch=batch,
            sha256=b"",
            row_hashes=b"",
        )
        for label in labels
    )
