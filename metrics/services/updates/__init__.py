"""The outbox: what has to be updated is a row, and whoever is killed, the row remains.

asking.py    what is asked for
service.py   the verbs: ask, process, retry, prune
claims.py    what a worker has in hand
handlers.py  who makes which kind
making.py    how it is made, and what becomes of what fails
"""

from metrics.services.updates.asking import PRIORITIES, Priority, Request
from metrics.services.updates.claims import ClaimedUpdate, LeaseLost
from metrics.services.updates.handlers import (
    Handler,
    NotNow,
    UnknownScope,
    register,
    register_for_many,
    register_prepared,
)
from metrics.services.updates.making import Processed
from metrics.services.updates.service import MetricsUpdateService

__all__ = [
    "PRIORITIES",
    "ClaimedUpdate",
    "Handler",
    "LeaseLost",
    "MetricsUpdateService",
    "NotNow",
    "Priority",
    "Processed",
    "Request",
    "UnknownScope",
    "register",
    "register_for_many",
    "register_prepared",
]
