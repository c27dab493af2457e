"""From many p-values to one, and to the share of false alarms among what is reported."""

import numpy as np
from numpy.typing import ArrayLike

from anomalies.rules.counts import Floats

# A p near 1 of one test would cancel what another one found.
LARGEST_P = 0.99
LEAST_P = 1e-300
# Below this tan((0.5 − p) π) loses its digits, and is 1 / (p π).
SMALL_P = 1e-15


def cauchy_combination(p: ArrayLike, *, axis: int = 0) -> Floats:
    """Return one p-value for several, however they depend on one another.

    Each p counts at most .99. NaN stands for no test; without any test the result is NaN.
    Source: Liu and Xie, JASA 115 (2020), p. 393.
    """
    values = np.clip(p, LEAST_P, LARGEST_P)
    with np.errstate(over="ignore"):
        tangents = np.where(
            values < SMALL_P, 1 / (values * np.pi), np.tan((0.5 - values) * np.pi)
        )
    tests = np.count_nonzero(~np.isnan(values), axis=axis)
    mean = np.nansum(tangents, axis=axis) / np.where(tests > 0, tests, np.nan)
    large = mean > 1 / SMALL_P
    safe = np.where(large, mean, 1.0)
    combined = np.where(large, 1 / (np.pi * safe), 0.5 - np.arctan(mean) / np.pi)
    return np.clip(combined, 0.0, 1.0)


def benjamini_hochberg(p: ArrayLike) -> Floats:
    """Return q of each p: reporting all with q ≤ .05 makes 5 % of them false on average.

    NaN stands for no test, and stays.
    Source: Benjamini and Hochberg, JRSS B 57 (1995), p. 289.
    """
    every = np.asarray(p, float).ravel()
    adjusted = np.full(every.size, np.nan)
    tested = np.flatnonzero(~np.isnan(every))
    order = tested[np.argsort(every[tested], kind="stable")]
    ranks = np.arange(1, order.size + 1)
    least = np.minimum.accumulate((every[order] * order.size / ranks)[::-1])[::-1]
    adjusted[order] = np.minimum(least, 1.0)
    return adjusted.reshape(np.shape(p))
