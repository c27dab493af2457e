"""Live events: what was committed, told to whoever listens, by a stream in Redis.

Each event carries absolute totals and a version, so neither order nor repetition
matters: a listener drops what is not newer than what it has. An event that could not be
sent is made up for by the next one of its constituency, at the latest by its refresh.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from metrics.breaker import Breaker

logger = structlog.get_logger(__name__)

METRICS = "metrics"
# As the cache: a Redis that hangs must not hold up a loader.
CONNECT_SECONDS, ANSWER_SECONDS = 0.2, 0.3
_breaker = Breaker(pause_seconds=1)


@dataclass(frozen=True, slots=True)
class Event:
    """What changed in one election: the type of event, and its content."""

    election: str
    kind: str
    content: Mapping[str, Any]


def stream_name(election: str) -> str:
    """Return the name of the stream that holds the events of the election."""
    return f"live:{election}"


def publish(events: Sequence[Event]) -> None:
    """Append events to the streams of their elections; call it after the commit.

    A Redis that is away loses them, with a warning: figures do not depend on them.
    """
    if not events or _breaker.is_open:
        return
    pipeline = _client().pipeline(transaction=False)
    for event in events:
        pipeline.xadd(
            stream_name(event.election),
            {"type": event.kind, "data": orjson.dumps(event.content)},
            maxlen=settings.EVENT_STREAM_LENGTH,
            # Exactly so many would cost a search in every append.
            approximate=True,
        )
    try:
        pipeline.execute()
    except (redis.RedisError, OSError) as error:
        _breaker.open()
        logger.warning("Live events are lost", count=len(events), reason=str(error))


@cache
def _client() -> "redis.Redis":
    # redis-py waits for seconds and tries ten times by default.
    return redis.Redis.from_url(
        settings.EVENTS_REDIS_URL,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
