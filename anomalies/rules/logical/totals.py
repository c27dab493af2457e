"""H01 and H02: totals that exceed what they are part of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anomalies.rules.findings import Finding, Severity, Unverifiable
from anomalies.rules.logical.rule import (
    IDS_SHOWN,
    ONE_HOUR,
    LogicalRule,
    Place,
    Violation,
)

Counts = NDArray[np.int64]
# An excess that is still there one tick, an hour, later is no lag of recording.
TICKS_OF_LAG = 1


@dataclass(frozen=True, slots=True)
class Hours:
    """Totals of one constituency at the end of hours; between them nothing changed."""

    started: tuple[datetime, ...]
    issued: Counts
    cast: Counts

    @classmethod
    def of(
        cls, started: Sequence[datetime], issued: ArrayLike, cast: ArrayLike
    ) -> "Hours":
        """Add up the counts of hours, the oldest first."""
        sums = [np.cumsum(np.asarray(counts, np.int64)) for counts in (issued, cast)]
        return cls(tuple(started), *sums)

    def table_from(self, first: int) -> list[list[str | int]]:
        """Return hour, issued and cast so far, the last rows from `first` on."""
        start = max(first, len(self.started) - IDS_SHOWN)
        return [
            [self.started[i].isoformat(), int(self.issued[i]), int(self.cast[i])]
            for i in range(start, len(self.started))
        ]


def since_above(excess: Counts) -> int | None:
    """Return from which element to the last `excess` is above 0, None where it is not."""
    fine = np.flatnonzero(excess <= 0)
    first = int(fine[-1]) + 1 if fine.size else 0
    return first if first < len(excess) else None


class H01VotesExceedBulletins(LogicalRule):
    """More votes were cast than bulletins were issued.

    E(h) = votes cast − bulletins issued, both up to the end of hour h. Issues can be
    recorded later than their votes, so the first tick is a warning; what persists, or is
    there at the close, is critical. An excess that is gone is no finding.
    """

    code = "H01"
    source = "ODIHR: reconciliation of ballots; contract of cikrf/deg2021."

    def evaluate(
        self, place: Place, hours: Hours, *, is_closed: bool
    ) -> Finding | None:
        """Judge the last tick of `hours`; `is_closed` tells that nothing more comes."""
        excess = hours.cast - hours.issued
        since = since_above(excess)
        if since is None:
            return None
        ticks = (hours.started[-1] - hours.started[since]) // ONE_HOUR + 1
        is_lasting = ticks > TICKS_OF_LAG or is_closed
        violation = Violation(
            severity=Severity.CRITICAL if is_lasting else Severity.WARNING,
            started_hour=hours.started[since],
            ended_hour=hours.started[-1],
            statistic=int(excess[-1]),
            excess=int(excess[-1]),
            evidence={
                "bulletins_issued": int(hours.issued[-1]),
                "votes_cast": int(hours.cast[-1]),
                "ticks": ticks,
                "is_closed": is_closed,
                # The tick before is shown too: there it was fine.
                "hours": hours.table_from(max(0, since - 1)),
            },
        )
        return self.finding(place, violation)


class H02RegisterExceeded(LogicalRule):
    """The register on the ledger is smaller than the bulletins issued or the votes cast.

    Lists that were not loaded look like this (211,000 voters in 2024), so it is a
    warning. Critical is only a register that had held enough people and then fell.
    """

    code = "H02"
    source = "ODIHR: reconciliation of voters' lists; DOMAIN 0.8."

    def evaluate(
        self,
        place: Place,
        hours: Hours,
        *,
        registered: int | None,
        highest: int | None = None,
    ) -> Finding | Unverifiable | None:
        """Judge the last tick of `hours`.

        `registered` is the register now; `highest` the largest it has been by the lists
        on the ledger, None where there are none.
        """
        if registered is None:
            return self.unverifiable(place, "register_unknown")
        used = np.maximum(hours.issued, hours.cast)
        since = since_above(used - registered)
        if since is None:
            return None
        largest = int(used[-1])
        has_fallen = highest is not None and registered < largest <= highest
        violation = Violation(
            severity=Severity.CRITICAL if has_fallen else Severity.WARNING,
            started_hour=hours.started[since],
            ended_hour=hours.started[-1],
            statistic=largest - registered,
            excess=largest - registered,
            evidence={
                "registered_voters": registered,
                "highest_registered_voters": highest,
                "bulletins_issued": int(hours.issued[-1]),
                "votes_cast": int(hours.cast[-1]),
                "has_fallen": has_fallen,
            },
        )
        return self.finding(place, violation)
