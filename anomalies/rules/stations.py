"""Results of polling stations as columns of numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomalies.rules.counts import Floats

Counts = NDArray[np.int64]
Truths = NDArray[np.bool_]

# Smaller stations have few percentages to choose from.
SMALLEST_STATION = 100
# Where nearly everybody votes, or votes alike, the next integer is 100.
LARGEST_SHARE = 0.99


@dataclass(frozen=True, slots=True)
class Groups:
    """Which group each station belongs to: a region, a commission, a constituency."""

    # One per station, an index into `names`.
    codes: Counts
    names: tuple[str, ...]

    def take(self, chosen: Truths) -> "Groups":
        """Return the groups of the chosen stations; the names stay."""
        return Groups(self.codes[chosen], self.names)


@dataclass(frozen=True, slots=True)
class Stations:
    """Polling stations, one element of each array per station."""

    # People on the register.
    voters: Counts
    # Ballots given out.
    given: Counts
    # Ballots found in the boxes.
    received: Counts
    # Votes for whoever won the election as a whole.
    leader: Counts
    regions: Groups | None = None
    commissions: Groups | None = None
    # Where votes of one ballot are added up; with `is_remote` and `parties` for P08.
    constituencies: Groups | None = None
    # Stations that stand for remote voting.
    is_remote: Truths | None = None
    # Votes, one row per station and one column per party of `party_names`.
    parties: Counts | None = None
    party_names: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Return how many there are."""
        return int(self.voters.size)

    @property
    def turnout(self) -> Floats:
        """Return ballots given per person on the register, a fraction, not capped."""
        return self.given / np.maximum(self.voters, 1)

    @property
    def share(self) -> Floats:
        """Return votes of the leader per ballot in the boxes, a fraction."""
        return self.leader / np.maximum(self.received, 1)

    def take(self, chosen: Truths) -> "Stations":
        """Return the chosen ones, with their numbers and regions only."""
        return Stations(
            self.voters[chosen],
            self.given[chosen],
            self.received[chosen],
            self.leader[chosen],
            regions=self.regions and self.regions.take(chosen),
        )

    def usable(self) -> "Stations":
        """Return those whose percentages mean something."""
        return self.take(
            (self.voters >= SMALLEST_STATION)
            & (self.received > 0)
            & (self.turnout <= LARGEST_SHARE)
            & (self.share <= LARGEST_SHARE)
        )

    def counted(self, *, smallest: int = 1) -> "Stations":
        """Return those with a register of at least `smallest` and ballots in the box."""
        return self.take((self.voters >= smallest) & (self.received > 0))
