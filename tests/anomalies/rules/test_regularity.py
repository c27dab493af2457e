"""Flows that are too even, too sudden or silent: worked examples, and chance."""

import numpy as np
import pytest

from anomalies.rules.regularity import (
    burst_probability,
    dispersion_lower,
    equal_run_probability,
    expected_gaps,
    gap_variation,
    least_gap_variation,
    longest_equal_run,
    shared_moments,
    silence_probability,
)


def test_minutes_that_are_too_much_alike():
    assert dispersion_lower([9, 10, 11, 10, 10] * 12) == pytest.approx(
        1.409e-30, rel=1e-3
    )


def test_hours_that_are_too_much_alike():
    hours = [100, 101, 99, 100, 100, 102, 98, 100, 100, 101, 99, 100]

    assert dispersion_lower(hours) == pytest.approx(6.289e-10, rel=1e-3)


def test_a_flow_by_chance_is_not_too_even():
    rng = np.random.default_rng(6)

    found = [dispersion_lower(rng.poisson(10, 60)) for _ in range(2_000)]

    assert min(found) > 1e-5
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("counts", [[], [5], [0, 0, 0]])
def test_nothing_to_compare_is_not_even(counts):
    assert dispersion_lower(counts) == 1


def test_hours_that_are_equal():
    assert equal_run_probability(4, mean=100) == pytest.approx(3.180e-5, rel=1e-3)
    assert equal_run_probability(2, mean=100) == pytest.approx(0.02823, rel=1e-3)
    assert equal_run_probability(1, mean=100) == pytest.approx(1)


@pytest.mark.parametrize(
    ("counts", "length"),
    [([], 0), ([7], 1), ([1, 2, 3], 1), ([1, 7, 7, 7, 2, 2], 3), ([4, 4], 2)],
)
def test_the_longest_run_of_equal_counts(counts, length):
    assert longest_equal_run(counts) == length


def test_gaps_that_are_too_regular():
    variation = gap_variation([59, 61] * 30)

    assert variation == pytest.approx(0.0168, abs=5e-5)
    assert variation < least_gap_variation(60)


def test_gaps_by_chance_are_not_too_regular():
    rng = np.random.default_rng(7)
    variations = [gap_variation(rng.exponential(60, 60)) for _ in range(500)]

    assert min(variations) > least_gap_variation(60)


@pytest.mark.parametrize(
    ("in_hour", "largest", "of_hour"),
    [(360, 5, 2.760e-4), (360, 6, 4.590e-6), (3600, 9, 4.04e-3), (3600, 10, 4.01e-4)],
)
def test_many_in_the_same_second(in_hour, largest, of_hour):
    _, found = burst_probability(largest, in_hour=in_hour, bin_seconds=1)

    assert found == pytest.approx(of_hour, rel=2e-3)


def test_a_single_second_among_those_of_an_hour():
    of_bin, _ = burst_probability(5, in_hour=360, bin_seconds=1)

    assert of_bin == pytest.approx(7.668e-8, rel=1e-3)
    assert burst_probability(0, in_hour=360, bin_seconds=1) == (1, 1)


def test_two_in_the_same_millisecond_mean_nothing():
    pairs, any_pair = shared_moments(1000, moments=3_600_000)

    assert pairs == pytest.approx(0.13875, rel=1e-4)
    assert any_pair == pytest.approx(0.1296, rel=1e-3)


def test_silence_while_others_vote():
    assert silence_probability(mean=20) == pytest.approx(2.06e-9, rel=2e-3)
    assert silence_probability(mean=20, dispersion=0.02) == pytest.approx(
        4.94e-8, rel=2e-3
    )
    assert silence_probability(mean=2) == pytest.approx(0.135, rel=3e-3)


def test_gaps_within_an_hour():
    asked = {"in_hour": 20, "arrivals": 240}

    assert expected_gaps(seconds=900, **asked) == pytest.approx(1.62, rel=2e-3)
    assert expected_gaps(seconds=2700, **asked) == pytest.approx(7.3e-5, rel=6e-3)
