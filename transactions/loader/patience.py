"""Patience with a database that is away for a moment: a restart, a lost connection."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from django.db import Error, connection

from elections.database import is_away

logger = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

# A deadlock or a restart of the server passes within seconds; five tries wait for 31.
ATTEMPTS = 6
FIRST_PAUSE_SECONDS = 1.0


def patiently(do: Callable[[], Answer]) -> Answer:
    """Return what `do` returns, trying again while the database is away.

    What is done must be safe to repeat, and no transaction may be open.

    Raises:
        OperationalError: the database stayed away.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return do()
        except Error as error:
            if not is_away(error):
                raise
            logger.warning("The database is away", attempt=attempt, error=str(error))
            connection.close()
            time.sleep(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
    return do()
