"""Work that takes long stays in the hand of its worker, as long as that lives."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

logger = structlog.get_logger(__name__)

# So that two may be missed.
RENEWALS_PER_LEASE = 4


@contextmanager
def kept(renew: Callable[[], object]) -> Iterator[None]:
    """Call `renew` now, and again before each lease ends, while the block runs.

    In a thread: it ends with a process that is killed, and stands still in one that is
    frozen, so that the lease ends, too.
    """
    renew()
    is_over = Event()
    pause = settings.UPDATE_LEASE_SECONDS / RENEWALS_PER_LEASE
    thread = Thread(target=_keep, args=(renew, is_over, pause), daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _keep(renew: Callable[[], object], is_over: Event, pause: float) -> None:
    try:
        while not is_over.wait(pause):
            _renew(renew)
    finally:
        connection.close()


def _renew(renew: Callable[[], object]) -> None:
    try:
        renew()
    except (DatabaseError, InterfaceError) as error:
        logger.warning("A lease was not renewed", error=str(error))
        connection.close()
