"""P03 finds the shape that was published, and the mixture that was put in."""

import numpy as np
import pytest

from anomalies.rules.fingerprint import first_mode, mixture, moments, picture, shape
from tests.anomalies.published import YEARS, expected, russia
from tests.anomalies.rules.worlds import clean_election, table, with_added_votes
from tests.shared_data import needs_forensics


def test_the_shape_of_a_clean_election_is_what_was_drawn():
    found = shape(clean_election())

    assert found is not None
    assert found.tau == pytest.approx(0.5, abs=0.02)
    assert found.nu == pytest.approx(0.4, abs=0.02)
    # Spread of places and of chance in stations of about 1,400 and 700.
    assert found.sigma_tau == pytest.approx(np.hypot(0.08, 0.014), abs=0.005)
    assert found.sigma_nu == pytest.approx(np.hypot(0.07, 0.02), abs=0.005)
    assert found.theta == pytest.approx(np.sqrt(found.sigma_nu), abs=0.01)


def test_a_clean_election_needs_no_mixture():
    stations = clean_election()

    found = mixture(stations, shape(stations))

    assert found.f_i < 0.1
    assert found.f_e < 0.01


def test_votes_added_in_a_third_of_stations_are_seen():
    stations = with_added_votes(clean_election(), 0.33)

    found = mixture(stations, shape(stations))

    assert found.f_i == pytest.approx(0.33, abs=0.1)


def test_the_same_stations_give_the_same_mixture():
    stations = with_added_votes(clean_election(number=2000), 0.2)

    assert mixture(stations, shape(stations)) == mixture(stations, shape(stations))


def test_the_first_mode_above_thirty_per_cent_counts():
    rng = np.random.default_rng(0)
    low, middle, high = (rng.normal(mean, 0.02, 4000) for mean in (0.1, 0.5, 0.8))

    assert first_mode(np.concatenate([low, middle])) == pytest.approx(0.5, abs=0.01)
    assert first_mode(np.concatenate([middle, high])) == pytest.approx(0.5, abs=0.01)
    assert first_mode(np.full(200, 0.5)) is None
    # It only rises.
    assert first_mode(np.full(200, 0.999) + rng.normal(0, 1e-5, 200)) is None


def test_a_falling_tail_and_a_ripple_in_it_are_no_modes():
    rng = np.random.default_rng(0)
    below, ripple, main = (
        rng.normal(mean, 0.02, number)
        for mean, number in ((0.29, 4000), (0.45, 200), (0.7, 4000))
    )

    assert first_mode(np.concatenate([below, ripple, main])) == pytest.approx(
        0.7, abs=0.01
    )
    assert first_mode(np.concatenate([below, ripple])) is None


@needs_forensics
def test_the_share_of_2018_is_found_above_its_rippling_tail():
    found = shape(russia("2018"))

    assert (found.tau, found.nu) == pytest.approx((0.62, 0.75), abs=0.02)


def test_a_picture_counts_each_station_once():
    turnout, share = np.array([0.0, 0.49, 1.0, 1.7]), np.array([0.0, 0.51, 1.0, 1.0])

    cells = picture(turnout, share, side=2)

    assert cells.tolist() == [0.25, 0.25, 0.0, 0.5]


def test_few_or_equal_stations_have_no_shape():
    assert shape(table()) is None
    assert shape(clean_election(number=99)) is None
    assert shape(table(*[(1000, 500, 500, 250)] * 200)) is None
    assert moments(clean_election(number=99)) is None
    assert moments(table(*[(1000, 500, 500, 250)] * 200)) is None


def test_the_logit_of_a_normal_logit_has_no_skewness_and_kurtosis_three():
    rng = np.random.default_rng(0)
    voters = np.full(50_000, 1_000_000)
    leader = (voters / (1 + np.exp(rng.normal(1, 0.5, voters.size)))).astype(int)
    rows = np.stack([voters, leader, leader, leader], axis=1)

    found = moments(table(*map(tuple, rows)))

    assert found.skewness == pytest.approx(0, abs=0.05)
    assert found.kurtosis == pytest.approx(3, abs=0.1)


@needs_forensics
@pytest.mark.parametrize("year", ["2007", "2011", "2012"])
def test_the_shape_is_what_was_published_to_six_decimals(year):
    published = expected()["klimek_shape"][year]["published"]

    found = shape(russia(year))

    for name, value in published.items():
        assert getattr(found, name) == pytest.approx(value, abs=6e-7)


@needs_forensics
@pytest.mark.parametrize("year", ["2011", "2012"])
def test_the_mixture_is_near_what_was_published(year):
    published = expected()["klimek_fraud_published"]

    found = mixture(russia(year), shape(russia(year)))

    assert found.f_i == pytest.approx(published["f_i"][year], abs=0.10)
    assert found.f_e == pytest.approx(published["f_e"][year], abs=0.02)


@needs_forensics
def test_the_mixture_of_2007_is_known_not_to_be_what_was_published():
    ours = expected()["klimek_fraud_published"]["ours_grid_fit"]["2007"]

    found = mixture(russia("2007"), shape(russia("2007")))

    assert found.f_i == pytest.approx(ours["f_i"], abs=0.10)
    assert found.f_e == pytest.approx(ours["f_e"], abs=0.02)


@needs_forensics
def test_the_kurtosis_of_russian_elections():
    found = [moments(russia(year)).kurtosis for year in YEARS]

    assert (min(found), max(found)) == pytest.approx((3.33, 9.70), abs=0.005)
