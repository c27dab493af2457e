"""P09 finds numbers that repeat more often than chance repeats them."""

from dataclasses import replace

import numpy as np
import pytest

from anomalies.rules.identical import identical_values, repeated_values
from anomalies.rules.stations import Groups
from tests.anomalies.rules.worlds import clean_election


def commission(votes, *, name="Centre"):
    number = len(votes)
    return replace(
        clean_election(number=number),
        received=np.full(number, 500),
        commissions=Groups(np.zeros(number, dtype=np.int64), (name,)),
        parties=np.array(votes).reshape(-1, 1),
        party_names=("Left",),
    )


def test_ones_and_twos_nearly_everywhere_are_found():
    (found,) = identical_values(commission([1] * 21 + [2] * 21 + [0] * 9))

    assert (found.commission, found.party) == ("Centre", "Left")
    assert (found.zeros, found.ones, found.twos) == (9, 21, 21)


@pytest.mark.parametrize(
    "votes",
    [
        [1] * 20 + [2] * 21 + [0] * 9,
        [1] * 21 + [2] * 20 + [0] * 9,
        [1] * 21 + [2] * 21 + [0] * 10,
        [],
    ],
)
def test_fewer_of_them_or_more_zeros_are_not(votes):
    assert identical_values(commission(votes)) == ()


def test_columns_that_do_not_tell_are_not_tried():
    stations = commission([1, 2])

    assert identical_values(replace(stations, parties=None)) is None
    assert identical_values(replace(stations, commissions=None)) is None


def test_votes_by_chance_repeat_as_poisson_counts_do():
    rng = np.random.default_rng(0)
    sizes = rng.integers(100, 2000, 400)

    p = [
        repeated_values(rng.poisson(3 * sizes / sizes.mean()), sizes).p
        for _ in range(200)
    ]

    assert min(p) > 1e-4
    assert np.mean(np.array(p) < 0.05) < 0.12


def test_chi2_of_a_worked_example():
    # Mean 1 in 100 equal stations: 36.79, 36.79, 18.39, 6.13 expected of 0 to 3, and the
    # 1.90 beyond join the 3.
    votes = np.array([0] * 40 + [1] * 30 + [2] * 20 + [3] * 10)

    found = repeated_values(votes, np.full(100, 500))

    expected = 100 * np.exp(-1) * np.array([1, 1, 1 / 2])
    cells = np.append(expected, 100 - expected.sum())
    chi2 = ((np.array([40, 30, 20, 10]) - cells) ** 2 / cells).sum()
    assert (found.chi2, found.freedom) == (pytest.approx(chi2), 2)


def test_the_same_number_everywhere_is_no_chance():
    found = repeated_values(np.full(60, 2), np.full(60, 500))

    assert found.p < 1e-20


def test_nothing_can_be_compared_without_votes_or_in_few_stations():
    assert repeated_values(np.zeros(50, dtype=np.int64), np.full(50, 500)) is None
    assert repeated_values(np.array([1, 2]), np.array([500, 500])) is None
    assert repeated_values(np.array([1, 2]), np.array([0, 0])) is None
