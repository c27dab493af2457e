"""P04: votes of the leader beyond the core of the election, after Shpilkin."""

from dataclasses import dataclass

import numpy as np

from anomalies.rules.counts import Floats
from anomalies.rules.stations import Counts, Stations

PERCENTS = 101
# Points of turnout on either side of the mode that tell the ratio. One to five points move
# the excess of seven Russian elections by less than 4 %.
CORE_WIDTH = 3
# Above it no clean core is left.
HIGHEST_CORE = 80
# Half of all voters make the core of the second method.
CORE_SHARE = 0.5
# Quantiles of turnout and share from which the search begins; all end alike so far.
STARTS = (0.3, 0.5, 0.7)
STEPS = 100
# Keeps a plane of points invertible.
LEAST_VARIANCE = 1e-9


@dataclass(frozen=True, slots=True)
class ExcessVotes:
    """What the leader has beyond the ratio of the core, by one of several methods."""

    # Whole per cent of turnout at which most votes for others were cast.
    core_turnout: int
    # Votes for the leader per vote for others, in the core.
    ratio: float
    # Votes above the turnout of the core that the ratio does not explain.
    excess: float
    # Votes at each whole per cent of turnout, from 0 to 100.
    leader: Floats
    others: Floats

    @property
    def has_clean_core(self) -> bool:
        """Tell whether the core lies low enough for the method to mean anything."""
        return self.core_turnout < HIGHEST_CORE


def excess_votes(stations: Stations) -> ExcessVotes | None:
    """Return P04; None where nobody voted for others.

    Excess = Σ (leader − ratio · others) over turnouts above the core, whose turnout is the
    mode of votes for others. Source: S. Shpilkin, Troitsky variant 40 (2009), p. 2.
    """
    counted = stations.counted()
    percent = np.rint(100 * np.minimum(counted.turnout, 1)).astype(np.int64)
    others_of_station = np.maximum(counted.received - counted.leader, 0)
    leader = _summed(percent, counted.leader)
    others = _summed(percent, others_of_station)
    if not others.sum():
        return None
    core = _mode(others)
    near = slice(max(core - CORE_WIDTH, 0), core + CORE_WIDTH + 1)
    ratio = float(leader[near].sum() / others[near].sum())
    excess = float((leader - ratio * others)[core + 1 :].sum())
    return ExcessVotes(core, ratio, excess, leader, others)


def _summed(percent: Counts, votes: Counts) -> Floats:
    return np.bincount(percent, votes, PERCENTS).astype(np.float64)


def _mode(votes: Floats) -> int:
    """Return the fullest per cent, where a neighbour counts half.

    One large station of remote voting at 96 % would be the mode of Russia 2021 otherwise.
    """
    return int(np.convolve(votes, [1, 2, 1], mode="same").argmax())


@dataclass(frozen=True, slots=True)
class Core:
    """Where the densest half of all voters is."""

    # Fractions.
    turnout: float
    share: float


def densest_core(stations: Stations) -> Core | None:
    """Return the weighted minimum covariance determinant of turnout and share.

    Of all sets with half of the voters, the one whose covariance has the least determinant.
    Source: Rousseeuw and Van Driessen, Technometrics 41 (1999), p. 212, with weights.

    None where fewer than ten stations are left.
    """
    counted = stations.counted()
    counted = counted.take(counted.turnout <= 1)
    if counted.size < 10:
        return None
    points = np.stack([counted.turnout, counted.share])
    weights = counted.voters.astype(float)
    found = (_concentrated(points, weights, start=start) for start in STARTS)
    _, mean = min(found, key=lambda each: each[0])
    return Core(turnout=float(mean[0]), share=float(mean[1]))


def _concentrated(
    points: Floats, weights: Floats, *, start: float
) -> tuple[float, Floats]:
    """Return the determinant and the mean at which the steps from a quantile end."""
    mean: Floats = np.quantile(points, start, axis=1)
    covariance: Floats = np.eye(2)
    for _ in range(STEPS):
        before = mean
        mean, covariance = _nearest_half(points, weights, mean, covariance)
        if np.abs(mean - before).max() < 1e-7:
            break
    return float(np.linalg.det(covariance)), mean


def _nearest_half(
    points: Floats, weights: Floats, mean: Floats, covariance: Floats
) -> tuple[Floats, Floats]:
    """Return mean and covariance of the half of the voters nearest to a mean."""
    away = points - mean[:, None]
    distances = (away * (np.linalg.inv(covariance) @ away)).sum(axis=0)
    order = np.argsort(distances, kind="stable")
    summed = np.cumsum(weights[order])
    half = order[: int(np.searchsorted(summed, CORE_SHARE * summed[-1])) + 1]
    mean = np.average(points[:, half], axis=1, weights=weights[half])
    covariance = np.cov(points[:, half], aweights=weights[half], ddof=0)
    return mean, covariance + LEAST_VARIANCE * np.eye(2)
