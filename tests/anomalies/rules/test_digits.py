"""P05 to P07 agree with worked examples and with chance."""

import numpy as np
import pytest

from anomalies.rules.digits import (
    even_digits,
    last_digits,
    rounded_counts,
    rounded_turnout,
    second_digits,
)
from tests.anomalies.published import YEARS, russia
from tests.anomalies.rules.worlds import clean_election, table
from tests.shared_data import needs_forensics

DIGITS = (140, 95, 92, 88, 98, 131, 90, 92, 86, 88)


def test_last_digits_of_the_worked_example():
    found = even_digits(DIGITS)

    assert found.chi2 == pytest.approx(33.02)
    assert found.p == pytest.approx(1.3249e-4, rel=1e-4)
    assert found.rounded.share == pytest.approx(0.271)
    assert found.rounded.score == pytest.approx(5.61, abs=0.005)
    assert not found.is_flagged


def test_last_digits_are_of_counts_from_a_hundred_on():
    # Ten of each digit from 1000 on, and small counts that end in 5.
    even, small = np.arange(1000, 1900), np.full(500, 95)

    found = last_digits(np.concatenate([even, small]))

    assert (found.n, found.chi2, found.p) == (900, 0, 1)


def test_counts_that_hardly_differ_or_are_few_have_no_even_digits():
    assert last_digits(np.arange(100, 300)) is None
    assert last_digits(np.arange(1000, 1099) * 7) is None
    assert last_digits(np.arange(1000, 1100) * 7) is not None
    assert last_digits(np.array([], dtype=np.int64)) is None


def test_last_digits_are_flagged_in_many_stations_only():
    assert even_digits(np.array([300, *[100] * 9])).is_flagged
    # As uneven, but fewer than a thousand stations.
    assert not even_digits(np.array([240, *[80] * 9])).is_flagged


def test_ballots_of_a_clean_election_have_even_last_digits():
    assert last_digits(clean_election().given).p > 0.001


def test_second_digits_of_counts_from_ten_on():
    found = second_digits(np.array([9, 10, 19, 250, 1999, 123_456]))

    # 0, 9, 5, 9, 2.
    assert (found.n, found.mean) == (5, 5.0)
    assert found.score == pytest.approx((5 - 4.18739) / np.sqrt(8.25378 / 5))


def test_numbers_of_benford_have_the_mean_of_benford():
    numbers = (10 ** (1 + np.arange(100_000) / 25_000)).astype(np.int64)

    found = second_digits(numbers)

    assert found.mean == pytest.approx(4.18739, abs=0.02)
    assert abs(found.score) < 3


def test_no_counts_have_no_second_digit():
    found = second_digits(np.array([0, 5, 9]))

    assert (found.mean, found.score, found.n) == (None, None, 0)


@pytest.mark.parametrize(
    ("voters", "given", "is_round"),
    [
        (1000, 700, True),
        (1000, 654, True),
        (1000, 646, True),
        # 65.6 % and 64.4 %.
        (1000, 656, False),
        (1000, 644, False),
        # Halves go to the even neighbour: 64 and 60.
        (1000, 645, False),
        (1000, 605, True),
        # More than all is all.
        (1000, 1170, True),
        (1000, 0, True),
    ],
)
def test_which_turnouts_are_round(voters, given, is_round):
    found = rounded_turnout(table((voters, given, given, 0)))

    assert (found.share, found.n) == (float(is_round), 1)


def test_round_counts_and_their_score():
    found = rounded_counts(np.array([0, 0, 5, 10, 12, 13, 14]))

    # Stations that gave out nothing are no round number.
    assert (found.share, found.n) == (0.4, 5)
    assert found.score == pytest.approx((0.4 - 0.2) / np.sqrt(0.16 / 5))


def test_nobody_on_the_register_is_no_turnout():
    found = rounded_turnout(table((0, 0, 0, 0)))

    assert (found.share, found.n, found.score) == (None, 0, 0.0)


@needs_forensics
def test_last_digits_of_ballots_in_russia_are_uneven():
    found = {year: last_digits(russia(year).given).p for year in YEARS}

    # The least uneven is what is documented; the most uneven there is of no year here.
    assert found["2012"] == pytest.approx(2e-10, rel=0.1)
    assert max(found.values()) == found["2012"]
    assert min(found.values()) == pytest.approx(8.3e-31, rel=0.01)


@needs_forensics
def test_second_and_round_digits_of_2021():
    stations = russia("2021")

    second = second_digits(stations.given)
    turnout = rounded_turnout(stations)

    assert (second.n, second.mean) == (96_195, pytest.approx(4.15623, abs=1e-5))
    assert second.score == pytest.approx(-3.363, abs=0.001)
    assert (turnout.n, turnout.share) == (96_308, pytest.approx(0.22108, abs=1e-5))
