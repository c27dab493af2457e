"""What an election did in buckets of time, and what happened in the last minutes."""

from datetime import UTC, datetime, timedelta

import pytest

from elections.models import Constituency, Election, Region
from metrics.models import MinuteStats
from metrics.realtime_queries import UnknownBucket, election_series, windows
from metrics.services.series import SeriesService
from tests.tables import COUNTS, DAY
from tests.transactions.conftest import register_contracts
from tests.transactions.lines import (
    A,
    B,
    contract,
    dump,
    fail,
    hour_file,
    issue,
    rollback_of,
    vote,
)

pytestmark = pytest.mark.django_db

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NOON = DAY + 12 * HOUR


@pytest.fixture
def load_at(load):
    return lambda *files, now=NOON: load(*files, clock=lambda: now)


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def count_minutes(election, now=NOON):
    hours = election.hourly_stats.values_list("hour", flat=True)
    SeriesService().rebuild(election.pk, list(hours), now=now)


# Series -------------------------------------------------------------------------------


def points(election, bucket, **period):
    found = election_series(election, bucket=bucket, **period)
    return [
        (f"{p.start:%H:%M}", f"{p.end:%H:%M}", p.votes_cast, p.is_complete)
        for p in found.points
    ]


@pytest.fixture
def morning(two_contracts, load_at):
    times = ["09:00", "09:04:59", "09:05", "09:14", "09:15", "10:00", "10:00:30"]
    load_at(dump(*[vote(f"v{n}", t, key=f"k{n}") for n, t in enumerate(times)]))
    load_at(dump(vote("w1", "09:00:10"), contract_id=B))
    count_minutes(two_contracts)
    return two_contracts


@pytest.mark.parametrize(
    ("bucket", "expected"),
    [
        (
            "1m",
            [
                ("09:00", "09:01", 2, True),
                ("09:04", "09:05", 1, True),
                ("09:05", "09:06", 1, True),
                ("09:14", "09:15", 1, True),
                ("09:15", "09:16", 1, True),
                ("10:00", "10:01", 2, False),
            ],
        ),
        (
            "5m",
            [
                ("09:00", "09:05", 3, True),
                ("09:05", "09:10", 1, True),
                ("09:10", "09:15", 1, True),
                ("09:15", "09:20", 1, True),
                ("10:00", "10:05", 2, False),
            ],
        ),
        (
            "15m",
            [
                ("09:00", "09:15", 5, True),
                ("09:15", "09:30", 1, True),
                ("10:00", "10:15", 2, False),
            ],
        ),
        ("1h", [("09:00", "10:00", 6, True), ("10:00", "11:00", 2, False)]),
        ("1d", [("00:00", "00:00", 8, False)]),
    ],
)
def test_the_flow_of_an_election_in_buckets(morning, bucket, expected):
    assert points(morning, bucket) == expected
    found = election_series(morning, bucket=bucket)
    assert (found.bucket, found.as_of) == (bucket, DAY + 10 * HOUR + MINUTE / 2)


@pytest.mark.parametrize("bucket", ["5m", "15m", "1h"])
def test_buckets_have_to_begin_in_the_period_and_are_whole(morning, bucket):
    every = points(morning, bucket)

    def between(start, end):
        return points(morning, bucket, start=DAY + start, end=DAY + end)

    assert between(9 * HOUR, 10 * HOUR) == every[:-1]
    assert between(9 * HOUR + MINUTE, 10 * HOUR + MINUTE) == every[1:]
    assert between(8 * HOUR, 9 * HOUR) == []


@pytest.mark.parametrize("bucket", ["5m", "1h"])
def test_a_series_shows_all_counts(two_contracts, load_at, bucket):
    load_at(
        dump(
            issue("i1", "09:00", to="u1 u2 u3"),
            vote("v1", "09:01", key="k1"),
            vote("v2", "09:02", key="k1"),
            vote("v3", "09:02", key="k3"),
            fail(vote("v4", "09:03", key="k4")),
        )
    )
    count_minutes(two_contracts)

    [point] = election_series(two_contracts, bucket=bucket).points

    assert [getattr(point, name) for name in COUNTS] == [3, 2, 1, 5, 1]


def test_days_are_cut_in_the_elections_zone(election, load_at):
    election.timezone = "Asia/Kamchatka"
    election.save()
    load_at(dump(vote("v1", "11:59"), vote("v2", "12:00", key="k2")))

    # Midnight in Kamchatka is noon in UTC.
    assert points(election, "1d") == [
        ("12:00", "12:00", 1, True),
        ("12:00", "12:00", 1, False),
    ]


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-10-25", 25), ("2026-03-29", 23), ("2026-09-18", 24)]
)
def test_the_day_the_clocks_change_is_one_day(election, load_at, day, hours):
    election.timezone = "Europe/Berlin"
    election.save()
    start = datetime.fromisoformat(f"{day}T00:00+0{1 if hours == 23 else 2}:00")
    lines = [
        vote(f"v{n}", round((start + n * HOUR).timestamp() * 1000), key=f"k{n}")
        for n in range(-1, 26)
    ]
    load_at(dump(*lines))

    days = election_series(election, bucket="1d", start=start).points

    assert (days[0].start, days[0].end) == (start, start + hours * HOUR)
    assert days[0].votes_cast == hours
    assert len(election_series(election, bucket="1h").points) == 27


def test_an_hour_that_was_rolled_back_has_no_bucket(election, load_at):
    load_at(hour_file("09:00", vote("v1")))
    load_at(hour_file("10:00", rollback_of(vote("v1"))))
    count_minutes(election)

    for bucket in ("1m", "1h", "1d"):
        assert points(election, bucket) == []


def test_an_unknown_bucket_is_refused_with_those_that_are_known(election):
    with pytest.raises(UnknownBucket, match="Known: 1m, 5m, 15m, 1h, 1d"):
        election_series(election, bucket="2m")


def test_nothing_loaded_is_an_empty_series(election):
    for bucket in ("1m", "1h"):
        found = election_series(election, bucket=bucket)
        assert (found.points, found.as_of) == ((), None)


# Windows ------------------------------------------------------------------------------


@pytest.fixture
def busy(two_contracts, load_at):
    """Load votes of A at 09:00, 09:45, 09:55, 09:59:30; issues of B at 09:50."""
    times = ["09:00", "09:45", "09:55", "09:59:30"]
    load_at(dump(*[vote(f"v{n}", t, key=f"k{n}") for n, t in enumerate(times)]))
    load_at(dump(issue("i1", "09:50", to="u1 u2"), contract_id=B))
    return two_contracts


def place(name):
    return Constituency.objects.get(name=name)


def shown(found):
    return [
        (
            window.name,
            f"{window.start:%H:%M}-{window.end:%H:%M}",
            window.bulletins_issued,
            window.votes_cast,
        )
        for window in found.windows
    ]


def test_windows_end_at_the_newest_ledger_time(busy):
    found = windows(busy, now=NOON)

    assert (found.now, found.as_of) == (NOON, DAY + 10 * HOUR - MINUTE / 2)
    assert shown(found) == [
        ("5m", "09:55-10:00", 0, 2),
        ("15m", "09:45-10:00", 2, 3),
        ("1h", "09:00-10:00", 2, 4),
    ]


def test_windows_of_constituencies_end_with_their_election(busy):
    assert shown(windows(place(A), now=NOON)) == [
        ("5m", "09:55-10:00", 0, 2),
        ("15m", "09:45-10:00", 0, 3),
        ("1h", "09:00-10:00", 0, 4),
    ]
    assert shown(windows(place(B), now=NOON)) == [
        ("5m", "09:55-10:00", 0, 0),
        ("15m", "09:45-10:00", 2, 0),
        ("1h", "09:00-10:00", 2, 0),
    ]


def test_windows_end_now_where_time_stamps_run_ahead(busy):
    found = windows(busy, now=DAY + 9 * HOUR + 50 * MINUTE)

    # The minute of ten to ten is running.
    assert shown(found)[0] == ("5m", "09:46-09:51", 2, 0)
    assert shown(found)[1] == ("15m", "09:36-09:51", 2, 1)


def test_velocities_are_per_hour_of_what_has_elapsed(busy):
    five, fifteen, hour = windows(busy, now=NOON).windows

    # Half a minute of each window is still to come.
    assert five.vote_velocity == pytest.approx(2 / (4.5 / 60))
    assert fifteen.bulletin_velocity == pytest.approx(2 / (14.5 / 60))
    assert hour.vote_velocity == pytest.approx(4 / (59.5 / 60))
    assert five.bulletin_velocity == 0


def test_windows_show_all_counts(two_contracts, load_at):
    load_at(
        dump(
            issue("i1", "09:00", to="u1 u2 u3"),
            vote("v1", "09:01", key="k1"),
            vote("v2", "09:02", key="k1"),
            vote("v3", "09:02", key="k3"),
            fail(vote("v4", "09:03", key="k4")),
        )
    )

    for window in windows(two_contracts, now=NOON).windows:
        assert [getattr(window, name) for name in COUNTS] == [3, 2, 1, 5, 1]


def test_windows_of_an_election_are_exact_without_the_worker(busy, load_at):
    load_at(hour_file("10:00", rollback_of(vote("v3", "09:59:30", key="k3"))))

    assert shown(windows(busy, now=NOON))[0] == ("5m", "09:55-10:00", 0, 1)


def test_beyond_the_retention_a_constituency_is_unknown_not_quiet(busy, settings):
    settings.MINUTE_RETENTION_HOURS = 2

    # Minutes are kept from 09:46 on.
    now = DAY + 11 * HOUR + 45 * MINUTE
    five, fifteen, hour = windows(place(A), now=now).windows

    assert five.votes_cast == 2
    for unknown in (fifteen, hour):
        assert unknown.end == DAY + 10 * HOUR
        assert [getattr(unknown, name) for name in COUNTS] == [None] * 5
        assert (unknown.vote_velocity, unknown.bulletin_velocity) == (None, None)


def test_beyond_the_retention_an_election_has_the_workers_minutes(busy):
    later = NOON + timedelta(days=30)
    expected = shown(windows(busy, now=NOON))
    count_minutes(busy, now=later)
    MinuteStats.objects.all().delete()

    assert shown(windows(busy, now=later)) == expected
    assert [row[2:] for row in shown(windows(place(A), now=later))] == [
        (None, None)
    ] * 3


def test_a_window_whose_hour_file_did_not_come_is_unknown(busy, load_at):
    load_at(hour_file("08:00", vote("w1", "08:59", key="w1"), contract_id=B))
    load_at(dump(vote("v9", "11:00", key="k9")))

    found = windows(place(B), now=NOON)

    assert found.fed_until == DAY + 9 * HOUR
    # An hour back from eleven reaches no file and no row of B.
    assert [row[2:] for row in shown(found)] == [(None, None)] * 3


def test_a_window_that_a_file_reaches_is_shown(busy, load_at):
    load_at(hour_file("09:00", contract_id=B))
    load_at(dump(vote("v9", "10:30", key="k9")))

    five, fifteen, hour = shown(windows(place(B), now=NOON))

    assert (five[2], fifteen[2]) == (None, None)
    assert hour == ("1h", "09:31-10:31", 2, 0)


def test_rows_that_came_another_way_are_shown_without_their_file(busy, load_at):
    load_at(hour_file("08:00", contract_id=B))

    # A dump brought B's issues of ten to ten.
    assert shown(windows(place(B), now=NOON))[1] == ("15m", "09:45-10:00", 2, 0)


def test_nothing_loaded_has_no_windows(election):
    for whose in (election, Constituency.objects.get()):
        found = windows(whose, now=NOON)
        assert (found.as_of, found.windows) == (None, ())


def test_other_elections_are_not_counted(busy, load_at):
    other = Election.objects.create(slug="other", name="Other", timezone="UTC")
    register_contracts(other, contract(3))
    load_at(dump(vote("v9", "09:58"), contract_id=contract(3)))

    assert shown(windows(other, now=NOON))[0] == ("5m", "09:54-09:59", 0, 1)
    assert shown(windows(busy, now=NOON))[0] == ("5m", "09:55-10:00", 0, 2)


@pytest.mark.corrupts
def test_zones_do_not_move_windows(busy):
    region = Region.objects.create(code="1", name="1", timezone="Asia/Kathmandu")
    Constituency.objects.update(region=region)
    Election.objects.update(timezone="Asia/Kathmandu")

    found = windows(Election.objects.get(), now=NOON)

    assert found.windows[2].start == datetime(2026, 9, 18, 9, tzinfo=UTC)


@pytest.mark.parametrize(("whose", "queries"), [("election", 2), ("constituency", 3)])
def test_the_number_of_queries_is_fixed(
    busy, django_assert_num_queries, whose, queries
):
    chosen = busy if whose == "election" else place(A)

    with django_assert_num_queries(queries):
        windows(chosen, now=NOON)
