"""Tails of counts: how surprising a number is under what was expected.

All functions take numbers or arrays of them, and return arrays of the same shape. They
know nothing of elections.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats: TypeAlias = NDArray[np.float64]

# A negative binomial needs more variance than a Poisson; below this it is one.
LEAST_EXCESS = 1e-4
# Below this a probability is no number any more, and its normal score infinite.
LEAST_PROBABILITY = 1e-300


def poisson_upper(count: ArrayLike, mean: ArrayLike) -> Floats:
    """Return P(X ≥ count) of a Poisson with this mean."""
    count = np.asarray(count, float)
    # P(X ≥ 0) is 1, where the incomplete gamma function is not defined.
    return np.where(count > 0, special.gammainc(np.maximum(count, 1), mean), 1.0)


def negative_binomial_tails(
    count: ArrayLike, *, mean: ArrayLike, variance: ArrayLike
) -> tuple[Floats, Floats, Floats]:
    """Return P(X < count), P(X = count) and P(X > count) of a negative binomial.

    By its mean and variance: size r = mean² / (variance − mean), p = r / (r + mean).
    """
    count = np.asarray(count, float)
    size, p = _size_and_p(mean, variance)
    below = np.where(count > 0, special.betainc(size, np.maximum(count, 1), p), 0.0)
    above = special.betainc(count + 1, size, 1 - p)
    return below, _probability(count, size, p), above


def _size_and_p(mean: ArrayLike, variance: ArrayLike) -> tuple[Floats, Floats]:
    mean = np.asarray(mean, float)
    variance = np.maximum(variance, mean * (1 + LEAST_EXCESS))
    size = mean * mean / (variance - mean)
    return size, size / (size + mean)


def _probability(count: Floats, size: Floats, p: Floats) -> Floats:
    # ln of Γ(count + r) / (count! Γ(r)) p^r (1 − p)^count.
    logarithm = (
        special.gammaln(count + size)
        - special.gammaln(count + 1)
        - special.gammaln(size)
        + size * np.log(p)
        + special.xlog1py(count, -p)
    )
    probability: Floats = np.exp(logarithm)
    return probability


def negative_binomial_upper(
    count: ArrayLike, *, mean: ArrayLike, variance: ArrayLike
) -> Floats:
    """Return P(X ≥ count)."""
    count = np.asarray(count, float)
    size, p = _size_and_p(mean, variance)
    # P(X ≥ 0) is 1, where the incomplete beta function is not defined.
    return np.where(count > 0, special.betainc(np.maximum(count, 1), size, 1 - p), 1.0)


def negative_binomial_score(
    count: ArrayLike, *, mean: ArrayLike, variance: ArrayLike
) -> Floats:
    """Return the normal score of a count: positive above what was expected.

    Of the mid-p, which counts half of P(X = count): that of a count is uniform on average,
    where an exact tail of small counts is too large.
    """
    count = np.asarray(count, float)
    size, p = _size_and_p(mean, variance)
    # One tail is enough, and takes half the time: both mid-p add up to 1.
    is_upper = count >= np.asarray(mean, float)
    beyond = special.betainc(
        np.where(is_upper, count + 1, size),
        np.where(is_upper, size, np.maximum(count, 1)),
        np.where(is_upper, 1 - p, p),
    )
    beyond = np.where(is_upper | (count > 0), beyond, 0.0)
    tail = beyond + _probability(count, size, p) / 2
    sign = np.where(is_upper == (tail < 0.5), 1.0, -1.0)
    score: Floats = -sign * special.ndtri(
        np.clip(np.minimum(tail, 1 - tail), LEAST_PROBABILITY, 0.5)
    )
    return score


def beta_binomial_logarithms(trials: int, *, rate: float, rho: float) -> Floats:
    """Return ln P(X = k) for k = 0 … trials of a beta-binomial.

    By its mean rate and the correlation rho of two trials: a + b = 1 / rho − 1.
    """
    successes = np.arange(trials + 1)
    a, b = beta_parameters(rate=rate, rho=rho)
    chosen = -np.log(trials + 1) - special.betaln(trials - successes + 1, successes + 1)
    mixed = special.betaln(successes + a, trials - successes + b)
    logarithms: Floats = chosen + mixed - special.betaln(a, b)
    return logarithms


def beta_parameters(*, rate: float, rho: float) -> tuple[float, float]:
    """Return a and b of the beta distribution that rates are drawn from."""
    strength = 1 / rho - 1
    return rate * strength, (1 - rate) * strength


def beta_binomial_tails(
    successes: int, trials: int, *, rate: float, rho: float
) -> tuple[float, float]:
    """Return P(X ≤ successes) and P(X ≥ successes)."""
    logarithms = beta_binomial_logarithms(trials, rate=rate, rho=rho)
    lower = special.logsumexp(logarithms[: successes + 1])
    upper = special.logsumexp(logarithms[successes:])
    return float(min(1.0, np.exp(lower))), float(min(1.0, np.exp(upper)))
