"""The counts of an election side by side: what the rules of flow compare."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomalies.rules.counts import Floats

Ints = NDArray[np.int64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Panel:
    """One row per constituency, one column per hour; all rows share the hours.

    Raises:
        ValueError: the arrays do not belong together.
    """

    # Ballots counted in the hour: issued, or cast.
    counts: Ints
    # Whether the feed has told the hour: a gap is no zero.
    is_known: Truths
    # People on the register; NaN where nobody knows.
    voters: Floats
    # Constituencies with the same number are peers: one opening, zone and platform.
    groups: Ints
    # Constituencies with the same number hand their ballots to the same people together.
    electorates: Ints
    # Columns of the hours in which voting opens, and in which the last votes can come.
    opens: Ints
    closes: Ints
    # Local hour of the day of column 0, 0 to 23.
    first_clock: Ints

    def __post_init__(self) -> None:
        rows, columns = self.counts.shape
        if self.is_known.shape != (rows, columns):
            raise ValueError("Counts and known hours differ in shape.")
        vectors = (
            self.voters,
            self.groups,
            self.electorates,
            self.opens,
            self.closes,
            self.first_clock,
        )
        if any(vector.shape != (rows,) for vector in vectors):
            raise ValueError("Every constituency needs one value of each kind.")

    @property
    def known_counts(self) -> Floats:
        """Return the counts, 0 in hours that nobody knows."""
        return np.where(self.is_known, self.counts, 0).astype(float)

    @property
    def is_open(self) -> Truths:
        """Tell in which hours voting is open, and the first ballot was told.

        A contract without a single ballot is normal: nothing can be said of it.
        """
        has_begun = np.cumsum(self.known_counts, axis=1) > 0
        hours = np.arange(self.counts.shape[1])
        is_voting = (hours >= self.opens[:, None]) & (hours <= self.closes[:, None])
        return self.is_known & has_begun & is_voting


def running_sums(values: Floats) -> Floats:
    """Return the sums over the hours before each column, and over all in a last one."""
    return np.concatenate(
        [np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1
    )
