"""The verbs of the ledger: load files, feed, retry what was refused."""

from transactions.loader import ConstituencyGone
from transactions.services.feed import feed_simulation, register_simulation
from transactions.services.imports import ImportService
from transactions.services.intake import mark_interrupted
from transactions.services.parallel import WorkerDied, import_paths, load_waiting
from transactions.services.retry import CannotRetry, retry_rejected
from transactions.services.summary import ImportSummary
from transactions.services.waiting import discard

__all__ = [
    "CannotRetry",
    "ConstituencyGone",
    "ImportService",
    "ImportSummary",
    "WorkerDied",
    "discard",
    "feed_simulation",
    "import_paths",
    "load_waiting",
    "mark_interrupted",
    "register_simulation",
    "retry_rejected",
]
