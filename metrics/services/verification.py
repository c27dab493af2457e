"""Compare every published figure with the ledger."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from elections.models import Constituency
from metrics.services.groups import in_groups
from metrics.sql import statements

HOUR_FIGURES = "bulletins_issued, votes_cast, revotes, transaction_count, failed_count"
TOTAL_FIGURES = f"{HOUR_FIGURES}, registered_voters, voters_lists"


@dataclass(frozen=True, slots=True)
class Difference:
    """A stored figure that is not what the ledger says."""

    contract_id: str
    hour: datetime | None
    what: str
    counted: str
    stored: str

    def __str__(self) -> str:
        place = (
            f"{self.contract_id} {self.hour:%Y-%m-%d %H:%M}"
            if self.hour
            else (self.contract_id)
        )
        return f"{place}: {self.what} is {self.stored}, the ledger says {self.counted}"


def verify(*, election: str | None = None) -> Iterator[Difference]:
    """Yield what differs between ledger, HourlyStats and totals; nothing is changed.

    Each group of constituencies is read in one snapshot, so loaders may run meanwhile.
    """
    constituencies = Constituency.objects.order_by("id")
    if election is not None:
        constituencies = constituencies.filter(election__slug=election)
    for group in in_groups(constituencies.iterator()):
        ids = [constituency.pk for constituency in group]
        with transaction.atomic(), connection.cursor() as cursor:
            # One statement is one snapshot.
            cursor.execute(statements["verify"], {"constituency_ids": ids})
            yield from (Difference(*row) for row in cursor.fetchall())
