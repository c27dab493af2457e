"""The verbs of the ledger: load files, feed, retry what was refused."""

from transactions.loader import ConstituencyGone
from transactions.services import back_pressure
from transactions.services.api_batches import PostedRows, load_rows
from transactions.services.feed import feed_simulation, register_simulation
from transactions.services.feed_watch import StatusChange, close_ended, mark_silent
from transactions.services.imports import ImportService
from transactions.services.intake import mark_interrupted
from transactions.services.parallel import WorkerDied, import_paths, load_waiting
from transactions.services.retry import CannotRetry, retry_rejected
from transactions.services.summary import ImportSummary
from transactions.services.uploads import (
    IMPORT_UPLOAD,
    UnusableName,
    load_upload,
    receive_upload,
    resume_uploads,
)
from transactions.services.waiting import discard
from transactions.services.watching import Arrival, FolderWatch

__all__ = [
    "IMPORT_UPLOAD",
    "Arrival",
    "CannotRetry",
    "ConstituencyGone",
    "FolderWatch",
    "ImportService",
    "ImportSummary",
    "PostedRows",
    "StatusChange",
    "UnusableName",
    "WorkerDied",
    "back_pressure",
    "close_ended",
    "discard",
    "feed_simulation",
    "import_paths",
    "load_rows",
    "load_upload",
    "load_waiting",
    "mark_interrupted",
    "mark_silent",
    "receive_upload",
    "register_simulation",
    "resume_uploads",
    "retry_rejected",
]
