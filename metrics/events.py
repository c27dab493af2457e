"""Live events: what was committed, told to whoever listens, by a stream in Redis.

Each event carries absolute totals and a version, so neither order nor repetition
matters: a listener drops what is not newer than what it has. An event that could not be
sent is made up for by the next one of its constituency, at the latest by its refresh; and
as soon as its process can send again, it tells listeners to read their figures anew.
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
# Events before this one are lost: listeners have to read their figures anew.
RESET = "reset"
# The stream of all elections' totals. No slug leads to it: those have the colon.
OVERVIEW = "live-elections"
# Where a stream starts that has never held an event.
FIRST_ID = "0-0"
# As the cache: a Redis that hangs must not hold up a loader.
CONNECT_SECONDS, ANSWER_SECONDS = 0.2, 0.3
_breaker = Breaker(pause_seconds=1)
# Streams whose listeners have missed something of this process.
_lossy: set[str] = set()


@dataclass(frozen=True, slots=True)
class Event:
    """What changed in one election: the type of event, and its content."""

    election: str
    kind: str
    content: Mapping[str, Any]
    # Also for whoever watches all elections at a glance.
    is_overview: bool = False

    @property
    def streams(self) -> list[str]:
        """Return the names of the streams that it belongs to."""
        of_election = stream_name(self.election)
        return [of_election, OVERVIEW] if self.is_overview else [of_election]


def stream_name(election: str) -> str:
    """Return the name of the stream that holds the events of the election."""
    return f"live:{election}"


def publish(events: Sequence[Event]) -> None:
    """Append events to the streams of their elections; call it after the commit.

    A Redis that is away loses them, with a warning: figures do not depend on them.
    """
    streams = {stream for event in events for stream in event.streams}
    if not streams:
        return
    if _breaker.is_open:
        _lossy.update(streams)
        return
    lossy = sorted(_lossy)
    pipeline = _client().pipeline(transaction=False)
    for stream in lossy:
        _append(pipeline, stream, RESET, {})
    for event in events:
        for stream in event.streams:
            _append(pipeline, stream, event.kind, event.content)
    try:
        pipeline.execute()
    except (redis.RedisError, OSError) as error:
        _breaker.open()
        _lossy.update(streams)
        logger.warning("Live events are lost", count=len(events), reason=str(error))
    else:
        _lossy.difference_update(lossy)


def live_id(election: str | None) -> str | None:
    """Return the id of the last event of an election, or of the overview for None.

    Read it before the figures that it goes with: a listener that starts behind it misses
    nothing. None where Redis is away.
    """
    if _breaker.is_open:
        return None
    stream = OVERVIEW if election is None else stream_name(election)
    try:
        newest: Any = _client().xrevrange(stream, count=1)
    except (redis.RedisError, OSError) as error:
        _breaker.open()
        logger.warning("The id of live events cannot be read", reason=str(error))
        return None
    return newest[0][0].decode("ascii") if newest else FIRST_ID


def _append(pipeline: Any, stream: str, kind: str, content: Mapping[str, Any]) -> None:
    pipeline.xadd(
        stream,
        {"type": kind, "data": orjson.dumps(content)},
        maxlen=settings.EVENT_STREAM_LENGTH,
        # Exactly so many would cost a search in every append.
        approximate=True,
    )


@cache
def _client() -> "redis.Redis":
    # redis-py waits for seconds and tries ten times by default.
    return redis.Redis.from_url(
        settings.EVENTS_REDIS_URL,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
