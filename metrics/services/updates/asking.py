"""What is asked for, and how urgent it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from metrics.models import UpdateTrigger


class Priority(IntEnum):
    """The smaller the sooner."""

    MANUAL = 0
    NEW_TRANSACTION = 1
    SCHEDULED = 2


PRIORITIES = {
    UpdateTrigger.MANUAL: Priority.MANUAL,
    UpdateTrigger.NEW_TRANSACTION: Priority.NEW_TRANSACTION,
    UpdateTrigger.SCHEDULED: Priority.SCHEDULED,
}


@dataclass(frozen=True, slots=True)
class Request:
    """A wish for an update: what, which hours changed, and how long it may wait."""

    scope: str
    hours: Sequence[datetime] = ()
    delay_seconds: float = 0
