"""Many p-values become one, and errors are counted among what is reported."""

import numpy as np
import pytest

from anomalies.rules.combining import benjamini_hochberg, cauchy_combination


def test_one_small_p_among_others():
    assert cauchy_combination([0.5, 0.2, 1e-4, 0.7]) == pytest.approx(
        3.9992e-4, rel=1e-4
    )


def test_a_p_near_one_cancels_nothing():
    quiet = [1 - 1e-9] * 6

    assert cauchy_combination([1e-6, *quiet]) < 1e-4


@pytest.mark.parametrize("p", [1e-300, 0.0, 1e-17, 1e-14])
def test_the_smallest_p_are_combined_too(p):
    combined = float(cauchy_combination([p, 0.5]))

    assert combined == pytest.approx(2 * max(p, 1e-300), rel=1e-2)


def test_it_combines_along_an_axis():
    p = np.array([[1e-4, 0.5], [0.3, 0.5]])

    assert cauchy_combination(p, axis=1) == pytest.approx(
        [cauchy_combination([1e-4, 0.5]), cauchy_combination([0.3, 0.5])]
    )


def test_q_of_ten_constituencies():
    p = [1e-6, 2e-4, 0.003, 0.012, 0.04, 0.2, 0.5, 0.6, 0.8, 0.95]

    expected = [1e-5, 1e-3, 0.01, 0.03, 0.08, 1 / 3, 0.7142857, 0.75, 0.8888889, 0.95]
    assert benjamini_hochberg(p) == pytest.approx(expected)


def test_q_does_not_depend_on_the_order():
    p = np.array([0.04, 1e-6, 0.95, 2e-4])

    assert benjamini_hochberg(p[::-1])[::-1] == pytest.approx(benjamini_hochberg(p))


def test_q_of_nothing_is_nothing():
    assert benjamini_hochberg([]).size == 0
