"""H01 and H02: totals that exceed what they are part of."""

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
# An excess that is still there one tick later is no lag of recording.
TICKS_OF_LAG = 1


@dataclass(frozen=True, slots=True)
class Hours:
    """Totals of one constituency at the end of every hour: one element per tick."""

    started: tuple[datetime, ...]
    issued: Counts
    cast: Counts

    @classmethod
    def of(cls, first: datetime, issued: ArrayLike, cast: ArrayLike) -> "Hours":
        """Add up the counts of hours that follow each other from `first` on."""
        sums = [np.cumsum(np.asarray(counts, np.int64)) for counts in (issued, cast)]
        started = tuple(first + number * ONE_HOUR for number in range(len(sums[0])))
        return cls(started, *sums)

    def table_from(self, first: int) -> list[list[str | int]]:
        """Return hour, issued and cast so far, the last rows from `first` on."""
        start = max(first, len(self.started) - IDS_SHOWN)
        return [
            [self.started[i].isoformat(), int(self.issued[i]), int(self.cast[i])]
            for i in range(start, len(self.started))
        ]


def ticks_above(excess: Counts) -> int:
    """Return for how many ticks up to the last one `excess` has been above 0."""
    fine = np.flatnonzero(excess <= 0)
    return len(excess) - (int(fine[-1]) + 1 if fine.size else 0)


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
        ticks = ticks_above(excess)
        if not ticks:
            return None
        is_lasting = ticks > TICKS_OF_LAG or is_closed
        violation = Violation(
            severity=Severity.CRITICAL if is_lasting else Severity.WARNING,
            started_hour=hours.started[-ticks],
            ended_hour=hours.started[-1],
            statistic=int(excess[-1]),
            excess=int(excess[-1]),
            evidence={
                "bulletins_issued": int(hours.issued[-1]),
                "votes_cast": int(hours.cast[-1]),
                "ticks": ticks,
                "is_closed": is_closed,
                # The tick before is shown too: there it was fine.
                "hours": hours.table_from(max(0, len(excess) - ticks - 1)),
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
        ticks = ticks_above(used - registered)
        if not ticks:
            return None
        largest = int(used[-1])
        has_fallen = highest is not None and registered < largest <= highest
        violation = Violation(
            severity=Severity.CRITICAL if has_fallen else Severity.WARNING,
            started_hour=hours.started[-ticks],
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
