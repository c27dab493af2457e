"""Compare every published figure with the ledger."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from elections.models import Constituency
from metrics.services.groups import WORK_MEMORY, in_groups
from metrics.sql import statements
from transactions.deltas import minutes_exact_since

# In the order in which sql/verify.sql compares them.
HOUR_FIGURES = [
    "bulletins_issued",
    "votes_cast",
    "revotes",
    "transaction_count",
    "failed_count",
]
TOTAL_FIGURES = [*HOUR_FIGURES, "ledger_registered_voters", "voters_list_count"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A stored figure that is not what the ledger says."""

    contract_id: str
    # Start of the hour, or of the minute where `what` begins with "minute".
    # None: a total over all hours.
    hour: datetime | None
    what: str
    # None: unknown.
    counted: str | None
    stored: str | None

    def __str__(self) -> str:
        when = f"{self.hour:%Y-%m-%d %H:%M} UTC" if self.hour else "in total"
        stored, counted = (
            "unknown" if figure is None else figure
            for figure in (self.stored, self.counted)
        )
        return (
            f"{self.contract_id} {when}: {self.what} is {stored}, the ledger says "
            f"{counted}"
        )


def verify(
    *,
    election: str | None = None,
    contract_ids: Collection[str] | None = None,
    now: datetime | None = None,
    on_done: Callable[[int], object] = lambda constituencies: None,
) -> Iterator[Difference]:
    """Yield what differs between ledger, statistics and totals; nothing is changed.

    Each group of constituencies is read in one snapshot, so loaders may run meanwhile;
    `on_done` is told how many there were in each. Minutes are compared as far as the
    retention reaches back from `now`, by default from the moment of the call.
    """
    constituencies = Constituency.objects.order_by("id")
    if election is not None:
        constituencies = constituencies.filter(election__slug=election)
    if contract_ids is not None:
        constituencies = constituencies.filter(contract_id__in=contract_ids)
    figures: dict[str, Any] = {
        "hour_figures": HOUR_FIGURES,
        "total_figures": TOTAL_FIGURES,
        "minutes_since": minutes_exact_since(now or timezone.now()),
    }
    for group in in_groups(constituencies.iterator()):
        ids = [constituency.pk for constituency in group]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(WORK_MEMORY)
            # One statement is one snapshot.
            cursor.execute(statements["verify"], figures | {"constituency_ids": ids})
            differences = [Difference(*row) for row in cursor.fetchall()]
        yield from differences
        on_done(len(group))
