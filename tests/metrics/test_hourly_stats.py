"""HourlyStats: increments, counting again, zones, and rates that follow the register."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from elections.locks import NotInTransaction
from elections.models import Constituency
from metrics.models import HourlyStats
from metrics.services import HourlyStatsService, UnknownConstituency, UnknownElection
from tests.tables import DAY, hourly_table, parse_table, totals_table
from tests.transactions.lines import (
    A,
    B,
    at,
    dump,
    hour_file,
    issue,
    register,
    rollback_of,
    vote,
)
from transactions.deltas import HourDelta

pytestmark = pytest.mark.django_db

NINE, TEN = DAY + timedelta(hours=9), DAY + timedelta(hours=10)
service = HourlyStatsService()


def now():
    return timezone.now()


def spoil(**figures):
    """Write wrong figures into all hours and, where they have them, all totals."""
    HourlyStats.objects.update(**figures)
    Constituency.objects.update(**figures)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


# apply --------------------------------------------------------------------------------


@pytest.mark.corrupts
def test_deltas_add_up(election):
    place = Constituency.objects.get().pk
    for votes in (3, 4, -2):
        service.apply(
            [HourDelta(place, NINE, votes_cast=votes, transaction_count=votes)],
            now=now(),
        )

    assert hourly_table("version") == parse_table("""
        hour  | votes_cast | transaction_count | version
        09:00 |          5 |                 5 |       3
    """)
    assert totals_table() == parse_table("""
        votes_cast | transaction_count
                 5 |                 5
    """)


@pytest.mark.corrupts
def test_a_first_delta_may_be_negative(election):
    place = Constituency.objects.get().pk
    service.apply([HourDelta(place, NINE, votes_cast=-1, revotes=1)], now=now())

    assert hourly_table() == parse_table("""
        hour  | votes_cast | revotes
        09:00 |         -1 |       1
    """)


@pytest.mark.corrupts
def test_several_hours_of_one_constituency_reach_its_total(two_contracts):
    first, second = Constituency.objects.order_by("name")
    deltas = [
        HourDelta(second.pk, TEN, bulletins_issued=1),
        HourDelta(first.pk, TEN, bulletins_issued=2),
        HourDelta(first.pk, NINE, bulletins_issued=3),
    ]

    assert service.apply(deltas, now=now()) == 3
    assert totals_table() == parse_table(f"""
        name | bulletins_issued
        {A}  |                5
        {B}  |                1
    """)


def test_no_deltas_change_nothing(election):
    assert service.apply([], now=now()) == 0
    assert hourly_table() == []


@pytest.mark.django_db(transaction=True)
def test_deltas_are_refused_outside_a_transaction(election):
    place = Constituency.objects.get().pk

    with pytest.raises(NotInTransaction):
        service.apply([HourDelta(place, NINE, votes_cast=1)], now=now())

    assert hourly_table() == []


# Counting again -----------------------------------------------------------------------


@pytest.fixture
def two_hours(two_contracts, load):
    load(
        hour_file("09:00", issue("i1", "09:10"), vote("v1", "09:20")),
        hour_file("10:00", issue("i2", "10:10"), vote("v2", "10:20", key="k2")),
        hour_file("09:00", vote("v1", "09:30"), contract_id=B),
    )
    return hourly_table()


def test_an_hour_is_counted_again(two_hours):
    HourlyStats.objects.filter(constituency__name=A, hour=NINE).update(votes_cast=7)

    row = service.aggregate_hourly_stats(A, NINE, now=now())

    assert (row.votes_cast, row.bulletins_issued) == (1, 1)
    assert hourly_table() == two_hours


@pytest.mark.corrupts
def test_only_the_hour_asked_for_is_counted_again(two_hours):
    HourlyStats.objects.update(votes_cast=7)

    service.aggregate_hourly_stats(A, NINE, now=now())

    assert hourly_table() == parse_table(f"""
        constituency | hour  | bulletins_issued | votes_cast | transaction_count
        {A}          | 09:00 |                1 |          1 |                 2
        {A}          | 10:00 |                1 |          7 |                 2
        {B}          | 09:00 |                0 |          7 |                 1
    """)


def test_an_hour_without_anything_has_no_row(two_hours):
    assert (
        service.aggregate_hourly_stats(A, NINE - timedelta(hours=1), now=now()) is None
    )
    assert hourly_table() == two_hours


def test_a_missing_row_is_written_again(two_hours):
    HourlyStats.objects.filter(constituency__name=A, hour=NINE).delete()

    service.aggregate_hourly_stats(A, NINE, now=now())

    assert hourly_table() == two_hours


def test_an_unknown_constituency_is_said_so(election):
    with pytest.raises(UnknownConstituency, match="Constituency not found: nowhere"):
        service.aggregate_hourly_stats("nowhere", NINE, now=now())


def test_unknown_constituencies_do_not_keep_others_from_being_counted(two_hours):
    spoil(votes_cast=7)

    result = service.aggregate_hourly_stats_for_timerange(
        ["nowhere", A, B, A], None, None, now=now()
    )

    assert result.failed == {"nowhere": "Constituency not found: nowhere"}
    assert (result.hours_changed, result.constituencies_changed) == (3, 2)
    assert hourly_table() == two_hours


@pytest.mark.corrupts
def test_a_period_includes_its_start_and_not_its_end(two_hours):
    HourlyStats.objects.update(votes_cast=7)

    result = service.aggregate_hourly_stats_for_timerange([A], NINE, TEN, now=now())

    assert result.hours_changed == 1


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize("minutes", [1, 15, 30, 45])
def test_a_period_that_cuts_an_hour_spoils_nothing(election, load, minutes, zone):
    election.timezone = zone
    election.save()
    load(dump(*[vote(f"v{n}", f"09:{n:02}", key=f"k{n}") for n in range(60)]))
    before = hourly_table()

    start = NINE + timedelta(minutes=minutes)
    service.aggregate_hourly_stats_for_timerange(
        [A], start, start + timedelta(minutes=10), now=now()
    )
    service.aggregate_hourly_stats(A, start, now=now())

    assert hourly_table() == before


def test_an_election_is_counted_again(two_hours):
    spoil(votes_cast=7, bulletins_issued=0)

    result = service.aggregate_hourly_stats_for_election("duma", now=now())

    assert (result.hours_changed, result.constituencies_changed) == (3, 2)
    assert hourly_table() == two_hours


def test_an_election_that_nobody_knows_is_an_error(two_hours):
    with pytest.raises(UnknownElection, match="Election not found: nowhere"):
        service.aggregate_hourly_stats_for_election("nowhere", now=now())

    assert hourly_table() == two_hours


def test_counting_again_changes_no_version_where_nothing_differs(two_hours):
    before = hourly_table("version", "timestamp")

    service.aggregate_hourly_stats_for_election("duma", now=now())

    assert hourly_table("version", "timestamp") == before


def test_an_hour_that_is_rolled_back_is_counted_as_empty(election, load):
    line = vote("v1", "09:10")
    load(hour_file("09:00", line), hour_file("10:00", rollback_of(line)))
    spoil(votes_cast=1, transaction_count=1)

    service.aggregate_hourly_stats(A, NINE, now=now())

    assert hourly_table() == parse_table("""
        hour  | votes_cast
        09:00 |          0
    """)


# Zones --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("Asia/Kathmandu", ["2026-09-18T08:15Z", "2026-09-18T09:15Z"]),
        ("Asia/Kolkata", ["2026-09-18T08:30Z", "2026-09-18T09:30Z"]),
        ("Europe/Moscow", ["2026-09-18T09:00Z"]),
    ],
)
def test_hours_are_cut_in_the_zone_of_the_constituency(election, load, zone, hours):
    election.timezone = zone
    election.save()

    load(dump(vote("v1", "09:10"), vote("v2", "09:50", key="k2")))
    service.aggregate_hourly_stats_for_election("duma", now=now())

    found = HourlyStats.objects.order_by("hour").values_list("hour", flat=True)
    assert list(found) == [datetime.fromisoformat(hour) for hour in hours]


def test_the_hour_that_comes_twice_is_two_hours(election, load):
    """On 25 October 2026 Berlin's clocks go from 03:00 back to 02:00: 25 hours."""
    election.timezone = "Europe/Berlin"
    election.save()
    moments = [ms(f"2026-10-25T0{hour}:30Z") for hour in range(3)]

    load(
        dump(*[vote(f"v{n}", moment, key=f"k{n}") for n, moment in enumerate(moments)])
    )
    service.aggregate_hourly_stats_for_election("duma", now=now())

    found = HourlyStats.objects.order_by("hour").values_list("hour", "votes_cast")
    assert list(found) == [
        (datetime(2026, 10, 25, hour, tzinfo=UTC), 1) for hour in range(3)
    ]


def test_the_hour_that_never_comes_has_no_row(election, load):
    """On 29 March 2026 Berlin's clocks go from 02:00 to 03:00: 23 hours."""
    election.timezone = "Europe/Berlin"
    election.save()
    moments = [ms("2026-03-29T00:59:59Z"), ms("2026-03-29T01:00Z")]

    load(
        dump(*[vote(f"v{n}", moment, key=f"k{n}") for n, moment in enumerate(moments)])
    )
    service.aggregate_hourly_stats_for_election("duma", now=now())

    assert hourly_table(zone="Europe/Berlin") == parse_table("""
        hour        | votes_cast | transaction_count
        03-29 01:00 |          1 |                 1
        03-29 03:00 |          1 |                 1
    """)


def test_clocks_that_go_by_half_an_hour(election, load):
    """Lord Howe Island: on 5 April 2026 at 02:00 back to 01:30."""
    election.timezone = "Australia/Lord_Howe"
    election.save()
    start = ms("2026-04-04T13:30Z")
    moments = [start + step * 600_000 for step in range(18)]

    load(
        dump(*[vote(f"v{n}", moment, key=f"k{n}") for n, moment in enumerate(moments)])
    )
    result = service.aggregate_hourly_stats_for_election("duma", now=now())

    assert result.hours_changed == 0


# Rates --------------------------------------------------------------------------------


def test_a_list_on_the_ledger_rewrites_the_rates_of_all_hours(election, load):
    load(
        hour_file("09:00", vote("v1", "09:10")),
        hour_file("10:00", *[vote(f"w{n}", "10:10", key=f"w{n}") for n in range(3)]),
    )
    unknown = hourly_table("participation_rate")

    load(hour_file("11:00", register("r1", "08:00", add=8)))

    assert [row.get("participation_rate") for row in unknown] == [None, None]
    assert hourly_table("participation_rate") == parse_table("""
        hour  | votes_cast | transaction_count | participation_rate
        08:00 |          0 |                 1 | 0.0
        09:00 |          1 |                 1 | 12.5
        10:00 |          3 |                 3 | 37.5
    """)


def test_a_register_that_staff_state_rewrites_the_rates(election, load):
    load(hour_file("09:00", vote("v1", "09:10")))

    Constituency.objects.update(stated_registered_voters=4)

    assert hourly_table("participation_rate") == parse_table("""
        hour  | votes_cast | transaction_count | participation_rate
        09:00 |          1 |                 1 | 25.0
    """)


def test_a_rate_may_exceed_a_hundred(election, load):
    load(
        hour_file("09:00", *[vote(f"v{n}", key=f"k{n}") for n in range(3)]),
        hour_file("10:00", register("r1", "09:00", add=2)),
    )

    assert hourly_table("participation_rate")[0]["participation_rate"] == 150.0
    assert totals_table()[0]["participation_rate"] == 150.0


def test_a_register_of_nobody_gives_no_rate(election, load):
    load(
        hour_file("09:00", vote("v1"), register("r1", add=1)),
        hour_file("10:00", register("r2", "09:00", remove=1)),
    )

    assert "participation_rate" not in hourly_table("participation_rate")[0]
    assert totals_table() == parse_table("""
        votes_cast | transaction_count | registered_voters | participation_rate
                 1 |                 3 |                 0 | –
    """)


def test_deltas_of_many_hours_take_two_statements(
    election, load, django_assert_num_queries
):
    place = Constituency.objects.get().pk
    hours = [HourDelta(place, NINE + timedelta(hours=n)) for n in range(50)]

    with django_assert_num_queries(2):
        service.apply(hours, now=now())
    assert connection.in_atomic_block


def test_the_hours_of_a_vote_and_its_deltas_agree_to_the_millisecond(election, load):
    load(dump(vote("v1", at("09:00") - 1), vote("v2", at("09:00"), key="k2")))

    assert hourly_table() == parse_table("""
        hour  | votes_cast | transaction_count
        08:00 |          1 |                 1
        09:00 |          1 |                 1
    """)


# The command --------------------------------------------------------------------------


def recompute(*words):
    out = StringIO()
    call_command("recompute_metrics", *words, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_the_command_counts_everything_again(two_hours):
    spoil(votes_cast=7)

    assert recompute()["hours_changed"] == 3
    assert recompute()["hours_changed"] == 0
    assert hourly_table() == two_hours


def test_the_command_counts_one_constituency_in_a_period(two_hours):
    HourlyStats.objects.filter(constituency__name=A).update(votes_cast=7)

    first = recompute("--constituency", A, "--start", "2026-09-18T10:00Z")
    second = recompute("--election", "duma", "--end", "2026-09-18T13:00+03:00")

    assert (first["hours_changed"], second["hours_changed"]) == (1, 1)
    assert hourly_table() == two_hours


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--election", "nowhere"], "No election has the slug nowhere"),
        (["--constituency", "nowhere"], "Constituency not found: nowhere"),
        (["--constituency", A, "--election", "duma"], "not both"),
        (["--start", "yesterday"], "is no time"),
        (["--start", "2026-09-18T08:00"], "is no time"),
        (
            ["--start", "2026-09-18T08:00Z", "--end", "2026-09-18T08:00Z"],
            "before --end",
        ),
    ],
)
def test_the_command_says_what_is_wrong_with_its_words(two_hours, words, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command("recompute_metrics", *words, stdout=StringIO())

    assert hourly_table() == two_hours
