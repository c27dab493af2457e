"""Wake a worker: a message that may be lost, since the sweep finds what waits."""

import structlog
from celery import current_app
from kombu.exceptions import OperationalError

from metrics.breaker import Breaker

logger = structlog.get_logger(__name__)

PROCESS_UPDATES = "metrics.process_updates"
# Whoever was busy for longer finds what waits by the sweep, so the wake-ups of a night do
# not pile up before a single process. More than clocks of two machines differ by: the
# worker compares it with its own.
EXPIRES_SECONDS = 60
# As long as until the next sweep.
_breaker = Breaker(pause_seconds=5)


def wake_worker(task: str = PROCESS_UPDATES) -> None:
    """Tell a worker that updates, or something else, wait; call it after the commit.

    A broker that is away fails nobody.
    """
    if _breaker.is_open:
        return
    try:
        current_app.send_task(task, expires=EXPIRES_SECONDS)
    except (OperationalError, AttributeError) as error:
        # kombu trips over its own connection where that was lost a moment ago.
        _breaker.open()
        logger.warning("No worker could be woken", reason=str(error))
