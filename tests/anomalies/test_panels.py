"""What the rules compare is what the rows say, whatever the rows are like."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from anomalies.queries import FlowRow
from anomalies.services.evidence import storable
from anomalies.services.panels import FOREVER, MOST_HOURS, panels

OPENS = datetime(2026, 9, 18, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)


def row(number=1, **fields):
    made_up = {
        "id": number,
        "region_id": 7,
        "district": f"Округ № {number}",
        "zone": "Europe/Moscow",
        "opens_at": OPENS,
        "closes_at": OPENS + 12 * HOUR,
        "registered_voters": 100,
        "bulletins_issued": 6,
        "has_files": False,
        "told_hours": [],
        "hours": [OPENS, OPENS + HOUR],
        "issued": [4, 2],
        "cast_votes": [3, 2],
        "calls": [9, 5],
        "rejected": [1, 0],
    }
    return FlowRow(**made_up | fields)


def laid_out(*rows, until=OPENS + 3 * HOUR):
    return panels(rows, until=until)


def test_counts_stand_in_their_hours():
    found = laid_out(row())

    assert found.panels["bulletins_issued"].counts.tolist() == [[4, 2, 0]]
    assert found.panels["votes_cast"].counts.tolist() == [[3, 2, 0]]
    assert found.hour(1) == OPENS + HOUR
    assert found.panels["votes_cast"].first_clock.tolist() == [8]


def test_hours_that_are_not_over_are_left_out():
    assert laid_out(row(), until=OPENS + HOUR).columns == 1
    assert laid_out(row(), until=OPENS) is None
    assert laid_out(row(hours=[], issued=[], cast_votes=[])) is None


def test_calls_are_those_that_were_refused_and_the_others():
    found = laid_out(row(calls=[9, 5], rejected=[1, 0])).calls

    assert found.rejected.tolist() == [[1, 0, 0]]
    assert found.accepted.tolist() == [[8, 5, 0]]


def test_only_hours_that_a_file_told_are_known():
    found = laid_out(row(has_files=True, told_hours=[OPENS + HOUR]))

    known = found.panels["votes_cast"]
    assert known.is_known.tolist() == [[False, True, False]]


@pytest.mark.parametrize("register", [None, 0, 5])
def test_a_register_that_cannot_be_is_unknown(register):
    found = laid_out(row(registered_voters=register))

    assert np.isnan(found.panels["votes_cast"].voters).all()


def test_peers_share_opening_and_distance_from_utc():
    east = row(2, zone="Asia/Yekaterinburg")
    later = row(3, opens_at=OPENS + HOUR)
    found = laid_out(row(1), east, later, row(4))

    groups = found.panels["votes_cast"].groups.tolist()
    assert groups[0] == groups[3]
    assert len(set(groups)) == 3


def test_ballots_of_one_district_are_one_electorate():
    found = laid_out(
        row(1, district="Округ №1"),
        row(2, district="Округ  №1_2"),
        row(3, district="Округ №1_3", registered_voters=500),
        row(4, district="Округ №1", region_id=8),
        row(5, district=""),
        row(6, district=""),
    )

    numbers = found.panels["votes_cast"].electorates.tolist()
    assert numbers[0] == numbers[1]
    assert len(set(numbers)) == 5


def test_hours_of_a_zone_with_half_hours_share_the_column_they_begin_in():
    half = OPENS + timedelta(minutes=30)
    hour = {"hours": [half], "issued": [4], "cast_votes": [3]}
    kolkata = row(zone="Asia/Kolkata", opens_at=half, **hour, calls=[7], rejected=[0])

    assert laid_out(kolkata).panels["bulletins_issued"].counts.tolist() == [[4, 0, 0]]


def test_without_times_the_first_ballot_opens_and_nothing_closes():
    found = laid_out(row(opens_at=None, closes_at=None))

    assert found.panels["votes_cast"].opens.tolist() == [0]
    assert found.panels["votes_cast"].closes.tolist() == [FOREVER]


def test_an_opening_that_is_years_off_makes_no_panel_of_years():
    early = row(opens_at=datetime(2010, 1, 1, tzinfo=UTC))
    found = laid_out(early, row(2))

    assert found.columns <= MOST_HOURS
    assert found.panels["bulletins_issued"].counts.sum() == 12


def test_a_row_that_comes_years_later_leaves_the_vote_where_it_is():
    found = laid_out(row(), until=datetime(2031, 1, 1, tzinfo=UTC))
    endless = laid_out(row(closes_at=None), until=datetime(2031, 1, 1, tzinfo=UTC))

    for each in (found, endless):
        assert each.first_hour == OPENS
        assert each.columns <= MOST_HOURS
        assert each.panels["bulletins_issued"].counts.sum() == 6


def test_a_surplus_that_was_rolled_back_is_no_negative_count():
    found = laid_out(row(issued=[4, -1]))

    assert found.panels["bulletins_issued"].counts.tolist() == [[4, 0, 0]]


def test_evidence_is_what_a_database_can_hold():
    told = storable(
        {
            "nan": float("nan"),
            "many": (np.float64("inf"), np.int64(3), [np.True_]),
            1: "a\0b",
        }
    )

    assert told == {"nan": None, "many": [None, 3, [True]], "1": "a\\0b"}
