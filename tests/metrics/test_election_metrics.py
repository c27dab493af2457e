"""Figures of whole elections, from the same statements as those of constituencies."""

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest

from elections.models import Constituency
from metrics.services import (
    ConstituencyMetricsService,
    ElectionMetrics,
    ElectionMetricsService,
    TooManyHours,
    UnknownPeriod,
)
from tests.factories import make_constituency, make_election, make_region
from tests.metrics.test_constituency_metrics import (
    HOUR,
    NINE,
    RATES,
    TEN,
    activity_of,
    constituency,
    open_between,
    period_table,
    votes_at,
)
from tests.tables import DAY, parse_table
from tests.transactions.lines import A, B, contract, dump, hour_file, register, vote

pytestmark = pytest.mark.django_db

service = ElectionMetricsService()


@pytest.fixture
def day(two_contracts, load):
    """The register of A is known, that of B is not, and a third never began."""
    make_constituency(election=two_contracts, contract_id="Silent")
    load(
        hour_file("09:00", register("r1", "09:00", add=10)),
        activity_of("09:00", issued=3, cast=2),
        activity_of("10:00", issued=2, cast=4),
        activity_of("10:00", issued=1, cast=1, contract_id=B),
        activity_of("11:00", issued=1, contract_id=B),
        activity_of("12:00", cast=9, contract_id=B),
    )
    return two_contracts


def test_an_election_adds_up_its_constituencies(day):
    figures = asdict(service.total_metrics(day))

    activity = figures.pop("hourly_activity")
    assert figures == {
        "slug": "duma",
        "as_of": DAY + timedelta(hours=12, minutes=10),
        "bulletins_issued": 7,
        "votes_cast": 16,
        "revotes": 0,
        "transaction_count": 24,
        "failed_count": 0,
        "register_entries": 10,
        "register_constituency_count": 1,
        "constituency_count": 3,
        "active_constituency_count": 2,
        # The votes of A only: those of B are by people nobody counted.
        "participation_rate": 60.0,
        "anomaly_count": 0,
        "abandonment_rate": -900 / 7,
        "completed_hours": 3,
        "missing_hours": 0,
        "average_votes_per_hour": 7 / 3,
        "average_bulletins_per_hour": 7 / 3,
        "peak_hour": TEN,
        "peak_hour_votes": 5,
        # 2, 5, 0 and 3, 3, 1
        "vote_velocity_trend": -1.0,
        "bulletin_velocity_trend": -1.0,
    }
    assert [row["votes_cast"] for row in activity[9:13]] == [2, 5, 0, 9]


def test_an_election_of_one_constituency_has_its_figures(election, load):
    load(
        hour_file("09:00", register("r1", "09:00", add=10)),
        activity_of("09:00", issued=3, cast=2),
        activity_of("10:00", issued=2, cast=4),
        activity_of("12:00", cast=1),
    )
    own = ConstituencyMetricsService()

    of_election = asdict(service.total_metrics(election))
    of_constituency = asdict(own.total_metrics(constituency()))

    shared = of_election.keys() & of_constituency.keys()
    assert len(shared) == 18
    assert {k: of_election[k] for k in shared} == {
        k: of_constituency[k] for k in shared
    }
    for period in ("hour", "day", "week", "month"):
        assert service.metrics_by_period(election, period=period) == (
            own.metrics_by_period(constituency(), period=period)
        )
    assert service.hourly_activity_pattern(election) == (
        own.hourly_activity_pattern(constituency())
    )
    assert service.velocity_trend(election) == own.velocity_trend(constituency())


def test_an_election_without_anything(db):
    metrics = service.total_metrics(make_election(slug="nothing"))

    assert replace(metrics, hourly_activity=()) == ElectionMetrics(
        slug="nothing",
        as_of=None,
        bulletins_issued=0,
        votes_cast=0,
        revotes=0,
        transaction_count=0,
        failed_count=0,
        register_entries=None,
        register_constituency_count=0,
        constituency_count=0,
        active_constituency_count=0,
        participation_rate=None,
        anomaly_count=0,
        abandonment_rate=None,
        completed_hours=0,
        missing_hours=0,
        average_votes_per_hour=None,
        average_bulletins_per_hour=None,
        peak_hour=None,
        peak_hour_votes=None,
        vote_velocity_trend=None,
        bulletin_velocity_trend=None,
        hourly_activity=(),
    )


def test_other_elections_do_not_count(day, load):
    before = service.total_metrics(day)
    elsewhere = make_constituency(contract_id=contract(3))

    load(dump(vote("v", "20:00"), contract_id=elsewhere.contract_id))

    assert service.total_metrics(day) == before
    assert service.total_metrics(elsewhere.election).votes_cast == 1


def test_active_is_who_had_a_transaction_in_the_period(day):
    first = service.total_metrics(day, start=NINE, end=TEN)
    second = service.total_metrics(day, start=TEN, end=DAY + 11 * HOUR)

    assert (first.active_constituency_count, first.votes_cast) == (1, 2)
    assert (second.active_constituency_count, second.votes_cast) == (2, 5)
    assert (first.constituency_count, second.constituency_count) == (3, 3)


def test_rates_of_periods_are_of_the_known_registers(day):
    rows = service.metrics_by_period(day, period="hour", start=TEN)

    assert period_table(rows, columns=["complete", *RATES]) == parse_table("""
        start | bulletins_issued | votes_cast | transaction_count | complete | participation_rate | cumulative_participation_rate
        10:00 |                3 |          5 |                 8 | yes      |               40.0 |                          60.0
        11:00 |                1 |          0 |                 1 | yes      |                0.0 |                          60.0
        12:00 |                0 |          9 |                 9 | no       |                0.0 |                          60.0
    """)


def test_periods_of_elections_are_refused_as_those_of_constituencies(day):
    with pytest.raises(UnknownPeriod, match="“year” is no period"):
        service.metrics_by_period(day, period="year")
    with pytest.raises(TooManyHours):
        service.metrics_by_period(
            day, period="hour", start=datetime(2001, 1, 1, tzinfo=UTC)
        )


# Zones --------------------------------------------------------------------------------


def test_hours_that_begin_at_a_quarter_past_count_where_they_begin(two_contracts, load):
    region = make_region(timezone="Asia/Kathmandu")
    Constituency.objects.filter(contract_id=B).update(region=region)
    load(
        activity_of("08:00", cast=1),
        activity_of("09:00", cast=1),
        # These begin at 08:15 and at 10:15 UTC.
        dump(vote("b1", "09:10"), vote("b2", "10:20", key="k2"), contract_id=B),
    )

    rows = service.metrics_by_period(two_contracts, period="hour")

    assert period_table(rows) == parse_table("""
        start | votes_cast | transaction_count | complete
        08:00 |          2 |                 2 | yes
        09:00 |          1 |                 1 | yes
        10:00 |          1 |                 1 | no
    """)
    metrics = service.total_metrics(two_contracts)
    assert (metrics.completed_hours, metrics.peak_hour_votes) == (2, 2)


def test_days_of_an_election_are_those_of_its_own_zone(two_contracts, load):
    two_contracts.timezone = "Asia/Kamchatka"
    two_contracts.save()
    region = make_region(timezone="Europe/Kaliningrad")
    Constituency.objects.update(region=region)
    # Midnight comes at 12:00 UTC in Kamchatka and at 22:00 in Kaliningrad.
    load(dump(vote("v1", "11:59"), vote("v2", "12:00", key="k2"), vote("v3", "23:00")))

    days = service.metrics_by_period(two_contracts, period="day")
    of_region = ConstituencyMetricsService().metrics_by_period(
        constituency(), period="day"
    )

    assert [(row.start, row.votes_cast) for row in days] == [
        (DAY - 12 * HOUR, 1),
        (DAY + 12 * HOUR, 1),
    ]
    assert [(row.start, row.votes_cast) for row in of_region] == [
        (DAY - 2 * HOUR, 2),
        (DAY + 22 * HOUR, 0),
    ]


@pytest.mark.parametrize(
    ("moment", "hours"), [("2026-10-25T12:00Z", 25), ("2026-03-29T12:00Z", 23)]
)
def test_days_on_which_the_clocks_change(election, load, moment, hours):
    election.timezone = "Europe/Berlin"
    election.save()
    load(votes_at(moment))

    [day] = service.metrics_by_period(election, period="day")

    assert day.end - day.start == hours * HOUR


# Gaps ---------------------------------------------------------------------------------


@pytest.fixture
def gaps(two_contracts, load):
    """Of 10:00 one file came, and it is empty; of 11:00 none came."""
    open_between(9, 20, A, B)
    load(
        activity_of("09:00", cast=3),
        hour_file("10:00", contract_id=B),
        activity_of("12:00", cast=3, contract_id=B),
        activity_of("13:00", cast=1),
    )
    return two_contracts


def test_an_hour_of_which_nobody_has_a_file_is_a_gap(gaps):
    rows = service.metrics_by_period(gaps, period="hour")

    assert period_table(rows) == parse_table("""
        start | bulletins_issued | votes_cast | revotes | transaction_count | failed_count | complete
        09:00 |                0 |          3 |       0 |                 3 |            0 | yes
        10:00 |                0 |          0 |       0 |                 0 |            0 | yes
        11:00 |                – |          – |       – |                 – |            – | no
        12:00 |                0 |          3 |       0 |                 3 |            0 | yes
        13:00 |                0 |          1 |       0 |                 1 |            0 | no
    """)


def test_gaps_of_an_election_are_in_no_average(gaps):
    metrics = service.total_metrics(gaps)

    # 09:00, 10:00 and 12:00.
    assert (metrics.completed_hours, metrics.missing_hours) == (3, 1)
    assert metrics.average_votes_per_hour == 2.0


def test_an_hour_in_which_nobody_was_open_is_no_gap(gaps):
    open_between(9, 11, A, B)

    rows = service.metrics_by_period(gaps, period="hour")

    assert [row.votes_cast for row in rows] == [3, 0, 0, 3, 1]


def test_windows_of_several_zones_are_looked_at_together(gaps):
    open_between(9, 11, A)
    open_between(11, 20, B)

    rows = service.metrics_by_period(gaps, period="hour")

    assert [row.votes_cast for row in rows] == [3, 0, None, 3, 1]


def test_labels_are_read_on_the_clock_of_the_exports(gaps):
    """The files are those of 09:00 to 13:00 in Moscow, which is 06:00 to 10:00 UTC."""
    gaps.export_timezone = "Europe/Moscow"
    gaps.save()

    rows = service.metrics_by_period(gaps, period="hour")

    assert [row.votes_cast for row in rows] == [3, 0, None, 3, 1]
    assert [row.complete for row in rows] == [True, True, False, False, False]


def test_the_number_of_queries_of_an_election_is_fixed(gaps, django_assert_num_queries):
    for _ in range(3):
        make_constituency(election=gaps)

    with django_assert_num_queries(6):
        service.total_metrics(gaps)
    with django_assert_num_queries(5):
        service.metrics_by_period(gaps, period="day")
