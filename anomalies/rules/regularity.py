"""S06 to S09: flows that are too even, too sudden, or silent."""

from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from anomalies.rules.counts import poisson_upper

SECONDS_OF_HOUR = 3600.0


def dispersion_lower(counts: ArrayLike) -> float:
    """Return how probable it is that counts of equal expectation are so much alike.

    S06: Fisher's index D = Σ (x − mean)² / mean is χ² with n − 1 degrees of freedom for a
    Poisson flow. Real flows vary more, so this p is too large for them, never too small.

    Returns 1 where there is nothing to compare.
    """
    values = np.asarray(counts, float)
    mean = values.mean() if values.size else 0.0
    if values.size < 2 or mean == 0:
        return 1.0
    index = float(((values - mean) ** 2).sum() / mean)
    return float(special.chdtr(values.size - 1, index))


def equal_run_probability(length: int, *, mean: float) -> float:
    """Return P(`length` counts are all equal) of a Poisson flow, S07."""
    # Beyond ten deviations nothing is left to add.
    widest = int(mean + 10 * np.sqrt(mean) + 20)
    counts = np.arange(widest)
    logarithms = special.xlogy(counts, mean) - mean - special.gammaln(counts + 1)
    return float(np.exp(length * logarithms).sum())


def longest_equal_run(counts: ArrayLike) -> int:
    """Return how many counts in a row are equal, at most."""
    values = np.asarray(counts)
    if not values.size:
        return 0
    changes = np.flatnonzero(np.diff(values)) + 1
    edges = np.concatenate([[0], changes, [values.size]])
    return int(np.diff(edges).max())


def gap_variation(seconds: ArrayLike) -> float:
    """Return standard deviation by mean of gaps; 1 for a Poisson flow, S07.

    Returns 1 where there are fewer than two gaps, or none has a length.
    """
    gaps = np.asarray(seconds, float)
    if gaps.size < 2 or gaps.mean() == 0:
        return 1.0
    return float(gaps.std(ddof=1) / gaps.mean())


def least_gap_variation(gaps: int) -> float:
    """Return the variation below which so many gaps are too even: four deviations."""
    return 1 - 4 / float(np.sqrt(gaps))


def burst_probability(
    largest: int, *, in_hour: float, bin_seconds: float
) -> tuple[float, float]:
    """Return P(a bin holds so many), and P(some bin of the hour does), S08.

    `in_hour` is the rate of the hour, or of the minutes around as if they were an hour.
    """
    mean = in_hour * bin_seconds / SECONDS_OF_HOUR
    of_bin = float(poisson_upper(largest, mean))
    bins = SECONDS_OF_HOUR / bin_seconds
    return of_bin, float(-np.expm1(bins * np.log1p(-of_bin))) if of_bin < 1 else 1.0


def shared_moments(in_hour: int, *, moments: float) -> tuple[float, float]:
    """Return the expected pairs that share one of `moments`, and P(any pair)."""
    pairs = in_hour * (in_hour - 1) / 2 / moments
    apart = np.log1p(-np.arange(in_hour) / moments).sum()
    return pairs, float(-np.expm1(apart))


def silence_probability(*, mean: float, dispersion: float = 0.0) -> float:
    """Return P(nothing | mean expected): negative binomial with var = m + dispersion m², S09."""
    if dispersion == 0:
        return float(np.exp(-mean))
    return cast(float, (1 + dispersion * mean) ** (-1 / dispersion))


def expected_gaps(*, seconds: float, in_hour: float, arrivals: int) -> float:
    """Return how many gaps of at least `seconds` so many arrivals have on average, S09."""
    return float(arrivals * np.exp(-in_hour * seconds / SECONDS_OF_HOUR))
