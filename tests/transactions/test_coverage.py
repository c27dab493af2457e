"""Which hour files had to come by now, and which did not."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.factories import make_constituency, make_election, make_region
from tests.feed import receive
from transactions.queries import (
    ConstituencyCoverage,
    Coverage,
    coverage,
    coverage_by_constituency,
    coverage_by_election,
    coverage_of_constituency,
)

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def figures_stay_exact():
    """Let figures be written without a ledger: here they are only read."""


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def open_between(opens, closes, *, as_of, zone="Europe/Moscow", **fields):
    """Make a constituency whose election exports in `zone`; times are in UTC."""
    election = fields.pop("election", None) or make_election(export_timezone=zone)
    return make_constituency(
        election=election,
        issue_opens_at=opens and at(opens),
        voting_closes_at=closes and at(closes),
        last_transaction_at=as_of and at(as_of),
        **fields,
    )


def four_hours(**fields):
    """08:00 to 12:00 in Moscow, all over."""
    times = {"as_of": "2026-09-18 09:00", **fields}
    return open_between("2026-09-18 05:00", "2026-09-18 09:00", **times)


def test_an_hour_without_its_file_is_missing():
    constituency = four_hours()
    receive(constituency, "2026-09-18 08:00", "2026-09-18 09:00", "2026-09-18 11:00")

    assert coverage_of_constituency(constituency.pk) == ConstituencyCoverage(
        received=3, expected=4, missing=(at("2026-09-18 07:00"),)
    )


def test_all_files_received_leave_nothing_missing():
    constituency = four_hours()
    receive(constituency, *(f"2026-09-18 {hour:02}:00" for hour in range(8, 12)))

    assert coverage_of_constituency(constituency.pk) == ConstituencyCoverage(
        received=4, expected=4, missing=()
    )


def test_a_second_version_is_not_a_second_hour():
    constituency = four_hours()
    receive(constituency, "2026-09-18 08:00")
    receive(constituency, "2026-09-18 08:00", version=2)

    assert coverage(constituency_ids=[constituency.pk]) == Coverage(1, 4)


def test_files_outside_the_window_are_not_counted():
    constituency = four_hours()
    receive(constituency, "2026-09-18 07:00", "2026-09-18 12:00")

    assert coverage(constituency_ids=[constituency.pk]) == Coverage(0, 4)


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        ("2026-09-18 04:59", 0),
        ("2026-09-18 05:59:59.999", 0),
        ("2026-09-18 06:00", 1),
        ("2026-09-18 08:59:59", 3),
        ("2026-09-18 09:00", 4),
        ("2026-09-19 09:00", 4),
        (None, 0),
    ],
)
def test_an_hour_is_expected_when_the_ledger_has_passed_it(as_of, expected):
    constituency = four_hours(as_of=as_of)
    receive(constituency, "2026-09-18 07:00")

    assert coverage(constituency_ids=[constituency.pk]) == Coverage(0, expected)


def test_the_ledger_of_the_whole_election_tells_the_time():
    constituency = four_hours(as_of="2026-09-18 06:00")
    make_constituency(
        election=constituency.election, last_transaction_at=at("2026-09-18 08:00")
    )
    receive(constituency, "2026-09-18 08:00")

    assert coverage_of_constituency(constituency.pk) == ConstituencyCoverage(
        received=1,
        expected=3,
        missing=(at("2026-09-18 06:00"), at("2026-09-18 07:00")),
    )


@pytest.mark.parametrize(
    ("opens", "closes", "expected"),
    [
        # The hour in which issuing opens and the one in which voting closes belong to it.
        ("2026-09-18 05:30", "2026-09-18 08:30", 4),
        ("2026-09-18 05:00", "2026-09-18 08:00", 3),
        ("2026-09-18 05:59:59", "2026-09-18 08:00:00.001", 4),
        ("2026-09-18 05:00", "2026-09-18 05:00", 0),
    ],
)
def test_the_window_is_made_of_whole_hours(opens, closes, expected):
    constituency = open_between(opens, closes, as_of="2026-09-19 00:00")
    receive(constituency, "2026-09-18 07:00")

    assert coverage(constituency_ids=[constituency.pk]) == Coverage(0, expected)


def test_labels_are_readings_of_the_export_zone():
    constituency = four_hours(zone="Asia/Kamchatka")
    receive(constituency, "2026-09-18 17:00", "2026-09-18 08:00")

    assert coverage_of_constituency(constituency.pk) == ConstituencyCoverage(
        received=1,
        expected=4,
        missing=tuple(at(f"2026-09-18 0{hour}:00") for hour in (6, 7, 8)),
    )


def test_a_zone_with_a_half_hour_cuts_its_hours_there():
    constituency = open_between(
        "2026-09-18 05:00",
        "2026-09-18 07:00",
        as_of="2026-09-18 12:00",
        zone="Asia/Kolkata",
    )
    receive(constituency, "2026-09-18 10:00")

    # 10:00 to 13:00 in India: 04:30 to 07:30 in UTC.
    assert coverage_of_constituency(constituency.pk) == ConstituencyCoverage(
        received=1,
        expected=3,
        missing=(at("2026-09-18 05:30"), at("2026-09-18 06:30")),
    )


@pytest.mark.parametrize(
    ("day", "expected", "missing"),
    [
        # 01:00 to 05:00 on the clock; 02:00 does not exist.
        ("2026-03-29", 3, ["00:00", "01:00", "02:00"]),
        # 00:00 to 04:00 on the clock; 02:00 is shown twice and is one file.
        ("2026-10-25", 4, ["22:00", "23:00", "00:00", "02:00"]),
    ],
)
def test_the_day_the_clocks_change_expects_the_labels_there_are(day, expected, missing):
    opens = at(f"{day} 00:00") - (2 * HOUR if day == "2026-10-25" else 0 * HOUR)
    closes = at(f"{day} 03:00")
    constituency = make_constituency(
        election=make_election(export_timezone="Europe/Berlin"),
        issue_opens_at=opens,
        voting_closes_at=closes,
        last_transaction_at=closes,
    )
    receive(constituency, "2026-01-01 00:00")

    found = coverage_of_constituency(constituency.pk)

    assert found is not None
    assert (found.received, found.expected) == (0, expected)
    assert [f"{hour:%H:%M}" for hour in found.missing] == missing


@pytest.mark.parametrize(
    ("opens", "closes"),
    [(None, "2026-09-18 09:00"), ("2026-09-18 05:00", None), (None, None)],
)
def test_an_unknown_window_has_no_coverage(opens, closes):
    constituency = open_between(opens, closes, as_of="2026-09-18 09:00")
    receive(constituency, "2026-09-18 08:00")

    assert coverage_of_constituency(constituency.pk) is None
    assert coverage(constituency_ids=[constituency.pk]) is None
    assert coverage_by_election([constituency.election_id]) == {}


def test_without_hour_files_there_is_no_coverage():
    constituency = four_hours()

    assert coverage_of_constituency(constituency.pk) is None
    assert coverage(constituency_ids=[constituency.pk]) is None
    assert coverage_by_election([constituency.election_id]) == {}


def test_sums_go_over_the_constituencies_that_have_coverage():
    region = make_region()
    first = four_hours()
    second = open_between(
        "2026-09-18 05:00",
        "2026-09-18 07:00",
        as_of=None,
        election=first.election,
        region=region,
    )
    make_constituency(election=first.election)
    other = four_hours(region=region)
    receive(first, "2026-09-18 08:00", "2026-09-18 09:00", "2026-09-18 10:00")
    receive(second, "2026-09-18 08:00")
    receive(other, "2026-09-18 11:00")

    elections = [first.election_id, other.election_id]
    assert coverage_by_election(elections) == {
        first.election_id: Coverage(4, 6),
        other.election_id: Coverage(1, 4),
    }
    assert coverage() == Coverage(5, 10)
    assert coverage(region_ids=[region.pk]) == Coverage(2, 6)
    assert coverage(
        region_ids=[region.pk], election_ids=[first.election_id]
    ) == Coverage(1, 2)
    assert coverage(election_ids=[]) is None


def test_the_number_of_queries_is_fixed(django_assert_num_queries):
    constituencies = [four_hours() for _ in range(5)]
    for constituency in constituencies:
        receive(constituency, "2026-09-18 08:00")

    with django_assert_num_queries(1):
        coverage_by_election(each.election_id for each in constituencies)
    with django_assert_num_queries(2):
        coverage_by_constituency(each.pk for each in constituencies)
    with django_assert_num_queries(1):
        coverage()
