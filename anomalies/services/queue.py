"""When elections are evaluated: through the update queue, like everything else.

evaluate:<id>  apply all rules to the hours of an election that are over
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from anomalies import queries
from anomalies.services.evaluation import AnomalyService, closed_until
from anomalies.services.panels import ONE_HOUR
from elections.models import Election
from metrics import update_queries
from metrics.models import UpdateTrigger
from metrics.services.updates import (
    ClaimedUpdate,
    Handler,
    MetricsUpdateService,
    Request,
    register_prepared,
)

logger = structlog.get_logger(__name__)

KIND = "evaluate"
# After the first row of a new hour the last ones of the old one are still on their way.
NEW_HOUR_SECONDS = 5.0
# Late rows of a bulk load come by the thousand; one evaluation serves them all.
LATE_DATA_SECONDS = 30.0
# So long after its end an election is looked at again and again; after the last that was
# heard of it, where nobody names an end.
AFTERMATH = timedelta(hours=24)


def register_handlers() -> None:
    """Let the update queue know who evaluates; called once, when the apps are ready."""
    register_prepared(KIND, prepare)


def prepare(update: ClaimedUpdate, now: datetime) -> Handler:
    """Assess the election of an update, outside any transaction; return what writes it."""
    service = AnomalyService()
    try:
        assessment = service.assess(int(update.key), now=now)
    except Election.DoesNotExist:
        logger.info("The election is gone", election_id=update.key)
        return lambda *_: None

    def write(_: ClaimedUpdate, written_at: datetime) -> None:
        service.write(assessment, now=written_at)

    return write


def ask_after_refresh(
    hours: Mapping[int, Collection[datetime]], *, now: datetime
) -> None:
    """Ask for the evaluation of elections whose last hour ended, or whose past changed."""
    wanted = list(_wanted(hours, now))
    if wanted:
        MetricsUpdateService().enqueue(
            wanted, trigger=UpdateTrigger.NEW_TRANSACTION, now=now
        )


def _wanted(
    hours: Mapping[int, Collection[datetime]], now: datetime
) -> Iterator[Request]:
    for election_id, changed in sorted(hours.items()):
        until = closed_until(election_id, now=now)
        if until is None:
            continue
        evaluated = queries.evaluated_until(election_id)
        late = sorted(hour for hour in changed if hour + ONE_HOUR <= until)
        if evaluated is None or evaluated < until:
            yield Request(f"{KIND}:{election_id}", late, NEW_HOUR_SECONDS)
        elif late:
            yield Request(f"{KIND}:{election_id}", late, LATE_DATA_SECONDS)


def ask_by_hand(election_id: int, *, now: datetime) -> None:
    """Ask for an evaluation that goes before all other updates."""
    MetricsUpdateService().request_by_hand([Request(f"{KIND}:{election_id}")], now=now)


def ask_for_due(now: datetime) -> int:
    """Ask for an evaluation of the elections that go on or have just ended; return how many.

    Their feeds may have fallen silent, which no change announces, and what is told an hour
    late has to be told of the last hours, too. One that names no end goes on for ever:
    what comes of it asks for its evaluation itself, see `ask_after_refresh`.
    """
    since = now - AFTERMATH
    ids = {*update_queries.active_election_ids(now), *queries.ended_after(since)}
    ids -= queries.silent_without_end(since, now=now)
    wanted = [
        Request(f"{KIND}:{election_id}")
        for election_id in sorted(ids)
        if closed_until(election_id, now=now) is not None
    ]
    with transaction.atomic():
        MetricsUpdateService().enqueue(wanted, trigger=UpdateTrigger.SCHEDULED, now=now)
    return len(wanted)
