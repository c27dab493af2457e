"""Hourly statistics over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest

from metrics.models import HourlyStats
from tests.factories import make_constituency, make_election, make_region
from tests.feed import receive

pytestmark = pytest.mark.django_db

# 08:00 in Moscow.
OPENING = datetime(2026, 9, 18, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
CHANGED = datetime(2026, 9, 18, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def figures_stay_exact():
    """Let figures be written without a ledger: here they are only read."""


@pytest.fixture(autouse=True)
def public(settings):
    settings.API_PUBLIC_READ = True


@pytest.fixture
def get(client):
    """Return the body of a GET, whose status has to be the one stated."""

    def get(status=200, /, **parameters):
        response = client.get("/api/v1/hourly-stats/", parameters)
        assert response.status_code == status
        assert response["Content-Type"] == "application/json"
        told = response.json()
        # It changes with every event; see test_live_ids.
        told.pop("live_id", None)
        return told

    return get


def count(constituency, hour, **figures):
    HourlyStats.objects.create(
        election=constituency.election,
        constituency=constituency,
        hour=hour,
        timestamp=CHANGED,
        **figures,
    )


@pytest.fixture
def two_elections():
    """A has a full hour and a running one, fed by hour files; B has one hour."""
    a = make_constituency(
        contract_id="A",
        election=make_election(slug="a", is_simulated=True),
        region=make_region(code="77"),
        last_transaction_at=OPENING + 1.25 * HOUR,
        issue_opens_at=OPENING,
        voting_closes_at=OPENING + 12 * HOUR,
    )
    count(
        a,
        OPENING,
        bulletins_issued=60,
        votes_cast=50,
        revotes=3,
        transaction_count=120,
        failed_count=2,
        participation_rate=12.5,
        anomaly_count=1,
    )
    count(a, OPENING + HOUR, bulletins_issued=20, votes_cast=10, transaction_count=30)
    receive(a, "2026-09-18 08:00")
    b = make_constituency(
        contract_id="B",
        election=make_election(slug="b"),
        last_transaction_at=OPENING + 3 * HOUR,
    )
    count(b, OPENING, votes_cast=7, transaction_count=7)


def row(constituency, hour, **differences):
    return {
        "constituency": constituency,
        "election": constituency.lower(),
        "is_simulated": constituency == "A",
        "hour": hour,
        "timestamp": "2026-09-18T12:00:00Z",
        "bulletins_issued": 0,
        "votes_cast": 0,
        "revotes": 0,
        "transaction_count": 0,
        "failed_count": 0,
        "bulletin_velocity": 0.0,
        "vote_velocity": 0.0,
        "participation_rate": None,
        "anomaly_count": 0,
        **differences,
    }


FIRST = row(
    "A",
    "2026-09-18T05:00:00Z",
    bulletins_issued=60,
    votes_cast=50,
    revotes=3,
    transaction_count=120,
    failed_count=2,
    bulletin_velocity=60.0,
    vote_velocity=50.0,
    participation_rate=12.5,
    anomaly_count=1,
)
# A quarter of this hour had passed.
RUNNING = row(
    "A",
    "2026-09-18T06:00:00Z",
    bulletins_issued=20,
    votes_cast=10,
    transaction_count=30,
    bulletin_velocity=80.0,
    vote_velocity=40.0,
)
OTHER = row(
    "B",
    "2026-09-18T05:00:00Z",
    votes_cast=7,
    transaction_count=7,
    vote_velocity=7.0,
)


def answer(*rows, as_of, coverage, is_simulated=True):
    return {
        "count": len(rows),
        "next": None,
        "previous": None,
        "results": list(rows),
        "as_of": as_of,
        "coverage": coverage,
        "is_simulated": is_simulated,
    }


def test_hours_of_all_elections_come_oldest_first(get, two_elections):
    assert get() == answer(
        FIRST,
        OTHER,
        RUNNING,
        as_of="2026-09-18T08:00:00Z",
        coverage={"received": 1, "expected": 1},
    )


@pytest.mark.parametrize(
    "parameters", [{"constituency": "A"}, {"election": "a"}, {"region": "77"}]
)
def test_the_moment_and_the_coverage_are_those_of_what_is_chosen(
    get, two_elections, parameters
):
    assert get(**parameters) == answer(
        FIRST,
        RUNNING,
        as_of="2026-09-18T06:15:00Z",
        coverage={"received": 1, "expected": 1},
    )


def test_coverage_is_null_where_there_are_no_hour_files(get, two_elections):
    assert get(election="b") == answer(
        OTHER, as_of="2026-09-18T08:00:00Z", coverage=None, is_simulated=False
    )


def test_a_constituency_of_another_election_has_nothing(get, two_elections):
    assert get(constituency="A", election="b") == answer(
        as_of=None, coverage=None, is_simulated=False
    )


def test_another_constituency_of_the_election_tells_the_time_too(get, two_elections):
    election = HourlyStats.objects.filter(constituency__contract_id="A")[0].election
    make_constituency(election=election, last_transaction_at=OPENING + 1.5 * HOUR)

    running = get(constituency="A")["results"][1]

    assert running == RUNNING | {"bulletin_velocity": 40.0, "vote_velocity": 20.0}


@pytest.mark.parametrize("as_of", [OPENING, None])
def test_without_elapsed_time_there_is_no_velocity(get, as_of):
    count(make_constituency(last_transaction_at=as_of), OPENING, votes_cast=1)

    (only,) = get()["results"]

    assert (only["bulletin_velocity"], only["vote_velocity"]) == (None, None)


@pytest.mark.parametrize(
    ("period", "hours"),
    [
        ({"start": "2026-09-18T06:00:00Z"}, [6]),
        ({"start": "2026-09-18T09:00:00+03:00"}, [6]),
        # A "+" that was left as it is.
        ({"start": "2026-09-18T09:00:00 03:00"}, [6]),
        ({"start": "2026-09-18T05:00:00.001Z"}, [6]),
        ({"end": "2026-09-18T06:00:00Z"}, [5]),
        ({"end": "2026-09-18T06:00:00.001Z"}, [5, 6]),
        ({"start": "2026-09-18T05:00:00Z", "end": "2026-09-18T06:00:00Z"}, [5]),
        ({"start": "0001-01-01T00:00:00+14:00"}, [5, 6]),
        ({"end": "9999-12-31T23:59:59-14:00"}, [5, 6]),
    ],
)
def test_a_period_includes_its_start_and_not_its_end(get, two_elections, period, hours):
    rows = get(constituency="A", **period)["results"]

    assert [int(each["hour"][11:13]) for each in rows] == hours


INSTANT = "Use ISO 8601, such as 2026-09-18T08:00:00+03:00."
OFFSET = "Give the offset, such as 2026-09-18T08:00:00+03:00 or …Z."
EMPTY = "The period is empty: its end lies after its start."
NO_CONSTITUENCY = "No constituency has this contract id."
KNOWN = "constituency, election, end, format, limit, offset, ordering, region, start"
UNKNOWN = f"No such parameter here. Known: {KNOWN}."


@pytest.mark.parametrize(
    ("parameter", "value", "message", "code"),
    [
        ("start", "yesterday", INSTANT, "invalid"),
        ("start", "2026-02-30T00:00:00Z", INSTANT, "invalid"),
        ("start", "2026-09-18T00:00:00+23:59", INSTANT, "invalid"),
        ("end", "2026-09-18T00:00:00-16:00", INSTANT, "invalid"),
        ("start", "2026-09-18T08:00:00", OFFSET, "offset_missing"),
        ("start", "2026-09-18", OFFSET, "offset_missing"),
        ("end", "2026-09-18 08:00", OFFSET, "offset_missing"),
        ("constituency", "none", NO_CONSTITUENCY, "invalid_choice"),
        ("election", "none", "No election has this slug.", "invalid_choice"),
        ("region", "none", "No region has this code.", "invalid_choice"),
        ("constituency", "\0", "Null characters are not allowed.", None),
        ("election", ["a", "b"], "State it once.", "repeated"),
        (
            "format",
            "xml",
            "No such format here. Choose from csv, json, parquet.",
            "invalid_choice",
        ),
        ("search", "A", UNKNOWN, "unknown_parameter"),
        ("hour", "5", UNKNOWN, "unknown_parameter"),
    ],
)
def test_a_bad_parameter_is_named(get, two_elections, parameter, value, message, code):
    assert get(400, **{parameter: value}) == {
        parameter: [message],
        "code": code or "null_characters_not_allowed",
    }


@pytest.mark.parametrize("end", ["2026-09-18T08:00:00+03:00", "2026-09-18T04:59:59Z"])
def test_a_period_without_length_is_an_error(get, end):
    assert get(400, start="2026-09-18T05:00:00Z", end=end) == {
        "end": [EMPTY],
        "code": "period_empty",
    }


@pytest.mark.parametrize(
    ("ordering", "expected"),
    [
        ("-hour", [RUNNING, FIRST, OTHER]),
        ("-constituency", [OTHER, FIRST, RUNNING]),
        ("votes_cast", [OTHER, RUNNING, FIRST]),
        ("-participation_rate", [FIRST, OTHER, RUNNING]),
    ],
)
def test_hours_sort_by_any_figure(get, two_elections, ordering, expected):
    assert get(ordering=ordering)["results"] == expected


def test_a_page_carries_the_moment_too(get, two_elections):
    assert get(limit=1, offset=1) == {
        "count": 3,
        "next": "/api/v1/hourly-stats/?limit=1&offset=2",
        "previous": "/api/v1/hourly-stats/?limit=1",
        "results": [OTHER],
        "as_of": "2026-09-18T08:00:00Z",
        "coverage": {"received": 1, "expected": 1},
        "is_simulated": True,
    }


def test_hourly_statistics_are_read_only(client):
    response = client.post("/api/v1/hourly-stats/")

    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"


def test_without_public_reading_one_has_to_sign_in(get, settings):
    settings.API_PUBLIC_READ = False

    assert get(401)["code"] == "not_authenticated"


# Rows, their number, the moments, the coverage, whether they are real; and each filter
# looks up its choice.
@pytest.mark.parametrize(
    ("parameters", "queries"),
    [({}, 5), ({"election": "a"}, 6), ({"constituency": "A", "election": "a"}, 7)],
)
def test_the_number_of_queries_is_fixed(
    get, two_elections, parameters, queries, django_assert_num_queries
):
    with django_assert_num_queries(queries):
        get(**parameters)

    for number in range(20):
        count(make_constituency(election=make_election(slug=f"z{number}")), OPENING)
    with django_assert_num_queries(queries):
        get(**parameters)
