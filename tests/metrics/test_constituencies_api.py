"""The figures of constituencies over HTTP: shape, parameters, cost."""

from datetime import timedelta

import pytest

from elections.models import Constituency, Election
from metrics.services import ConstituencyMetricsService
from tests.factories import make_constituency, make_election, make_region
from tests.metrics.test_constituency_metrics import (
    HOUR,
    activity_of,
    constituency,
    ms,
    open_between,
)
from tests.tables import DAY
from tests.transactions.lines import A, B, dump, fail, hour_file, issue, register, vote

pytestmark = pytest.mark.django_db

BASE = "/api/v1/metrics/constituencies/"


@pytest.fixture(autouse=True)
def public(settings):
    settings.API_PUBLIC_READ = True


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


AS_OF = "2026-09-18T12:50:00Z"
WHO = {"contract_id": A, "election": "duma", "name": A, "timezone": "UTC"}
REAL = {"as_of": AS_OF, "coverage": None, "is_simulated": False}


def clock(hour):
    return f"2026-09-18T{hour:02}:00:00Z"


# Totals -------------------------------------------------------------------------------


def test_the_figures_of_a_constituency(get, day):
    answer = get(f"{A}/")

    activity = answer.pop("hourly_activity")
    assert answer == {
        **WHO,
        **REAL,
        "bulletins_issued": 6,
        "votes_cast": 7,
        "revotes": 1,
        "transaction_count": 16,
        "failed_count": 1,
        "registered_voters": 10,
        "participation_rate": 70.0,
        "anomaly_count": 0,
        "anomaly_score": None,
        "abandonment_rate": -100 / 6,
        "average_votes_per_hour": 2.0,
        "average_bulletins_per_hour": 5 / 3,
        "peak_hour": clock(10),
        "peak_hour_votes": 4,
        "vote_velocity_trend": -1.0,
        "bulletin_velocity_trend": -1.5,
        "completed_hours": 3,
        "missing_hours": 0,
        "version": day.version,
    }
    assert [row["hour_of_day"] for row in activity] == list(range(24))
    assert activity[10] == {
        "hour_of_day": 10,
        "bulletins_issued": 2,
        "votes_cast": 4,
        "transaction_count": 6,
        "completed_hours": 1,
        "average_bulletins_per_hour": 2.0,
        "average_votes_per_hour": 4.0,
    }


def test_a_period_includes_its_start_and_not_its_end(get, day):
    answer = get(f"{A}/", start=clock(10), end=clock(12))

    assert (answer["votes_cast"], answer["completed_hours"]) == (4, 2)
    assert answer["participation_rate"] == 40.0


def test_what_is_unknown_is_null_and_what_did_not_happen_is_zero(get, election):
    answer = get(f"{A}/")

    nulls = {name for name, figure in answer.items() if figure is None}
    assert nulls == {
        "as_of",
        "coverage",
        "participation_rate",
        "abandonment_rate",
        "average_votes_per_hour",
        "average_bulletins_per_hour",
        "peak_hour",
        "peak_hour_votes",
        "vote_velocity_trend",
        "bulletin_velocity_trend",
        "registered_voters",
        "anomaly_score",
    }
    assert (answer["votes_cast"], answer["completed_hours"]) == (0, 0)


def test_below_three_completed_hours_there_is_no_trend(get, day):
    answer = get(f"{A}/", start=clock(10))

    assert answer["completed_hours"] == 2
    assert answer["average_votes_per_hour"] == 2.0
    assert answer["vote_velocity_trend"] is None


def test_a_simulated_election_says_so(get, day):
    Election.objects.update(is_simulated=True)

    for path in (f"{A}/", f"{A}/periods/", f"{A}/pattern/"):
        assert get(path)["is_simulated"] is True


def test_coverage_stands_beside_the_figures(get, day):
    open_between(9, 20)

    for path in (f"{A}/", f"{A}/periods/", f"{A}/pattern/"):
        assert get(path)["coverage"] == {"received": 2, "expected": 3}
    assert get(f"{A}/")["missing_hours"] == 1


# Periods ------------------------------------------------------------------------------


def test_periods_are_hours(get, day):
    answer = get(f"{A}/periods/", period="hour", start=clock(10))

    results = answer.pop("results")
    assert answer == {**WHO, **REAL, "period": "hour"}
    assert results[0] == {
        "start": clock(10),
        "end": clock(11),
        "bulletins_issued": 2,
        "votes_cast": 4,
        "revotes": 0,
        "transaction_count": 6,
        "failed_count": 0,
        "participation_rate": 40.0,
        "cumulative_participation_rate": 60.0,
        "complete": True,
    }
    told = [(row["start"], row["votes_cast"], row["complete"]) for row in results]
    assert told == [(clock(10), 4, True), (clock(11), 0, True), (clock(12), 1, False)]


def test_a_gap_is_null_and_no_zero(get, day):
    open_between(9, 20)

    [gap] = get(f"{A}/periods/", period="hour", start=clock(11), end=clock(12))[
        "results"
    ]

    assert (gap["votes_cast"], gap["bulletins_issued"]) == (None, None)
    assert (gap["participation_rate"], gap["complete"]) == (None, False)


def test_days_are_those_of_the_constituency(get, day):
    Constituency.objects.update(region=make_region(timezone="Asia/Vladivostok"))

    answer = get(f"{A}/periods/")

    assert (answer["period"], answer["timezone"]) == ("day", "Asia/Vladivostok")
    assert [row["start"] for row in answer["results"]] == ["2026-09-17T14:00:00Z"]


@pytest.mark.parametrize("period", ["hour", "day", "week", "month"])
def test_every_period_has_the_same_votes(get, day, period):
    results = get(f"{A}/periods/", period=period)["results"]

    assert sum(row["votes_cast"] for row in results) == 7


def test_nothing_loaded_has_no_periods(get, election):
    answer = get(f"{A}/periods/")

    assert (answer["as_of"], answer["results"]) == (None, [])


# Pattern ------------------------------------------------------------------------------


def test_a_pattern_has_all_hours_and_all_weekdays(get, day):
    answer = get(f"{A}/pattern/")

    hours, weekdays = answer.pop("by_hour_of_day"), answer.pop("by_weekday")
    assert answer == {**WHO, **REAL}
    votes = {row["hour_of_day"]: row["votes_cast"] for row in hours}
    assert votes == dict.fromkeys(range(24), 0) | {9: 2, 10: 4, 12: 1}
    # 18 September 2026 is a Friday.
    votes = {row["weekday"]: row["votes_cast"] for row in weekdays}
    assert votes == dict.fromkeys(range(1, 8), 0) | {5: 7}


# Side by side -------------------------------------------------------------------------


@pytest.fixture
def pair(two_contracts, load):
    load(
        activity_of("09:00", issued=3, cast=2),
        activity_of("09:00", issued=4, cast=1, contract_id=B),
    )


def test_constituencies_are_compared_in_the_order_asked(get, pair):
    answer = get("compare/", ids=f"{B},{A}")

    assert answer["results"] == [get(f"{B}/"), get(f"{A}/")]
    assert [row["votes_cast"] for row in answer["results"]] == [1, 2]
    assert answer["as_of"] == "2026-09-18T09:10:00Z"


def test_a_comparison_covers_all_of_them(get, pair):
    open_between(8, 20, A)
    Constituency.objects.filter(contract_id=B).update(
        election=make_election(is_simulated=True)
    )
    b_open = {"issue_opens_at": DAY + 8 * HOUR, "voting_closes_at": DAY + 20 * HOUR}
    Constituency.objects.filter(contract_id=B).update(**b_open)

    answer = get("compare/", ids=f"{A},{B}")

    # Files in the names' zone: B's new election reads them on the clock of Moscow.
    apart = [row["coverage"] for row in answer["results"]]
    assert answer["coverage"] == {
        name: sum(part[name] for part in apart) for name in ("received", "expected")
    }
    assert [row["is_simulated"] for row in answer["results"]] == [False, True]
    assert answer["is_simulated"] is True


def test_a_comparison_can_be_of_a_period(get, pair):
    answer = get("compare/", ids=f"{A},{B}", start=clock(10))

    assert [row["votes_cast"] for row in answer["results"]] == [0, 0]


def test_unknown_ones_are_named(get, pair):
    assert get("compare/", 400, ids=f"X,{A},Y") == {
        "ids": ["No constituency has the contract id X, Y."],
        "code": "unknown_constituency",
    }


# What is refused ----------------------------------------------------------------------

INSTANT = "Use ISO 8601, such as 2026-09-18T08:00:00+03:00."
LATER = {"start": clock(9), "end": clock(9)}


@pytest.mark.parametrize("path", ["X/", "X/periods/", "X/pattern/"])
def test_an_unknown_constituency_is_not_found(get, election, path):
    assert get(path, 404)["code"] == "not_found"


@pytest.mark.parametrize(
    ("path", "parameters", "name", "code"),
    [
        ("{}/", {"start": "yesterday"}, "start", "invalid"),
        ("{}/", {"start": "2026-09-18T09:00:00"}, "start", "offset_missing"),
        ("{}/", LATER, "end", "period_empty"),
        ("{}/", {"period": "day"}, "period", "unknown_parameter"),
        ("{}/", {"limit": "5"}, "limit", "unknown_parameter"),
        ("{}/", {"format": "csv"}, "format", "invalid_choice"),
        ("{}/", {"start": [clock(9), clock(10)]}, "start", "repeated"),
        ("{}/", {"start": "\0"}, "start", "null_characters_not_allowed"),
        ("{}/", {"start": "9" * 501}, "start", "max_length"),
        ("{}/periods/", {"period": "year"}, "period", "invalid_choice"),
        ("{}/periods/", {"period": "total"}, "period", "invalid_choice"),
        ("{}/periods/", {"period": "day " * 200}, "period", "max_length"),
        ("{}/periods/", LATER, "end", "period_empty"),
        (
            "{}/periods/",
            {"start": "2000-01-01T00:00:00Z", "period": "hour"},
            "start",
            "too_many_hours",
        ),
        ("{}/pattern/", {"period": "day"}, "period", "unknown_parameter"),
        ("{}/pattern/", LATER, "end", "period_empty"),
        ("compare/", {}, "ids", "required"),
        ("compare/", {"ids": ""}, "ids", "required"),
        ("compare/", {"ids": "{},{}"}, "ids", "repeated"),
        ("compare/", {"ids": "{},"}, "ids", "unknown_constituency"),
        ("compare/", {"ids": ["{}", "{}"]}, "ids", "repeated"),
        ("compare/", {"ids": ",".join(map(str, range(101)))}, "ids", "too_many"),
        ("compare/", {"ids": "9" * 4_001}, "ids", "max_length"),
        ("compare/", {"ids": "{}", "start": "9"}, "start", "invalid"),
    ],
)
def test_a_bad_parameter_is_named(get, day, path, parameters, name, code):
    stated = {
        key: value.replace("{}", A)
        if isinstance(value, str)
        else [each.replace("{}", A) for each in value]
        for key, value in parameters.items()
    }

    answer = get(path.format(A), 400, **stated)

    assert list(answer) == [name, "code"]
    assert answer["code"] == code


def test_a_hundred_real_ids_fit_into_one_address(get, election):
    ids = [f"{number:044}" for number in range(80)]
    for contract_id in ids:
        make_constituency(contract_id=contract_id, election=election)

    answer = get("compare/", ids=",".join(ids))

    assert [row["contract_id"] for row in answer["results"]] == ids


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z"])
def test_the_ends_of_time_are_times(get, day, end):
    answer = get(f"{A}/periods/", end=end)

    assert [row["votes_cast"] for row in answer["results"]] in ([7], [])


def test_without_public_reading_one_has_to_sign_in(get, day, settings):
    settings.API_PUBLIC_READ = False

    for path in (f"{A}/", f"{A}/periods/", f"{A}/pattern/", f"compare/?ids={A}"):
        assert get(path, 401)["code"] == "not_authenticated"


def test_figures_are_read_only(client, day):
    assert client.post(f"{BASE}{A}/").status_code == 405


# What it costs ------------------------------------------------------------------------


# The constituency, the coverage of what is fed by files, the labels that came, the sums.
@pytest.mark.parametrize(
    "path", ["{}/", "{}/periods/?period=hour", "{}/pattern/", "compare/?ids={}"]
)
def test_the_number_of_queries_is_fixed(
    get, load, day, django_assert_num_queries, path
):
    open_between(9, 20)
    with django_assert_num_queries(4):
        get(path.format(A))

    load(*(activity_of(f"{hour}:00", cast=1) for hour in range(13, 20)))
    with django_assert_num_queries(4):
        get(path.format(A))


def test_comparing_many_costs_as_many_queries_as_one(
    get, election, django_assert_num_queries
):
    ids = [make_constituency(election=election).contract_id for _ in range(20)]

    # Without hour files nobody asks for labels.
    with django_assert_num_queries(3):
        get("compare/", ids=",".join(ids))


def test_the_answer_is_what_the_service_says(get, day):
    metrics = ConstituencyMetricsService().total_metrics(day)

    answer = get(f"{A}/")

    assert answer["abandonment_rate"] == metrics.abandonment_rate
    assert metrics.as_of == DAY + timedelta(hours=12, minutes=50)


def test_a_time_stamp_of_another_decade_makes_no_million_rows(get, election, load):
    load(
        dump(
            vote("old", ms("2001-01-01T00:00Z"), key="k1"),
            vote("new", "09:10", key="k2"),
        )
    )

    assert get(f"{A}/periods/", 400, period="hour")["code"] == "too_many_hours"
    assert get(f"{A}/")["votes_cast"] == 2
