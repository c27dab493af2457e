"""Feeds that watch themselves: who falls silent is offline, who is through completed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from elections.locks import lock_constituencies
from elections.models import Constituency, ConstituencyStatus
from elections.signals import registry_changed
from transactions.feed_queries import FeedState, feed_states

logger = structlog.get_logger(__name__)

# Constituencies locked together: for some milliseconds.
GROUP = 100
ACTIVE, OFFLINE = ConstituencyStatus.ACTIVE, ConstituencyStatus.OFFLINE
COMPLETED = ConstituencyStatus.COMPLETED


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A constituency that got another status."""

    constituency_id: int
    contract_id: str
    # The slug.
    election: str
    before: str
    after: ConstituencyStatus


def mark_silent(now: datetime) -> list[StatusChange]:
    """Mark silent feeds as offline, and those that speak again as active.

    Only while their voting is open; what is completed stays so. Returns what changed,
    by id.
    """
    wanted = _verdicts(feed_states(now=now))
    return _under_locks(
        [change.constituency_id for change in wanted],
        lambda ids: _verdicts(feed_states(constituency_ids=ids, now=now)),
    )


def close_ended(now: datetime) -> list[StatusChange]:
    """Complete the constituencies whose voting has closed; return them, by id.

    By the contract, else by the end of the election; staff's word on the election goes
    before both. Late rows are counted later and do not open it again.
    """
    closes_at = Coalesce("voting_closes_at", "election__ends_at")
    ended = (
        Constituency.objects.filter(status__in=[ACTIVE, OFFLINE])
        .alias(closes_at=closes_at)
        .filter(Q(closes_at__lte=now) | Q(election__status_override="completed"))
        .exclude(election__status_override__in=["active", "upcoming"])
        .order_by("id")
        .values_list("id", "contract_id", "election__slug", "status")
    )
    return _under_locks(
        [pk for pk, *_ in ended],
        lambda ids: [
            StatusChange(*row, after=COMPLETED) for row in ended.filter(id__in=ids)
        ],
    )


def _verdicts(states: Iterable[FeedState]) -> list[StatusChange]:
    """Return the changes that the states ask for."""
    verdicts = ((state, _verdict(state)) for state in states)
    return [
        StatusChange(
            state.constituency_id,
            state.contract_id,
            state.election,
            state.status,
            after,
        )
        for state, after in verdicts
        if after is not None
    ]


def _verdict(state: FeedState) -> ConstituencyStatus | None:
    if state.is_silent and state.status == ACTIVE:
        return OFFLINE
    if state.is_heard and state.status == OFFLINE:
        return ACTIVE
    return None


def _under_locks(
    ids: Sequence[int], find: Callable[[list[int]], list[StatusChange]]
) -> list[StatusChange]:
    """Write the changes that `find` still finds once the constituencies are locked.

    A loader may have heard of one meanwhile, or staff have decided.
    """
    changed = []
    for first in range(0, len(ids), GROUP):
        with transaction.atomic():
            found = find(lock_constituencies(ids[first : first + GROUP]))
            _write(found)
            places = [(change.election, change.contract_id) for change in found]
            if places:
                registry_changed.send(sender=StatusChange, places=places)
        changed += found
    _log(changed)
    return changed


def _write(changes: Iterable[StatusChange]) -> None:
    by_status = defaultdict(list)
    for change in changes:
        by_status[change.after].append(change.constituency_id)
    for status, ids in by_status.items():
        # With a newer version, or listeners would take the news for old.
        Constituency.objects.filter(id__in=ids).update(
            status=status, version=F("version") + 1
        )


def _log(changes: Iterable[StatusChange]) -> None:
    by_election: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for change in changes:
        by_election[change.election][change.after.value] += 1
    for election, numbers in sorted(by_election.items()):
        logger.info("Constituencies changed status", election=election, **numbers)
