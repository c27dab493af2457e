"""Tails of counts agree with worked examples, and with an independent library."""

import numpy as np
import pytest
from scipy import stats

from anomalies.rules.counts import (
    beta_binomial_tails,
    beta_parameters,
    negative_binomial_score,
    negative_binomial_upper,
    poisson_upper,
)


def mid_p(count, mean, phi):
    variance = mean + phi * mean**2
    score = negative_binomial_score(count, mean=mean, variance=variance)
    return float(stats.norm.sf(score))


def test_a_count_above_what_was_expected():
    assert mid_p(75, 40, 0.02) == pytest.approx(2.0567e-4, rel=1e-4)
    assert mid_p(60, 40, 0.02) == pytest.approx(0.0150067, rel=1e-4)
    assert negative_binomial_upper(75, mean=40, variance=72) == pytest.approx(
        2.3884e-4, rel=1e-4
    )


def test_poisson_would_be_far_too_sure():
    assert poisson_upper(75, 40) == pytest.approx(5.0843e-7, rel=1e-4)
    assert poisson_upper(60, 40) == pytest.approx(1.8796e-3, rel=1e-4)
    assert poisson_upper(0, 40) == 1


def test_a_count_below_what_was_expected():
    upper = negative_binomial_upper(9, mean=40, variance=72)

    assert 1 - float(upper) == pytest.approx(6.2076e-7, rel=1e-4)
    assert negative_binomial_score(8, mean=40, variance=72) < -4.8


@pytest.mark.parametrize(
    ("level", "of_negative_binomial", "of_poisson"), [(1e-3, 71, 62), (1e-5, 85, 71)]
)
def test_the_smallest_count_that_is_so_rare(level, of_negative_binomial, of_poisson):
    counts = np.arange(40, 120)
    negative_binomial = negative_binomial_upper(counts, mean=40, variance=72)
    poisson = poisson_upper(counts, 40)

    assert counts[(negative_binomial <= level).argmax()] == of_negative_binomial
    assert counts[(poisson <= level).argmax()] == of_poisson


@pytest.mark.parametrize("mean", [0.5, 3.0, 40.0, 900.0])
@pytest.mark.parametrize("phi", [0.001, 0.02, 0.5])
def test_scores_are_those_of_scipy(mean, phi):
    size = 1 / phi
    known = stats.nbinom(size, size / (size + mean))
    for count in {0, 1, int(mean), int(mean * 1.5) + 1, int(mean * 2) + 3}:
        upper = known.sf(count) + known.pmf(count) / 2
        lower = known.cdf(count) - known.pmf(count) / 2
        score = negative_binomial_score(count, mean=mean, variance=mean + phi * mean**2)
        # From the smaller tail: the other one has lost its digits.
        expected = stats.norm.isf(upper) if upper < lower else stats.norm.ppf(lower)
        assert score == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_score_is_never_infinite():
    scores = negative_binomial_score(
        [0, 10_000_000], mean=[1_000_000, 1], variance=[1_000_000, 1]
    )

    assert scores[0] == pytest.approx(-37, abs=1)
    assert scores[1] == pytest.approx(37, abs=1)


def test_shares_that_vary_more_than_chance():
    """500 issued, 470 cast: 30 of 500 are missing where 1.7 % are usual."""
    _, upper = beta_binomial_tails(30, 500, rate=0.017, rho=0.002)

    assert upper == pytest.approx(1.2e-4, rel=0.05)
    assert stats.binom.sf(29, 500, 0.017) == pytest.approx(5.1e-9, rel=0.02)


@pytest.mark.parametrize(
    ("successes", "side", "expected"),
    [(600, 1, 5.276e-32), (10, 0, 5.65e-30), (200, 1, 0.218)],
)
def test_bulletins_that_were_not_cast(successes, side, expected):
    """Summed in logarithms: one minus the lower tail would be 1.87e-11 at best."""
    tails = beta_binomial_tails(successes, 8000, rate=0.0226, rho=0.0003)

    assert tails[side] == pytest.approx(expected, rel=0.005)


def test_turnout_beside_that_of_peers():
    a, b = beta_parameters(rate=0.62, rho=0.004)
    _, upper = beta_binomial_tails(3200, 4000, rate=0.62, rho=0.004)

    assert (a, b) == (pytest.approx(154.38), pytest.approx(94.62))
    assert upper == pytest.approx(1.582e-10, rel=1e-3)
    _, upper = beta_binomial_tails(2900, 4000, rate=0.62, rho=0.004)
    assert upper == pytest.approx(2.713e-4, rel=1e-3)
