"""What Celery runs. Each is safe to run twice, late or never: the rows are the truth."""

from celery import shared_task
from django.utils import timezone

from transactions import services
from transactions.services import IMPORT_UPLOAD


@shared_task(name=IMPORT_UPLOAD)
def import_upload(*, batch_id: int, **_: object) -> None:
    """Load an uploaded file."""
    services.load_upload(batch_id, clock=timezone.now)


@shared_task(name="transactions.resume_uploads")
def resume_uploads(**_: object) -> int:
    """Ask again for workers for uploads that none has in hand; return how many."""
    return len(services.resume_uploads(timezone.now()))
