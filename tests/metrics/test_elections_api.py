"""The figures of elections over HTTP, of all their constituencies, and at a glance."""

import gzip
import random
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from elections.models import Constituency, Election
from metrics.models import ElectionMinute
from metrics.services import ElectionMetricsService, SeriesService
from tests.factories import make_constituency, make_election, make_region
from tests.metrics.test_constituency_metrics import HOUR, activity_of, open_between
from tests.tables import COUNTS, DAY
from tests.transactions.lines import A, B, dump, hour_file, issue, register, vote

pytestmark = pytest.mark.django_db

BASE = "/api/v1/metrics/"
NOON, NEXT_WEEK = DAY + 12 * HOUR, DAY + timedelta(days=7)


@pytest.fixture(autouse=True)
def public(settings):
    settings.API_PUBLIC_READ = True


@contextmanager
def clock_at(moment):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.utils.timezone.now", lambda: moment)
        yield


@pytest.fixture
def at_noon():
    with clock_at(NOON):
        yield


@pytest.fixture
def day(two_contracts, load):
    """The register of A is known, that of B is not, and a third never began."""
    make_constituency(election=two_contracts, contract_id="Silent", name="Silent")
    load(
        hour_file("09:00", register("r1", "09:00", add=10)),
        activity_of("09:00", issued=3, cast=2),
        activity_of("10:00", issued=2, cast=4),
        activity_of("10:00", issued=1, cast=1, contract_id=B),
        activity_of("11:00", issued=1, contract_id=B),
        activity_of("12:00", cast=9, contract_id=B),
    )
    return two_contracts


AS_OF = "2026-09-18T12:10:00Z"
WHO = {"slug": "duma", "name": "Выборы", "timezone": "UTC"}
REAL = {"as_of": AS_OF, "coverage": None, "is_simulated": False}


def clock(hour, minute=0):
    return f"2026-09-18T{hour:02}:{minute:02}:00Z"


# The election as a whole --------------------------------------------------------------


def test_the_figures_of_an_election(get, day):
    answer = get("elections/duma/")

    activity = answer.pop("hourly_activity")
    assert answer == {
        **WHO,
        **REAL,
        "bulletins_issued": 7,
        "votes_cast": 16,
        "revotes": 0,
        "transaction_count": 24,
        "failed_count": 0,
        "register_entries": 10,
        "register_constituency_count": 1,
        "constituency_count": 3,
        "version": 5,
        "active_constituency_count": 2,
        "silent_constituency_count": 0,
        # The votes of A only: those of B are by people nobody counted.
        "participation_rate": 60.0,
        "anomaly_count": 0,
        "abandonment_rate": -900 / 7,
        "completed_hours": 3,
        "missing_hours": 0,
        "average_votes_per_hour": 7 / 3,
        "average_bulletins_per_hour": 7 / 3,
        "peak_hour": clock(10),
        "peak_hour_votes": 5,
        "vote_velocity_trend": -1.0,
        "bulletin_velocity_trend": -1.0,
    }
    assert [row["votes_cast"] for row in activity[9:13]] == [2, 5, 0, 9]


def test_silent_feeds_are_counted_whatever_the_period(get, day, at_noon):
    open_between(9, 20, A, B)
    # The file of B of 12:00 came; the last one of A is that of 10:00.
    assert get("elections/duma/")["silent_constituency_count"] == 0

    open_between(8, 20, "Silent")

    answer = get("elections/duma/", start=clock(19))
    assert answer["silent_constituency_count"] == 1
    assert answer["active_constituency_count"] == 0


def test_an_election_without_anything(get):
    make_election(slug="nothing", is_simulated=True)

    answer = get("elections/nothing/")

    told = (answer["as_of"], answer["votes_cast"], answer["register_entries"])
    assert told == (None, 0, None)
    assert answer["participation_rate"] is None
    assert answer["is_simulated"] is True
    assert get("elections/nothing/periods/")["results"] == []
    assert get("elections/nothing/timeline/")["results"] == []
    assert get("live/nothing/windows/")["windows"] == []
    assert get("elections/nothing/table/")["data"]["votes_cast"] == []
    assert get("elections/nothing/constituencies/")["results"] == []


def test_periods_of_an_election(get, day):
    answer = get("elections/duma/periods/", period="hour", end=clock(11))

    results = answer.pop("results")
    assert answer == {**WHO, **REAL, "period": "hour"}
    assert [(row["start"], row["votes_cast"]) for row in results] == [
        (clock(9), 2),
        (clock(10), 5),
    ]


def test_the_pattern_of_an_election(get, day):
    answer = get("elections/duma/pattern/", start=clock(10))

    votes = {row["hour_of_day"]: row["votes_cast"] for row in answer["by_hour_of_day"]}
    assert votes == dict.fromkeys(range(24), 0) | {10: 5, 12: 9}
    weekdays = [row["votes_cast"] for row in answer["by_weekday"]]
    assert weekdays == [0, 0, 0, 0, 14, 0, 0]


# The flow -----------------------------------------------------------------------------


def test_a_timeline_in_hours(get, day):
    answer = get("elections/duma/timeline/", bucket="1h", start=clock(10))

    results = answer.pop("results")
    assert answer == {**WHO, **REAL, "bucket": "1h"}
    assert results[0] == {
        "start": clock(10),
        "end": clock(11),
        "complete": True,
        "bulletins_issued": 3,
        "votes_cast": 5,
        "revotes": 0,
        "transaction_count": 8,
        "failed_count": 0,
    }
    told = [(row["start"], row["votes_cast"], row["complete"]) for row in results]
    assert told == [(clock(10), 5, True), (clock(11), 0, True), (clock(12), 9, False)]


@pytest.mark.parametrize("bucket", ["1m", "5m", "15m", "1h", "1d"])
def test_every_bucket_has_the_same_votes(get, day, bucket):
    hours = [DAY + hour * HOUR for hour in range(9, 13)]
    SeriesService().rebuild(day.pk, hours, now=NEXT_WEEK)

    results = get("elections/duma/timeline/", bucket=bucket)["results"]

    assert sum(row["votes_cast"] for row in results) == 16


def test_a_timeline_is_in_five_minutes_unless_told(get, day):
    SeriesService().rebuild(day.pk, [DAY + 9 * HOUR], now=NEXT_WEEK)

    answer = get("elections/duma/timeline/")

    assert answer["bucket"] == "5m"
    told = [(row["start"], row["end"]) for row in answer["results"]]
    assert told == [(clock(9), clock(9, 5)), (clock(9, 10), clock(9, 15))]


def test_a_timeline_has_no_more_buckets_than_anybody_draws(get, day, monkeypatch):
    monkeypatch.setattr("metrics.api.flow.POINTS_AT_MOST", 3)

    assert get("elections/duma/timeline/", 400, bucket="1h") == {
        "bucket": ["These are more than 3 buckets. Ask for larger ones."],
        "code": "too_many_buckets",
    }


def test_the_last_minutes_on_the_ledgers_clock(get, day, at_noon):
    ElectionMinute.objects.create(
        election=day, minute=DAY + 11.5 * HOUR, bulletins_issued=6, votes_cast=3
    )

    answer = get("live/duma/windows/")

    windows = {row.pop("window"): row for row in answer.pop("windows")}
    # Now is earlier than what the ledger says.
    assert answer == {**WHO, **REAL, "now": clock(12)}
    assert list(windows) == ["5m", "15m", "1h"]
    starts = [row["start"] for row in windows.values()]
    assert starts == [clock(11, 56), clock(11, 46), clock(11, 1)]
    assert {row["end"] for row in windows.values()} == {clock(12, 1)}
    assert set(windows["1h"]) == {
        *COUNTS,
        "start",
        "end",
        "bulletin_velocity",
        "vote_velocity",
    }


# All constituencies -------------------------------------------------------------------


def contract_ids(answer):
    return [row["contract_id"] for row in answer["results"]]


def test_the_constituencies_of_an_election(get, day):
    make_constituency(contract_id="Elsewhere")

    answer = get("elections/duma/constituencies/", limit=2)

    [first, second] = answer.pop("results")
    assert answer == {
        "count": 3,
        "next": "/api/v1/metrics/elections/duma/constituencies/?limit=2&offset=2",
        "previous": None,
        **REAL,
    }
    place = Constituency.objects.get(contract_id=A)
    assert first == {
        "contract_id": A,
        "name": A,
        "election": "duma",
        "region": None,
        "district": "",
        "status": "active",
        "timezone": "UTC",
        "is_simulated": False,
        "registered_voters": 10,
        "bulletins_issued": 5,
        "votes_cast": 6,
        "revotes": 0,
        "transaction_count": 12,
        "failed_count": 0,
        "participation_rate": 60.0,
        "anomaly_count": 0,
        "anomaly_score": None,
        "last_transaction_at": clock(10, 10),
        "metrics_updated_at": None,
        "abandonment_rate": -20.0,
        "version": place.version,
    }
    assert second["contract_id"] == B


FIGURES = [
    *("contract_id", "name", "region", "status", "registered_voters", *COUNTS),
    *("participation_rate", "abandonment_rate", "anomaly_count", "anomaly_score"),
    *("last_transaction_at", "metrics_updated_at"),
]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("sign", ["", "-"])
def test_constituencies_sort_by_any_figure(get, day, name, sign):
    Constituency.objects.filter(contract_id=B).update(
        anomaly_count=2, anomaly_score=0.5, region=make_region(code="77")
    )

    rows = get("elections/duma/constituencies/", ordering=f"{sign}{name}")["results"]

    known = [row[name] for row in rows if row[name] is not None]
    assert known == sorted(known, reverse=bool(sign))
    # What has no value comes last.
    assert [row[name] for row in rows][: len(known)] == known


def test_equal_figures_are_ordered_by_contract_id(get, day):
    answer = get("elections/duma/constituencies/", ordering="-revotes")

    assert contract_ids(answer) == sorted([A, B, "Silent"])


def test_constituencies_can_be_chosen(get, day):
    Constituency.objects.filter(contract_id=B).update(
        status="offline", region=make_region(code="77")
    )
    path = "elections/duma/constituencies/"

    assert contract_ids(get(path, status="offline")) == [B]
    assert contract_ids(get(path, region="77")) == [B]
    assert contract_ids(get(path, search="silen")) == ["Silent"]


def test_the_abandonment_rate_is_that_of_the_services(get, election, load):
    load(activity_of("09:00", issued=7, cast=2))

    [row] = get("elections/duma/constituencies/")["results"]

    assert row["abandonment_rate"] == 500 / 7
    assert row["abandonment_rate"] == get(f"constituencies/{A}/")["abandonment_rate"]


# In one table -------------------------------------------------------------------------


def test_a_table_has_a_list_for_each_column(get, day):
    make_constituency(contract_id="Elsewhere")
    columns = "votes_cast,contract_id,last_transaction_at,abandonment_rate,version"

    answer = get("elections/duma/table/", columns=columns)

    version = dict(Constituency.objects.values_list("contract_id", "version"))
    assert answer == {
        **WHO,
        **REAL,
        "count": 3,
        "columns": columns.split(","),
        "data": {
            "votes_cast": [6, 10, 0],
            "contract_id": [A, B, "Silent"],
            "last_transaction_at": [clock(10, 10), clock(12, 10), None],
            "abandonment_rate": [-20.0, -400.0, None],
            "version": [version[A], version[B], version["Silent"]],
        },
    }


def test_a_table_says_what_the_list_says(get, day):
    table = get("elections/duma/table/")
    rows = get("elections/duma/constituencies/")["results"]

    assert "version" in table["columns"]
    for name in table["columns"]:
        assert table["data"][name] == [row[name] for row in rows]


@pytest.fixture
def large(db):
    """An election of 5,000 constituencies with ids and figures as real ones have."""
    chance = random.Random(1)
    election = make_election(slug="large")
    region = make_region(code="77")
    base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    Constituency.objects.bulk_create(
        Constituency(
            election=election,
            region=region,
            contract_id="".join(chance.choices(base58, k=44)),
            name=f"Одномандатный избирательный округ № {number}",
            district=f"{number}",
            stated_registered_voters=chance.randint(1_000, 6_000),
            bulletins_issued=chance.randint(0, 3_000),
            votes_cast=chance.randint(0, 3_000),
            revotes=chance.randint(0, 30),
            transaction_count=chance.randint(0, 6_000),
            failed_count=chance.randint(0, 5),
            anomaly_score=chance.random(),
            last_transaction_at=NOON
            - timedelta(milliseconds=chance.randint(0, 3_600_000)),
            version=chance.randint(1, 500),
        )
        for number in range(5_000)
    )
    return election


ALL_FIGURES = [
    *("registered_voters", *COUNTS, "participation_rate", "anomaly_count"),
    *("anomaly_score", "last_transaction_at", "status", "region", "version"),
]


@pytest.mark.corrupts
def test_five_thousand_constituencies_are_one_small_answer(client, large):
    def table(**parameters):
        return client.get(f"{BASE}elections/large/table/", parameters)

    figures = table(columns=",".join(ALL_FIGURES))
    with CaptureQueriesContext(connection) as queries:
        everything = table()

    assert figures.json()["count"] == everything.json()["count"] == 5_000
    assert small(figures.content) < 200_000
    # The ids alone take 170 kB: each is 32 bytes of chance, which nothing compresses.
    ids = orjson.dumps(everything.json()["data"]["contract_id"])
    assert small(everything.content) - small(ids) < 200_000
    # The election, all rows, the coverage.
    assert len(queries) == 3


def small(content):
    return len(gzip.compress(content, compresslevel=6))


# At a glance --------------------------------------------------------------------------


@pytest.fixture
def active(day):
    Election.objects.update(status_override="active")
    return day


def test_a_summary_tells_of_the_active_elections(get, active):
    make_election(slug="over", status_override="completed")
    make_election(slug="to-come", status_override="upcoming")

    answer = get("dashboard/summary/")

    assert answer == {
        **REAL,
        "elections": [
            {
                **WHO,
                **REAL,
                "starts_at": None,
                "ends_at": None,
                "bulletins_issued": 7,
                "votes_cast": 16,
                "revotes": 0,
                "transaction_count": 24,
                "failed_count": 0,
                "participation_rate": 60.0,
                "register_entries": 10,
                "register_constituency_count": 1,
                "constituency_count": 3,
                "version": 5,
                "active_constituency_count": 2,
                "silent_constituency_count": 0,
            }
        ],
    }


def test_a_glance_says_what_the_election_says(get, active):
    [glance] = get("dashboard/summary/")["elections"]
    election = get("elections/duma/")

    shared = glance.keys() & election.keys()
    assert len(shared) == 18
    assert {name: glance[name] for name in shared} == {
        name: election[name] for name in shared
    }


def test_without_an_active_election_there_is_nothing_to_see(get, db):
    nothing = {"as_of": None, "coverage": None, "is_simulated": False, "elections": []}

    assert get("dashboard/summary/") == nothing
    assert get("dashboard/detailed/") == {
        **nothing,
        "top_movers": [],
        "silent_feeds": [],
        "alerts": [],
    }


def test_a_simulated_election_marks_the_whole_answer(get, active):
    make_election(slug="trial", is_simulated=True, status_override="active")

    answer = get("dashboard/summary/")

    marks = {row["slug"]: row["is_simulated"] for row in answer["elections"]}
    assert marks == {"duma": False, "trial": True}
    assert answer["is_simulated"] is True


def test_top_movers_have_most_votes_in_the_last_completed_hour(get, active, load):
    # As of 12:10 that is the hour of 11:00; nothing was cast in it yet.
    assert get("dashboard/detailed/")["top_movers"] == []

    load(
        hour_file("11:00", vote("m1", "11:30", key="m1")),
        hour_file("11:00", vote("m2", "11:31", key="m2"), contract_id=B),
        hour_file("11:00", vote("m3", "11:32", key="m3"), contract_id=B),
    )

    movers = get("dashboard/detailed/")["top_movers"]
    assert movers == [
        {
            "election": "duma",
            "contract_id": B,
            "name": B,
            "hour": clock(11),
            "bulletins_issued": 1,
            "votes_cast": 2,
            "participation_rate": None,
        },
        {
            "election": "duma",
            "contract_id": A,
            "name": A,
            "hour": clock(11),
            "bulletins_issued": 0,
            "votes_cast": 1,
            "participation_rate": 10.0,
        },
    ]


def test_a_time_stamp_of_tomorrow_does_not_end_the_hour(get, active, load, at_noon):
    load(dump(vote("tomorrow", "23:59", key="t")))

    # At noon that is the hour of 11:00 whatever the ledger says; see the one before.
    load(hour_file("11:00", vote("m1", "11:30", key="m1")))
    assert [row["hour"] for row in get("dashboard/detailed/")["top_movers"]] == [
        clock(11)
    ]


def test_an_hour_that_begins_at_half_past_is_completed_half_an_hour_later(
    get, two_contracts, load
):
    Election.objects.update(status_override="active")
    Constituency.objects.filter(contract_id=B).update(
        region=make_region(timezone="Asia/Kolkata")
    )
    # 10:30 to 11:30 and 11:30 to 12:30; as of 12:10 the former is the last completed one.
    load(
        hour_file("12:00", issue("i", "12:10")),
        dump(
            *(vote(f"e{n}", "11:10", key=f"e{n}") for n in range(3)),
            *(vote(f"f{n}", "11:40", key=f"f{n}") for n in range(5)),
            contract_id=B,
        ),
    )

    [mover] = get("dashboard/detailed/")["top_movers"]

    assert (mover["hour"], mover["votes_cast"]) == (clock(10, 30), 3)


def test_silent_feeds_are_listed_the_longest_silent_first(get, active):
    open_between(8, 20, "Silent")
    open_between(9, 20, A, B)
    with clock_at(DAY + 14 * HOUR):
        silent = get("dashboard/detailed/")["silent_feeds"]

    # The last file of A is that of 10:00; that of B of 12:00 ended at 13:00.
    assert silent == [
        {
            "election": "duma",
            "contract_id": "Silent",
            "status": "active",
            "silent_since": clock(8),
        },
        {
            "election": "duma",
            "contract_id": A,
            "status": "active",
            "silent_since": clock(11),
        },
    ]


# What is refused, and what it costs ---------------------------------------------------

OF_ELECTION = ["", "periods/", "pattern/", "timeline/", "table/", "constituencies/"]
LATER = {"start": clock(9), "end": clock(8)}


@pytest.mark.parametrize(
    "path", [*(f"elections/X/{part}" for part in OF_ELECTION), "live/X/windows/"]
)
def test_an_unknown_election_is_not_found(get, path):
    make_election(slug="Y")

    assert get(path, 404)["code"] == "not_found"


@pytest.mark.parametrize(
    ("path", "parameters", "name", "code"),
    [
        ("elections/duma/", {"start": "9"}, "start", "invalid"),
        ("elections/duma/", LATER, "end", "period_empty"),
        ("elections/duma/", {"x": "9"}, "x", "unknown_parameter"),
        ("elections/duma/periods/", {"period": "min"}, "period", "invalid_choice"),
        ("elections/duma/pattern/", {"end": "2026"}, "end", "invalid"),
        ("elections/duma/timeline/", {"bucket": "2m"}, "bucket", "invalid_choice"),
        ("elections/duma/timeline/", LATER, "end", "period_empty"),
        ("elections/duma/table/", {"columns": "id"}, "columns", "invalid_choice"),
        ("elections/duma/table/", {"columns": "name,"}, "columns", "invalid_choice"),
        # Messages are formatted.
        ("elections/duma/table/", {"columns": "%s"}, "columns", "invalid_choice"),
        ("elections/duma/table/", {"columns": "name,name"}, "columns", "repeated"),
        ("elections/duma/table/", {"start": clock(9)}, "start", "unknown_parameter"),
        (
            "elections/duma/constituencies/",
            {"ordering": "version"},
            "ordering",
            "invalid_choice",
        ),
        ("elections/duma/constituencies/", {"limit": "0"}, "limit", "out_of_range"),
        ("elections/duma/constituencies/", {"region": "0"}, "region", "invalid_choice"),
        ("elections/duma/constituencies/", {"status": "0"}, "status", "invalid_choice"),
        (
            "elections/duma/constituencies/",
            {"election": "duma"},
            "election",
            "unknown_parameter",
        ),
        ("live/duma/windows/", {"window": "5m"}, "window", "unknown_parameter"),
        ("dashboard/summary/", {"limit": "5"}, "limit", "unknown_parameter"),
        ("dashboard/detailed/", {"election": "a"}, "election", "unknown_parameter"),
    ],
)
def test_a_bad_parameter_is_named(get, election, path, parameters, name, code):
    answer = get(path, 400, **parameters)

    assert list(answer) == [name, "code"]
    assert answer["code"] == code


@pytest.mark.parametrize(
    "path", ["elections/duma/", "live/duma/windows/", "dashboard/summary/"]
)
def test_without_public_reading_one_has_to_sign_in(get, election, settings, path):
    settings.API_PUBLIC_READ = False

    assert get(path, 401)["code"] == "not_authenticated"


COSTS = {
    # Windows of the files, labels, silent hours (3); the election; sums, active ones,
    # silent feeds, coverage.
    "elections/duma/": 9,
    "elections/duma/periods/?period=hour": 7,
    "elections/duma/pattern/": 7,
    # The election, its clock, the buckets, the coverage.
    "elections/duma/timeline/?bucket=1h": 4,
    "live/duma/windows/": 4,
    # The election, the rows, the coverage; and the number of rows, the clock.
    "elections/duma/table/": 3,
    "elections/duma/constituencies/": 5,
    # Elections, coverage, active ones, silent feeds; and movers.
    "dashboard/summary/": 4,
    "dashboard/detailed/": 6,
}


@pytest.mark.parametrize("path", COSTS)
def test_the_number_of_queries_is_fixed(
    get, active, load, path, django_assert_num_queries
):
    open_between(9, 20, A)
    with django_assert_num_queries(COSTS[path]):
        get(path)

    open_between(9, 20, A, B)
    load(
        *(activity_of(f"{hour}:00", cast=1, contract_id=A) for hour in range(13, 18)),
        hour_file("13:00", issue("more", "13:10"), contract_id=B),
    )
    for _ in range(5):
        make_constituency(election=active)
        make_election(status_override="active")
    with django_assert_num_queries(COSTS[path]):
        get(path)


def test_answers_are_of_the_moment_of_the_services(get, day):
    metrics = ElectionMetricsService().total_metrics(day)

    assert get("elections/duma/")["as_of"] == AS_OF
    assert metrics.as_of == DAY + timedelta(hours=12, minutes=10)


def test_timelines_are_ordered(get, day):
    rows = get("elections/duma/timeline/", bucket="1h")["results"]

    assert all(one["start"] < other["start"] for one, other in pairwise(rows))
