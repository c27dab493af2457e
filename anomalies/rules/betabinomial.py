"""Tails of shares that vary more than chance, for thousands of constituencies at once.

`counts.beta_binomial_tails` adds up every k of one constituency, which takes 10 ms for
150,000 trials: a minute for a country. Here the first terms are added up one by one and
the rest is an integral: 0.05 s for 5,000 constituencies.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from anomalies.rules.counts import LEAST_PROBABILITY, Floats

# Terms added up singly: a tail so steep that an integral would miss its steps has ended.
SINGLY = 64
# Logarithm of what the integral leaves out, relative to its first term.
NEGLIGIBLE = 40.0
HALVINGS = 24
NODES, WEIGHTS = np.polynomial.legendre.leggauss(48)


def tails(
    successes: ArrayLike, trials: ArrayLike, *, rate: ArrayLike, rho: ArrayLike
) -> tuple[Floats, Floats]:
    """Return P(X ≤ successes) and P(X ≥ successes) of beta-binomials.

    By their mean rates, and the correlation rho of two trials. The relative error is below
    1e-4 where both parameters of the beta distribution are at least 1; else some percent
    of a tail that says nothing anyway.
    """
    given = np.broadcast_arrays(successes, trials, rate, rho)
    k, n, mean, correlation = (np.asarray(values, float) for values in given)
    strength = 1 / correlation - 1
    a, b = mean * strength, (1 - mean) * strength
    is_above = k > n * mean
    # Few successes are many failures: only the tail that leads up is ever added up.
    outer, equal = _upper(
        np.where(is_above, k, n - k),
        n,
        np.where(is_above, a, b),
        np.where(is_above, b, a),
    )
    inner = np.clip(1 - outer + equal, 0.0, 1.0)
    return np.where(is_above, inner, outer), np.where(is_above, outer, inner)


def _upper(k: Floats, n: Floats, a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return P(X ≥ k) and P(X = k)."""
    with np.errstate(under="ignore"):
        equal = np.exp(_logarithm(k, n, a, b))
        terms = equal[..., None] * _relative_terms(k, n, a, b)
        total = np.asarray(terms.sum(axis=-1))
        last = terms[..., -1]
        goes_on = (k + SINGLY <= n) & (last > total * np.exp(-NEGLIGIBLE))
        chosen = [values[goes_on] for values in (k, n, a, b)]
        total[goes_on] += _integral(*chosen)
    # A NaN passes the clip.
    return np.clip(total, LEAST_PROBABILITY, 1.0), equal


def _logarithm(x: Floats, n: Floats, a: Floats, b: Floats) -> Floats:
    """Return ln P(X = x), also between whole numbers."""
    chosen = -np.log(n + 1) - special.betaln(n - x + 1, x + 1)
    found: Floats = chosen + special.betaln(x + a, n - x + b) - special.betaln(a, b)
    return found


def _relative_terms(k: Floats, n: Floats, a: Floats, b: Floats) -> Floats:
    """Return P(X = k + j) / P(X = k) for the first j, along a last axis."""
    x = k[..., None] + np.arange(SINGLY - 1)
    n, a, b = n[..., None], a[..., None], b[..., None]
    left = np.maximum(n - x, 0)
    # Beyond the last trial nothing is left, and the divisor would fall below 0.
    ratios = left * (x + a) / ((x + 1) * np.maximum(left - 1 + b, b))
    first = np.ones((*k.shape, 1))
    return np.concatenate([first, np.cumprod(ratios, axis=-1)], axis=-1)


def _integral(k: Floats, n: Floats, a: Floats, b: Floats) -> Floats:
    """Return P(X ≥ k + SINGLY), by the Euler-Maclaurin formula at midpoints."""
    start = k + SINGLY - 0.5
    end = np.maximum(_end(start, n, a, b), start)
    middle, half = (start + end) / 2, (end - start) / 2
    x = middle + half * NODES[:, None]
    area = half * (WEIGHTS[:, None] * np.exp(_logarithm(x, n, a, b))).sum(axis=0)
    before, after, last = (
        np.exp(_logarithm(place, n, a, b)) for place in (start - 0.5, start + 0.5, n)
    )
    # The last trial has no room for half a step beyond it.
    found: Floats = area + (after - before) / 24 + last
    return found


def _end(start: Floats, n: Floats, a: Floats, b: Floats) -> Floats:
    """Return where nothing worth counting follows, at most half a step before n."""
    limit = _logarithm(start, n, a, b) - NEGLIGIBLE
    low, high = start, n - 0.5
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        is_beyond = _logarithm(middle, n, a, b) < limit
        low = np.where(is_beyond, low, middle)
        high = np.where(is_beyond, middle, high)
    return high
