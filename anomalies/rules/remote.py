"""P08: do remote voters and voters at polling stations choose alike?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anomalies.rules.counts import Floats
from anomalies.rules.stations import Counts, Stations

# Makes the median absolute deviation of a normal distribution its standard deviation.
NORMAL_MAD = 0.6745
# A spread over fewer constituencies is none.
LEAST_CONSTITUENCIES = 5


@dataclass(frozen=True, slots=True)
class TwoWays:
    """Votes of one constituency, both arrays in the order of its candidates."""

    name: str
    paper: Counts
    remote: Counts


@dataclass(frozen=True, slots=True)
class RemoteGap:
    """How one constituency voted in the two ways; winners are positions."""

    name: str
    paper_winner: int
    winner: int
    # Share of the winner of both together, remote less paper; a fraction.
    gap: float
    # Robust normal score among the gaps of all; 0 where they do not differ, or are few.
    score: float

    @property
    def is_flipped(self) -> bool:
        """Tell whether somebody else had won without remote votes."""
        return self.winner != self.paper_winner


def remote_gaps(constituencies: Sequence[TwoWays]) -> tuple[RemoteGap, ...]:
    """Return P08 of each constituency that voted in both ways.

    By the spread between constituencies: a test of two proportions finds any difference
    significant among 100,000 votes, and remote voters are other people anyway.
    """
    voted = [each for each in constituencies if each.paper.sum() and each.remote.sum()]
    winners = [int((each.paper + each.remote).argmax()) for each in voted]
    gaps = [_gap(each, winner) for each, winner in zip(voted, winners, strict=True)]
    scores = robust_scores(np.array(gaps))
    return tuple(
        RemoteGap(each.name, int(each.paper.argmax()), winner, gap, float(score))
        for each, winner, gap, score in zip(voted, winners, gaps, scores, strict=True)
    )


def _gap(votes: TwoWays, candidate: int) -> float:
    remote = votes.remote[candidate] / votes.remote.sum()
    return float(remote - votes.paper[candidate] / votes.paper.sum())


def robust_scores(values: Floats) -> Floats:
    """Return (value − median) · 0.6745 / MAD of each; 0 where that is no number."""
    if values.size < LEAST_CONSTITUENCIES:
        return np.zeros(values.size)
    away = values - np.median(values)
    deviation = float(np.median(np.abs(away)))
    return NORMAL_MAD * away / deviation if deviation else np.zeros(values.size)


def two_ways(stations: Stations) -> tuple[TwoWays, ...] | None:
    """Return the votes per constituency; None where the columns do not tell them."""
    groups, remote, parties = (
        stations.constituencies,
        stations.is_remote,
        stations.parties,
    )
    if groups is None or remote is None or parties is None:
        return None
    chosen = [(name, groups.codes == code) for code, name in enumerate(groups.names)]
    return tuple(
        TwoWays(
            name,
            paper=parties[here & ~remote].sum(axis=0),
            remote=parties[here & remote].sum(axis=0),
        )
        for name, here in chosen
    )
