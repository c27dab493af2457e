"""P02 tells how share goes with turnout, and where."""

from dataclasses import replace

import numpy as np
import pytest

from anomalies.rules.stations import Groups
from anomalies.rules.turnout import turnout_correlation, turnout_correlations
from tests.anomalies.published import YEARS, russia
from tests.anomalies.rules.worlds import clean_election, table, with_added_votes
from tests.shared_data import needs_forensics


def test_points_on_a_line_have_its_slope():
    # Turnout 20, 40, 60 %; share 30, 40, 50 %.
    found = turnout_correlation(
        table((1000, 200, 200, 60), (1000, 400, 400, 160), (1000, 600, 600, 300))
    )

    assert found is not None
    assert (found.stations, found.r, found.slope) == pytest.approx((3, 1.0, 0.5))


def test_points_off_the_line_have_less_r_and_the_slope_of_least_squares():
    # Turnout .2, .4, .6; share .3, .5, .4: sums of squares .08, .02 and product .02.
    found = turnout_correlation(
        table((1000, 200, 200, 60), (1000, 400, 400, 200), (1000, 600, 600, 240))
    )

    assert found is not None
    assert (found.r, found.slope) == pytest.approx((0.5, 0.25))


def test_a_clean_election_is_not_notable():
    found = turnout_correlation(clean_election())

    assert found is not None
    assert not found.is_notable
    assert abs(found.r) < 0.03


def test_votes_added_in_one_region_are_strong_only_there():
    stations = clean_election()
    here = stations.regions.codes == 3
    changed = with_added_votes(stations, 0.5)
    mixed = replace(
        stations,
        given=np.where(here, changed.given, stations.given),
        received=np.where(here, changed.given, stations.given),
        leader=np.where(here, changed.leader, stations.leader),
    )

    regions = turnout_correlations(mixed)

    assert [each.name for each in regions if each.correlation.is_strong] == ["region 3"]
    assert regions[0].name == "region 3"
    assert len(regions) == 10


@pytest.mark.parametrize(
    "stations",
    [
        table(),
        table((1000, 200, 200, 60), (1000, 400, 400, 160)),
        # The third is too small.
        table((1000, 200, 200, 60), (1000, 400, 400, 160), (99, 50, 50, 20)),
        # All alike.
        table(*[(1000, 500, 500, 250)] * 5),
        # All of one turnout.
        table((1000, 500, 500, 250), (1000, 500, 500, 200), (1000, 500, 500, 150)),
    ],
)
def test_nothing_is_told_where_there_is_no_line(stations):
    assert turnout_correlation(stations) is None


def test_regions_of_few_stations_are_left_out():
    stations = clean_election(number=500, regions=10)
    few = replace(
        stations, regions=Groups(np.minimum(np.arange(500) // 49, 1), ("few", "many"))
    )

    assert [each.name for each in turnout_correlations(few)] == ["many"]
    assert turnout_correlations(replace(stations, regions=None)) == ()


@needs_forensics
def test_elections_of_russia_lie_between_the_documented_correlations():
    found = {year: turnout_correlation(russia(year)) for year in YEARS}

    assert {
        year: (round(each.r, 2), round(each.slope, 2)) for year, each in found.items()
    } == {
        "2004": (0.44, 0.34),
        "2007": (0.68, 0.58),
        "2011": (0.75, 0.87),
        "2012": (0.63, 0.59),
        "2016": (0.76, 0.64),
        "2018": (0.57, 0.34),
        "2021": (0.80, 0.77),
    }


@needs_forensics
def test_without_stations_of_integer_edge_the_least_slope_is_that_of_the_document():
    found = turnout_correlation(russia("2004").usable())

    assert found.slope == pytest.approx(0.26, abs=0.005)
