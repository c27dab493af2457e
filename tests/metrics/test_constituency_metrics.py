"""What is derived from the hours: totals, periods, patterns, trends; zones and gaps."""

import random
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from elections.models import Constituency
from metrics.services import (
    Activity,
    ActivityPattern,
    ConstituencyMetricsService,
    ElectionMetricsService,
    TooManyHours,
    TotalMetrics,
    UnknownPeriod,
    VelocityTrend,
)
from tests.factories import make_constituency, make_region
from tests.tables import COUNTS, DAY, _whole, parse_table
from tests.transactions.lines import (
    A,
    B,
    at,
    dump,
    fail,
    hour_file,
    issue,
    register,
    rollback_of,
    vote,
)
from transactions.queries import Coverage

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
NINE, TEN = DAY + 9 * HOUR, DAY + 10 * HOUR
service = ConstituencyMetricsService()


def constituency(contract_id=A):
    rows = Constituency.objects.select_related("election", "region")
    return rows.get(contract_id=contract_id)


def activity_of(hour, *, issued=0, cast=0, contract_id=A, minute="10"):
    """Return the file of an hour with so many bulletins and votes."""
    clock = f"{hour[:2]}:{minute}"
    lines = [issue(f"{hour}i{n}", clock, to=f"{hour}u{n}") for n in range(issued)]
    lines += [vote(f"{hour}v{n}", clock, key=f"{hour}k{n}") for n in range(cast)]
    return hour_file(hour, *lines, contract_id=contract_id)


def open_between(first, last, *contract_ids):
    """Let the contracts expect the hour files from `first` o'clock to `last`."""
    Constituency.objects.filter(contract_id__in=contract_ids or [A]).update(
        issue_opens_at=DAY + first * HOUR, voting_closes_at=DAY + last * HOUR
    )


def ms(text):
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def votes_at(*moments):
    """Return the dump of a vote at each moment, such as 2026-10-25T00:30Z."""
    lines = [vote(f"v{n}", ms(moment), key=f"k{n}") for n, moment in enumerate(moments)]
    return dump(*lines)


def period_table(rows, zone="UTC", *, columns=("complete",)):
    """Return periods as the table of a test: their starts on the clock of `zone`."""
    day = "%m-%d " if len({row.start.date() for row in rows}) > 1 else ""
    return _whole(
        [
            {"start": f"{row.start.astimezone(ZoneInfo(zone)):{day}%H:%M}"}
            | {name: getattr(row, name) for name in COUNTS}
            | {name: _cell(getattr(row, name)) for name in columns}
            for row in rows
        ]
    )


def _cell(value):
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


RATES = ["participation_rate", "cumulative_participation_rate"]


@pytest.fixture
def day(election, load):
    """Three completed hours, the last without anything, and a running one."""
    load(
        hour_file("09:00", register("r1", "09:00", add=10)),
        activity_of("09:00", issued=3, cast=2),
        activity_of("10:00", issued=2, cast=4),
        hour_file("12:00", issue("i", "12:30"), vote("v", "12:40", key="k")),
        hour_file("12:00", fail(vote("f", "12:45")), vote("w", "12:50", key="k")),
    )
    return constituency()


# Totals -------------------------------------------------------------------------------


def test_totals_averages_peak_and_trend(day):
    metrics = service.total_metrics(day)

    figures = asdict(metrics)
    del figures["hourly_activity"]
    assert figures == {
        "contract_id": A,
        "as_of": DAY + timedelta(hours=12, minutes=50),
        "coverage": None,
        "bulletins_issued": 6,
        "votes_cast": 7,
        "revotes": 1,
        "transaction_count": 16,
        "failed_count": 1,
        "registered_voters": 10,
        "participation_rate": 70.0,
        "anomaly_count": 0,
        "anomaly_score": None,
        # (6 − 7) / 6
        "abandonment_rate": -100 / 6,
        # 09:00, 10:00 and the empty 11:00; 12:00 is running.
        "completed_hours": 3,
        "missing_hours": 0,
        "average_votes_per_hour": 2.0,
        "average_bulletins_per_hour": 5 / 3,
        "peak_hour": TEN,
        "peak_hour_votes": 4,
        # 2, 4, 0: Σ(x − 1)(y − 2) / Σ(x − 1)² = −2 / 2
        "vote_velocity_trend": -1.0,
        # 3, 2, 0: Σ(x − 1)(y − 5/3) / Σ(x − 1)² = −3 / 2
        "bulletin_velocity_trend": -1.5,
    }


def test_a_constituency_without_anything_has_zeros_and_no_rates(election):
    assert service.total_metrics(constituency()) == TotalMetrics(
        contract_id=A,
        as_of=None,
        coverage=None,
        bulletins_issued=0,
        votes_cast=0,
        revotes=0,
        transaction_count=0,
        failed_count=0,
        registered_voters=None,
        participation_rate=None,
        anomaly_count=0,
        anomaly_score=None,
        abandonment_rate=None,
        completed_hours=0,
        missing_hours=0,
        average_votes_per_hour=None,
        average_bulletins_per_hour=None,
        peak_hour=None,
        peak_hour_votes=None,
        vote_velocity_trend=None,
        bulletin_velocity_trend=None,
        hourly_activity=tuple(
            Activity(hour, 0, 0, 0, 0, None, None) for hour in range(24)
        ),
    )
    assert service.metrics_by_period(constituency(), period="hour") == []


def test_a_register_of_nobody_gives_no_rate(election, load):
    load(hour_file("09:00", vote("v"), register("r1", add=1), register("r2", remove=1)))

    metrics = service.total_metrics(constituency())

    assert (metrics.registered_voters, metrics.participation_rate) == (0, None)


def test_participation_may_exceed_a_hundred(election, load):
    load(activity_of("09:00", cast=3), hour_file("09:00", register("r1", add=2)))

    assert service.total_metrics(constituency()).participation_rate == 150.0


def test_a_running_hour_is_in_the_totals_only(election, load):
    load(activity_of("09:00", issued=3, cast=2, minute="59"))

    metrics = service.total_metrics(constituency())

    assert (metrics.votes_cast, metrics.completed_hours) == (2, 0)
    assert (metrics.average_votes_per_hour, metrics.peak_hour) == (None, None)


def test_an_hour_is_completed_when_the_ledger_has_reached_its_end(election, load):
    load(activity_of("09:00", cast=2), hour_file("10:00", vote("v", "10:00")))

    metrics = service.total_metrics(constituency())

    assert metrics.completed_hours == 1
    assert (metrics.peak_hour, metrics.peak_hour_votes) == (NINE, 2)


def test_of_equal_peaks_the_earliest_is_told(election, load):
    load(
        activity_of("09:00", cast=1),
        activity_of("10:00", cast=2),
        activity_of("11:00", cast=2),
        activity_of("12:00", cast=3),
    )

    metrics = service.total_metrics(constituency())

    assert (metrics.peak_hour, metrics.peak_hour_votes) == (TEN, 2)


def test_hours_without_votes_have_no_peak(election, load):
    load(activity_of("09:00", issued=5), activity_of("10:00", cast=1))

    metrics = service.total_metrics(constituency())

    assert (metrics.peak_hour, metrics.peak_hour_votes) == (None, None)
    assert (metrics.completed_hours, metrics.average_votes_per_hour) == (1, 0.0)


@pytest.mark.parametrize(
    ("last", "trend"),
    [("10:59", (None, 1)), ("11:59", (None, 2)), ("12:00", (2.0, 3))],
)
def test_a_trend_takes_three_completed_hours(election, load, last, trend):
    load(
        activity_of("09:00", cast=1),
        activity_of("10:00", cast=3),
        *([activity_of("11:00", cast=5)] if last > "11:00" else []),
        hour_file(f"{last[:2]}:00", vote("last", last, key="last")),
    )

    found = service.velocity_trend(constituency())

    assert found == VelocityTrend(
        vote_velocity_trend=trend[0],
        bulletin_velocity_trend=trend[0] and 0.0,
        completed_hours=trend[1],
        as_of=DAY + timedelta(milliseconds=at(last) - at("00:00")),
    )


def test_hours_before_the_first_transaction_are_none(election, load):
    line = vote("gone", "06:10")
    load(
        hour_file("06:00", line),
        hour_file("07:00", rollback_of(line)),
        activity_of("09:00", cast=2),
        activity_of("10:00", cast=1),
    )

    metrics = service.total_metrics(constituency())

    assert (metrics.completed_hours, metrics.average_votes_per_hour) == (1, 2.0)


def test_a_period_includes_its_start_and_not_its_end(day):
    metrics = service.total_metrics(day, start=TEN, end=DAY + 12 * HOUR)

    assert (metrics.votes_cast, metrics.bulletins_issued) == (4, 2)
    assert (metrics.completed_hours, metrics.average_votes_per_hour) == (2, 2.0)
    assert metrics.participation_rate == 40.0


def test_empty_hours_at_the_start_of_a_period_count(day):
    metrics = service.total_metrics(day, start=DAY + 11 * HOUR)

    assert (metrics.completed_hours, metrics.average_votes_per_hour) == (1, 0.0)


def test_a_period_long_before_the_first_transaction_has_no_hours(day):
    metrics = service.total_metrics(day, start=DAY - 9 * HOUR, end=NINE)

    assert (metrics.completed_hours, metrics.votes_cast) == (0, 0)
    assert metrics.average_votes_per_hour is None


@pytest.mark.corrupts
def test_the_score_is_the_stored_one(day):
    Constituency.objects.update(anomaly_score=0.25)

    assert service.anomaly_score(day) == 0.25
    assert service.total_metrics(day).anomaly_score == 0.25


# Periods ------------------------------------------------------------------------------


def test_every_hour_has_a_row(day):
    rows = service.metrics_by_period(day, period="hour")

    assert period_table(rows, columns=["complete", *RATES]) == parse_table("""
        start | bulletins_issued | votes_cast | revotes | transaction_count | failed_count | complete | participation_rate | cumulative_participation_rate
        09:00 |                3 |          2 |       0 |                 6 |            0 | yes      |               20.0 |                          20.0
        10:00 |                2 |          4 |       0 |                 6 |            0 | yes      |               40.0 |                          60.0
        11:00 |                0 |          0 |       0 |                 0 |            0 | yes      |                0.0 |                          60.0
        12:00 |                1 |          1 |       1 |                 4 |            1 | no       |               10.0 |                          70.0
    """)
    assert {row.end - row.start for row in rows} == {HOUR}


def test_what_was_before_the_start_is_in_the_cumulative_rate(day):
    rows = service.metrics_by_period(day, period="hour", start=TEN, end=DAY + 12 * HOUR)

    assert period_table(rows, columns=["complete", *RATES]) == parse_table("""
        start | bulletins_issued | votes_cast | transaction_count | complete | participation_rate | cumulative_participation_rate
        10:00 |                2 |          4 |                 6 | yes      |               40.0 |                          60.0
        11:00 |                0 |          0 |                 0 | yes      |                0.0 |                          60.0
    """)


def test_rows_begin_at_the_start_and_never_go_beyond_the_ledger(day):
    rows = service.metrics_by_period(
        day, period="hour", start=DAY + 8 * HOUR, end=DAY + 99 * HOUR
    )

    assert [(row.start.hour, row.votes_cast) for row in rows] == [
        (8, 0),
        (9, 2),
        (10, 4),
        (11, 0),
        (12, 1),
    ]


def test_without_any_ledger_time_there_are_no_rows(election):
    rows = service.metrics_by_period(constituency(), period="hour", start=NINE, end=TEN)

    assert rows == []


def test_a_start_inside_an_hour_leaves_that_hour_out(day):
    rows = service.metrics_by_period(day, period="hour", start=TEN - HOUR / 2)

    assert [row.start.hour for row in rows] == [10, 11, 12]


def test_a_day_that_is_cut_is_not_complete(election, load):
    load(votes_at(*(f"2026-09-{day}T10:00Z" for day in (17, 18, 19))))

    rows = service.metrics_by_period(
        constituency(), period="day", start=DAY - 14 * HOUR, end=DAY + 25 * HOUR
    )

    assert period_table(rows) == parse_table("""
        start       | votes_cast | transaction_count | complete
        09-17 00:00 |          1 |                 1 | no
        09-18 00:00 |          1 |                 1 | yes
        09-19 00:00 |          0 |                 0 | no
    """)


def test_weeks_begin_on_monday_and_months_on_the_first(election, load):
    load(votes_at("2026-08-30T23:59Z", "2026-08-31T00:00Z", "2026-09-07T00:00Z"))

    weeks = service.metrics_by_period(constituency(), period="week")
    months = service.metrics_by_period(constituency(), period="month")

    assert period_table(weeks) == parse_table("""
        start       | votes_cast | transaction_count | complete
        08-24 00:00 |          1 |                 1 | yes
        08-31 00:00 |          1 |                 1 | yes
        09-07 00:00 |          1 |                 1 | no
    """)
    assert period_table(months) == parse_table("""
        start       | votes_cast | transaction_count | complete
        08-01 00:00 |          2 |                 2 | yes
        09-01 00:00 |          1 |                 1 | no
    """)
    assert [row.end for row in months] == [
        datetime(2026, 9, 1, tzinfo=UTC),
        datetime(2026, 10, 1, tzinfo=UTC),
    ]


def test_without_a_register_the_rates_are_unknown(election, load):
    load(activity_of("09:00", cast=1))

    [row] = service.metrics_by_period(constituency(), period="day")

    assert (row.votes_cast, row.participation_rate) == (1, None)
    assert row.cumulative_participation_rate is None


def test_other_periods_are_refused(day):
    with pytest.raises(UnknownPeriod, match="“total” is no period"):
        service.metrics_by_period(day, period="total")


@pytest.mark.parametrize("period", ["hour", "day"])
def test_an_answer_that_nobody_reads_is_refused(day, period):
    with pytest.raises(TooManyHours, match=r"more than 10,000 hours"):
        service.metrics_by_period(
            day, period=period, start=datetime(2025, 1, 1, tzinfo=UTC)
        )


def test_a_time_stamp_of_another_year_makes_no_average(day, load):
    load(dump(vote("odd", ms("2099-01-01T00:00Z"), key="odd")))

    odd = service.total_metrics(day)
    sound = service.total_metrics(day, end=DAY + 24 * HOUR)

    assert (odd.votes_cast, odd.completed_hours, odd.peak_hour) == (8, 0, None)
    assert (odd.average_votes_per_hour, odd.vote_velocity_trend) == (None, None)
    assert (sound.votes_cast, sound.completed_hours) == (7, 15)
    with pytest.raises(TooManyHours):
        service.metrics_by_period(day, period="month")


# Gaps ---------------------------------------------------------------------------------


@pytest.fixture
def gap(election, load):
    """10:00 is missing, 11:00 is empty, 12:00 is missing and came by a dump."""
    load(
        hour_file("09:00", register("r1", "09:00", add=10)),
        activity_of("09:00", cast=4),
        hour_file("11:00"),
        dump(vote("d", "12:10", key="d")),
        activity_of("13:00", cast=1, minute="59"),
    )
    open_between(9, 20)
    return constituency()


def test_a_gap_in_the_feed_is_not_a_zero(gap):
    rows = service.metrics_by_period(gap, period="hour")

    assert period_table(rows, columns=["complete", *RATES]) == parse_table("""
        start | bulletins_issued | votes_cast | revotes | transaction_count | failed_count | complete | participation_rate | cumulative_participation_rate
        09:00 |                0 |          4 |       0 |                 5 |            0 | yes      |               40.0 |                          40.0
        10:00 |                – |          – |       – |                 – |            – | no       |                  – |                             –
        11:00 |                0 |          0 |       0 |                 0 |            0 | yes      |                0.0 |                          40.0
        12:00 |                0 |          1 |       0 |                 1 |            0 | no       |               10.0 |                          50.0
        13:00 |                0 |          1 |       0 |                 1 |            0 | no       |               10.0 |                          60.0
    """)


def test_without_hour_files_nothing_is_a_gap(gap):
    Constituency.objects.update(issue_opens_at=None)

    rows = service.metrics_by_period(gap, period="hour")

    assert [(row.votes_cast, row.complete) for row in rows] == [
        (4, True),
        (0, True),
        (0, True),
        (1, True),
        (1, False),
    ]


def test_gaps_are_in_no_average_and_no_trend(gap):
    metrics = service.total_metrics(gap)

    # 09:00, 11:00 and 12:00; with 10:00 as a zero it would be 5 / 4.
    assert (metrics.completed_hours, metrics.missing_hours) == (3, 2)
    assert metrics.average_votes_per_hour == 5 / 3
    # x = 0, 2, 3 and y = 4, 0, 1: −16/3 by 14/3.
    assert metrics.vote_velocity_trend == pytest.approx(-8 / 7)
    assert metrics.coverage == Coverage(received=2, expected=4)


def test_a_day_with_a_missing_file_is_counted_and_not_complete(gap, load):
    load(hour_file("00:00"), dump(vote("next", at("23:59") + 120_000, key="n")))

    rows = service.metrics_by_period(gap, period="day")

    assert [(row.votes_cast, row.complete) for row in rows] == [(6, False), (1, False)]


def test_an_empty_day_with_a_missing_file_is_unknown(two_contracts, load):
    load(
        activity_of("09:00", cast=1, contract_id=B),
        hour_file("09:00"),
        hour_file("10:00"),
    )
    open_between(9, 12)
    load(dump(vote("late", "12:00"), contract_id=B))

    [row] = service.metrics_by_period(constituency(), period="day")

    assert (row.start, row.votes_cast, row.complete) == (DAY, None, False)


def test_hour_files_tell_what_came_up_to_the_time_of_the_election(two_contracts, load):
    """Else a district that is silent at night would have no night."""
    load(
        activity_of("09:00", cast=3),
        hour_file("10:00"),
        activity_of("12:00", cast=1, contract_id=B),
    )
    open_between(9, 20)

    rows = service.metrics_by_period(constituency(), period="hour")

    assert period_table(rows) == parse_table("""
        start | bulletins_issued | votes_cast | revotes | transaction_count | failed_count | complete
        09:00 |                0 |          3 |       0 |                 3 |            0 | yes
        10:00 |                0 |          0 |       0 |                 0 |            0 | yes
        11:00 |                – |          – |       – |                 – |            – | no
        12:00 |                0 |          0 |       0 |                 0 |            0 | no
    """)


def test_without_hour_files_nothing_is_known_after_the_last_transaction(
    two_contracts, load
):
    load(
        dump(vote("v", "09:10")),
        activity_of("12:00", cast=1, contract_id=B),
    )

    metrics = service.total_metrics(constituency())

    assert metrics.as_of == DAY + timedelta(hours=9, minutes=10)
    assert metrics.completed_hours == 0


def test_files_missing_before_the_first_transaction_have_rows(election, load):
    open_between(8, 20)
    load(activity_of("10:00", cast=1), hour_file("09:00"))

    rows = service.metrics_by_period(constituency(), period="hour")

    assert [(row.start.hour, row.votes_cast) for row in rows] == [
        (8, None),
        (9, 0),
        (10, 1),
    ]


@pytest.mark.parametrize(
    ("zone", "missing"), [("Asia/Kolkata", [9, 10]), ("UTC", [10])]
)
def test_a_missing_file_lies_in_two_hours_of_a_half_hour_zone(
    election, load, zone, missing
):
    election.timezone = zone
    election.save()
    open_between(9, 20)
    load(activity_of("09:00", cast=1), activity_of("11:00", cast=1, minute="45"))

    rows = service.metrics_by_period(constituency(), period="hour")

    assert [row.start.hour for row in rows if not row.complete][:-1] == missing


# Zones --------------------------------------------------------------------------------


def test_days_and_hours_of_day_are_those_of_the_region(election, load):
    Constituency.objects.update(region=make_region(timezone="Asia/Kathmandu"))
    # 18:15 UTC is midnight in Kathmandu.
    load(dump(vote("v1", "18:14"), vote("v2", "18:15", key="k2"), vote("v3", "19:20")))

    hours = service.metrics_by_period(constituency(), period="hour")
    days = service.metrics_by_period(constituency(), period="day")
    pattern = service.hourly_activity_pattern(constituency())

    assert period_table(hours) == parse_table("""
        start | votes_cast | revotes | transaction_count | complete
        17:15 |          1 |       0 |                 1 | yes
        18:15 |          1 |       0 |                 1 | yes
        19:15 |          0 |       1 |                 1 | no
    """)
    assert [row.start for row in days] == [
        datetime(2026, 9, 17, 18, 15, tzinfo=UTC),
        datetime(2026, 9, 18, 18, 15, tzinfo=UTC),
    ]
    busy = {
        row.slot: row.votes_cast for row in pattern.by_hour_of_day if row.votes_cast
    }
    assert busy == {23: 1, 0: 1}


def test_a_day_of_25_hours(election, load):
    """On 25 October 2026 Berlin's clocks go from 03:00 back to 02:00."""
    election.timezone = "Europe/Berlin"
    election.save()
    load(
        votes_at(
            "2026-10-24T22:00Z", "2026-10-25T00:30Z", "2026-10-25T01:30Z",
            "2026-10-25T22:59Z", "2026-10-25T23:00Z",
        )
    )  # fmt: skip

    hours = service.metrics_by_period(constituency(), period="hour")
    days = service.metrics_by_period(constituency(), period="day")
    two = service.hourly_activity_pattern(constituency()).by_hour_of_day[2]

    assert len(hours) == 26
    assert [(row.start, row.votes_cast) for row in hours[2:4]] == [
        (datetime(2026, 10, 25, 0, tzinfo=UTC), 1),
        (datetime(2026, 10, 25, 1, tzinfo=UTC), 1),
    ]
    assert [(row.end - row.start, row.votes_cast) for row in days] == [
        (25 * HOUR, 4),
        (24 * HOUR, 1),
    ]
    assert (two.votes_cast, two.completed_hours) == (2, 2)
    assert two.average_votes_per_hour == 1.0


def test_a_day_of_23_hours(election, load):
    """On 29 March 2026 Berlin's clocks go from 02:00 to 03:00."""
    election.timezone = "Europe/Berlin"
    election.save()
    load(votes_at("2026-03-28T23:00Z", "2026-03-29T01:00Z", "2026-03-29T22:00Z"))

    hours = service.metrics_by_period(constituency(), period="hour")
    days = service.metrics_by_period(constituency(), period="day")
    pattern = service.hourly_activity_pattern(constituency())

    assert len(hours) == 24
    assert [(row.end - row.start, row.votes_cast) for row in days] == [
        (23 * HOUR, 2),
        (24 * HOUR, 1),
    ]
    assert [row.completed_hours for row in pattern.by_hour_of_day[1:4]] == [1, 0, 1]


ZONES = {
    "Asia/Kathmandu": "2026-09-18",
    "Europe/Berlin": "2026-10-25",
    "America/St_Johns": "2026-03-08",
    # Back by half an hour.
    "Australia/Lord_Howe": "2026-04-05",
    # The clocks change at midnight: it never comes, or comes twice.
    "Africa/Cairo": "2026-04-24",
    "Atlantic/Azores": "2026-10-25",
    "America/Havana": "2026-11-01",
}


@pytest.mark.parametrize("zone", ZONES)
def test_periods_agree_with_a_count_on_the_local_clock(election, load, zone):
    election.timezone = zone
    election.save()
    middle = datetime.fromisoformat(ZONES[zone]).replace(tzinfo=UTC)
    draw = random.Random(zone)
    moments = [
        middle + timedelta(minutes=draw.randrange(-2_880, 2_880)) for _ in range(150)
    ]
    load(votes_at(*(f"{moment:%Y-%m-%dT%H:%MZ}" for moment in moments)))

    rows = service.metrics_by_period(constituency(), period="day")
    months = service.metrics_by_period(constituency(), period="month")
    pattern = service.hourly_activity_pattern(constituency())

    local = [moment.astimezone(ZoneInfo(zone)) for moment in moments]
    starts = [row.start for row in rows]
    for row in rows:
        inside = [moment for moment in moments if row.start <= moment < row.end]
        days = {moment.astimezone(ZoneInfo(zone)).date() for moment in inside}
        assert (len(days), row.votes_cast) == (1, len(inside))
    assert [row.end for row in rows[:-1]] == starts[1:]
    assert sum(row.votes_cast for row in rows) == 150
    assert [row.end for row in months[:-1]] == [row.start for row in months[1:]]
    assert sum(row.votes_cast for row in months) == 150
    assert [row.votes_cast for row in pattern.by_hour_of_day] == [
        sum(moment.hour == hour for moment in local) for hour in range(24)
    ]
    assert [row.votes_cast for row in pattern.by_weekday] == [
        sum(moment.isoweekday() == day for moment in local) for day in range(1, 8)
    ]


# Patterns -----------------------------------------------------------------------------


def test_the_pattern_has_all_hours_of_the_day_and_all_weekdays(day):
    pattern = service.hourly_activity_pattern(day)

    nothing = {slot: Activity(slot, 0, 0, 0, 0, None, None) for slot in (*range(24), 0)}
    hours = nothing | {
        9: Activity(9, 3, 2, 6, 1, 3.0, 2.0),
        10: Activity(10, 2, 4, 6, 1, 2.0, 4.0),
        11: Activity(11, 0, 0, 0, 1, 0.0, 0.0),
        12: Activity(12, 1, 1, 4, 0, None, None),
    }
    # 18 September 2026 is a Friday.
    friday = Activity(5, 6, 7, 16, 3, 5 / 3, 2.0)
    assert pattern == ActivityPattern(
        as_of=DAY + timedelta(hours=12, minutes=50),
        by_hour_of_day=tuple(hours[slot] for slot in range(24)),
        by_weekday=tuple((nothing | {5: friday})[slot] for slot in range(1, 8)),
    )
    assert service.total_metrics(day).hourly_activity == pattern.by_hour_of_day


# Comparing, and what it costs ---------------------------------------------------------


def test_constituencies_are_compared_each_on_its_own_clock(two_contracts, load):
    region = make_region(timezone="Asia/Kolkata")
    Constituency.objects.filter(contract_id=B).update(region=region)
    load(
        activity_of("09:00", issued=1, cast=1),
        activity_of("10:00", issued=1),
        activity_of("09:00", issued=4, cast=2, contract_id=B, minute="45"),
        dump(vote("late", "11:00"), contract_id=B),
    )
    chosen = [constituency(B), constituency(A)]

    both = service.compare(chosen)

    assert [metrics.contract_id for metrics in both] == [B, A]
    assert both == [service.total_metrics(one) for one in chosen]
    assert [metrics.votes_cast for metrics in both] == [3, 1]
    # 09:45 UTC is 15:15 in Kolkata.
    assert [metrics.hourly_activity[15].votes_cast for metrics in both] == [2, 0]


def test_comparing_nothing_is_nothing(db):
    assert service.compare([]) == []


def test_the_number_of_queries_is_fixed(day, django_assert_num_queries):
    places = [make_constituency(election=day.election) for _ in range(3)]

    with django_assert_num_queries(2):
        service.total_metrics(day)
    with django_assert_num_queries(2):
        service.compare([day, *places])
    with django_assert_num_queries(2):
        service.metrics_by_period(day, period="day")


def test_the_ledger_is_never_read(day):
    elections = ElectionMetricsService()
    with CaptureQueriesContext(connection) as queries:
        service.compare([day])
        service.metrics_by_period(day, period="day")
        service.hourly_activity_pattern(day)
        service.velocity_trend(day)
        service.refresh(day.pk, now=DAY)
        elections.total_metrics(day.election)
        elections.metrics_by_period(day.election, period="day")

    statements = [query["sql"] for query in queries]
    assert any("metrics_hourlystats" in sql for sql in statements)
    assert not any("transactions_transaction" in sql for sql in statements)
