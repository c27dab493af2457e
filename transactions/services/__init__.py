"""The verbs of the ledger: load files, feed, retry what was refused."""

from transactions.services.feed import feed_simulation, register_simulation
from transactions.services.imports import ImportService
from transactions.services.parallel import WorkerDied, import_paths, load_waiting
from transactions.services.retry import CannotRetry, retry_rejected
from transactions.services.summary import ImportSummary

__all__ = [
    "CannotRetry",
    "ImportService",
    "ImportSummary",
    "WorkerDied",
    "feed_simulation",
    "import_paths",
    "load_waiting",
    "register_simulation",
    "retry_rejected",
]
