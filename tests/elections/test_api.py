"""The registry over HTTP, and what all endpoints share."""

from datetime import UTC, datetime

import pytest

from tests.factories import (
    make_constituency,
    make_election,
    make_region,
    make_staff,
)

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 9, 18, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def figures_stay_exact():
    """Let figures be written without a ledger: here they are only read."""


@pytest.fixture(autouse=True)
def public(settings):
    settings.API_PUBLIC_READ = True


@pytest.fixture
def get(client):
    """Return the body of a GET, whose status has to be the one stated."""

    def get(path, status=200, /, **parameters):
        response = client.get(f"/api/v1/{path}", parameters)
        assert response.status_code == status
        assert response["Content-Type"] == "application/json"
        return response.json()

    return get


def page(*results):
    return {
        "count": len(results),
        "next": None,
        "previous": None,
        "results": list(results),
    }


def contract_ids(answer):
    return [row["contract_id"] for row in answer["results"]]


def test_regions_are_listed_by_code(get):
    make_region(code="90", name="Пермский край", timezone="Asia/Yekaterinburg")
    make_region(code="77", name="Москва")

    assert get("regions/") == page(
        {"code": "77", "name": "Москва", "timezone": ""},
        {"code": "90", "name": "Пермский край", "timezone": "Asia/Yekaterinburg"},
    )


def an_election_with_three_constituencies():
    election = make_election(
        slug="duma-2026",
        name="Выборы депутатов",
        kind="federal",
        starts_at=datetime(2026, 9, 18, 5, tzinfo=UTC),
        ends_at=datetime(2026, 9, 20, 17, tzinfo=UTC),
        status_override="active",
        description="Three days.",
    )
    figures = {"revotes": 1, "transaction_count": 40, "failed_count": 2}
    make_constituency(
        election=election,
        stated_registered_voters=100,
        bulletins_issued=20,
        votes_cast=18,
        last_transaction_at=NOON,
        **figures,
    )
    make_constituency(
        election=election,
        stated_registered_voters=50,
        bulletins_issued=10,
        votes_cast=9,
    )
    make_constituency(election=election, bulletins_issued=7, votes_cast=6)
    return election


ELECTION = {
    "slug": "duma-2026",
    "name": "Выборы депутатов",
    "kind": "federal",
    "timezone": "Europe/Moscow",
    "starts_at": "2026-09-18T05:00:00Z",
    "ends_at": "2026-09-20T17:00:00Z",
    "status": "active",
    "description": "Three days.",
    "is_simulated": False,
    "as_of": "2026-09-18T09:00:00Z",
    "bulletins_issued": 37,
    "votes_cast": 33,
    "revotes": 1,
    "transaction_count": 40,
    "failed_count": 2,
    "register_entries": 150,
    "register_constituency_count": 2,
    "constituency_count": 3,
    "version": 3,
}
EMPTY_ELECTION = {
    "slug": "empty",
    "name": "Empty",
    "kind": "",
    "timezone": "Europe/Moscow",
    "starts_at": None,
    "ends_at": None,
    "status": "active",
    "description": "",
    "is_simulated": True,
    "as_of": None,
    "bulletins_issued": 0,
    "votes_cast": 0,
    "revotes": 0,
    "transaction_count": 0,
    "failed_count": 0,
    "register_entries": None,
    "register_constituency_count": 0,
    "constituency_count": 0,
    "version": 0,
}


def test_elections_carry_the_sums_of_their_constituencies(get):
    an_election_with_three_constituencies()
    make_election(slug="empty", name="Empty", is_simulated=True)

    assert get("elections/") == page(ELECTION, EMPTY_ELECTION)


def test_one_election_is_found_by_its_slug(get):
    an_election_with_three_constituencies()

    assert get("elections/duma-2026/") == ELECTION


def test_elections_sort_by_totals_with_the_slug_last(get):
    an_election_with_three_constituencies()
    make_election(slug="b")
    make_election(slug="a")

    answer = get("elections/", ordering="-votes_cast")

    assert [row["slug"] for row in answer["results"]] == ["duma-2026", "a", "b"]


def test_a_constituency_carries_its_registry_and_totals(get):
    constituency = make_constituency(
        contract_id="Contract1",
        name="Округ №1_3",
        district="Округ №1",
        election=make_election(slug="trial", is_simulated=True),
        region=make_region(code="90", timezone="Asia/Yekaterinburg"),
        stated_registered_voters=200,
        bulletins_issued=60,
        votes_cast=50,
        revotes=2,
        transaction_count=123,
        failed_count=4,
        anomaly_count=1,
        anomaly_score=0.25,
        last_transaction_at=NOON,
        metrics_updated_at=NOON,
    )

    expected = {
        "contract_id": "Contract1",
        "name": "Округ №1_3",
        "election": "trial",
        "region": "90",
        "district": "Округ №1",
        "status": "active",
        "timezone": "Asia/Yekaterinburg",
        "is_simulated": True,
        "registered_voters": 200,
        "bulletins_issued": 60,
        "votes_cast": 50,
        "revotes": 2,
        "transaction_count": 123,
        "failed_count": 4,
        "participation_rate": 25.0,
        "anomaly_count": 1,
        "anomaly_score": 0.25,
        "last_transaction_at": "2026-09-18T09:00:00Z",
        "metrics_updated_at": "2026-09-18T09:00:00Z",
        "version": 1,
    }
    assert get(f"constituencies/{constituency.contract_id}/") == expected
    assert get("constituencies/") == page(expected)


def test_what_nobody_knows_is_null(get):
    make_constituency(contract_id="Bare", election=make_election(timezone="Asia/Omsk"))

    answer = get("constituencies/Bare/")

    unknown = {name for name, value in answer.items() if value is None}
    assert unknown == {
        "region",
        "registered_voters",
        "participation_rate",
        "anomaly_score",
        "last_transaction_at",
        "metrics_updated_at",
    }
    assert answer["timezone"] == "Asia/Omsk"


@pytest.fixture
def four():
    election, other = make_election(slug="a"), make_election(slug="b")
    region = make_region(code="77")
    make_constituency(
        contract_id="C1", election=election, region=region, name="North", votes_cast=5
    )
    make_constituency(
        contract_id="C2",
        election=election,
        status="offline",
        district="Old town",
        votes_cast=5,
        stated_registered_voters=10,
    )
    make_constituency(contract_id="C3", election=other, region=region, votes_cast=9)
    make_constituency(
        contract_id="C4", election=other, votes_cast=1, stated_registered_voters=10
    )


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["C1", "C2", "C3", "C4"]),
        ({"election": "a"}, ["C1", "C2"]),
        ({"region": "77"}, ["C1", "C3"]),
        ({"region": "77", "election": "b"}, ["C3"]),
        ({"status": "offline"}, ["C2"]),
        ({"search": "nor"}, ["C1"]),
        ({"search": "old TOWN"}, ["C2"]),
        ({"search": "c3"}, ["C3"]),
        ({"search": "nothing like it"}, []),
        ({"ordering": "-contract_id"}, ["C4", "C3", "C2", "C1"]),
        ({"ordering": "-votes_cast"}, ["C3", "C1", "C2", "C4"]),
        ({"ordering": "votes_cast"}, ["C4", "C1", "C2", "C3"]),
        ({"ordering": "-votes_cast,-contract_id"}, ["C3", "C2", "C1", "C4"]),
        # Where the rate is unknown comes last, up and down.
        ({"ordering": "-participation_rate"}, ["C2", "C4", "C1", "C3"]),
        ({"ordering": "participation_rate"}, ["C4", "C2", "C1", "C3"]),
        ({"election": "", "ordering": "", "limit": "", "offset": ""}, None),
    ],
)
def test_constituencies_are_filtered_searched_and_sorted(
    get, four, parameters, expected
):
    every = ["C1", "C2", "C3", "C4"]

    assert contract_ids(get("constituencies/", **parameters)) == (
        every if expected is None else expected
    )


def test_pages_link_to_each_other_by_relative_addresses(get, four):
    first = get("constituencies/", limit=2, election="", ordering="-contract_id")
    second = get(first["next"].removeprefix("/api/v1/"))

    assert first["next"] == (
        "/api/v1/constituencies/?election=&limit=2&offset=2&ordering=-contract_id"
    )
    assert contract_ids(first) + contract_ids(second) == ["C4", "C3", "C2", "C1"]
    assert (first["count"], first["previous"], second["next"]) == (4, None, None)
    assert second["previous"] == (
        "/api/v1/constituencies/?election=&limit=2&ordering=-contract_id"
    )


def test_beyond_the_end_leads_back_to_the_last_page(get, four):
    assert get("constituencies/", limit=3, offset=2**63 - 1) == {
        "count": 4,
        "next": None,
        "previous": "/api/v1/constituencies/?limit=3&offset=1",
        "results": [],
    }


def test_a_page_has_a_hundred_rows_unless_asked(get):
    election = make_election()
    for number in range(101):
        make_constituency(contract_id=f"C{number:03}", election=election)

    assert len(get("constituencies/")["results"]) == 100
    assert len(get("constituencies/", limit=1000)["results"]) == 101


LIMIT = "Use a whole number from 1 to 1000."
OFFSET = "Use a whole number from 0 to 9223372036854775807."
NUL = "Null characters are not allowed."
CHOICE = "Select a valid choice. x is not one of the available choices."
KNOWN = "election, format, limit, offset, ordering, region, search, status"


@pytest.mark.parametrize(
    ("parameter", "value", "message", "code"),
    [
        ("limit", "0", LIMIT, "out_of_range"),
        ("limit", "1001", LIMIT, "out_of_range"),
        ("limit", "-1", LIMIT, "out_of_range"),
        ("limit", "ten", LIMIT, "out_of_range"),
        ("limit", "1.5", LIMIT, "out_of_range"),
        ("limit", "１", LIMIT, "out_of_range"),
        ("limit", "\0", NUL, "null_characters_not_allowed"),
        ("offset", "-1", OFFSET, "out_of_range"),
        ("offset", str(2**63), OFFSET, "out_of_range"),
        ("offset", "9" * 499, OFFSET, "out_of_range"),
        ("offset", "9" * 501, "Use at most 500 characters.", "max_length"),
        ("election", "x", "No election has this slug.", "invalid_choice"),
        ("election", "\0", NUL, "null_characters_not_allowed"),
        ("region", "x", "No region has this code.", "invalid_choice"),
        ("status", "x", CHOICE, "invalid_choice"),
        ("search", "a\0b", NUL, "null_characters_not_allowed"),
        ("search", "a" * 501, "Use at most 500 characters.", "max_length"),
        ("ordering", "\0", NUL, "null_characters_not_allowed"),
        (
            "electoin",
            "a",
            f"No such parameter here. Known: {KNOWN}.",
            "unknown_parameter",
        ),
        (
            "\0",
            "a",
            f"No such parameter here. Known: {KNOWN}.",
            "unknown_parameter",
        ),
    ],
)
def test_a_bad_parameter_is_named(get, four, parameter, value, message, code):
    answer = get("constituencies/", 400, **{parameter: value})

    assert answer == {parameter: [message], "code": code}


def test_an_unknown_ordering_names_what_there_is(get):
    assert get("regions/", 400, ordering="code,-size") == {
        "ordering": ["Unknown: -size. Choose from code, name."],
        "code": "invalid_choice",
    }


def test_several_bad_parameters_are_named_at_once(get):
    known = "No such parameter here. Known: format, limit, offset, ordering, search."

    assert get("regions/", 400, a="1", search="\0") == {
        "a": [known],
        "search": [NUL],
        "code": "invalid",
    }


def test_a_single_election_takes_no_parameters(get):
    make_election(slug="a")

    assert get("elections/a/", 400, search="b") == {
        "search": ["No such parameter here. Known: format."],
        "code": "unknown_parameter",
    }


@pytest.mark.parametrize(
    "path",
    [
        "elections/none/",
        "elections/no ne/",
        "constituencies/none/",
        "constituencies/a%00b/",
        "constituencies/" + "a" * 3000 + "/",
        "nothing/",
        "nothing",
    ],
)
def test_what_is_not_there_is_404_in_json(client, path):
    response = client.get(f"/api/v1/{path}")

    assert (response.status_code, response["Content-Type"]) == (404, "application/json")
    assert response.json()["code"] == "not_found"
    assert set(response.json()) == {"detail", "code"}


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("path", ["regions/", "elections/", "constituencies/"])
def test_the_registry_is_read_only(client, method, path):
    response = getattr(client, method)(f"/api/v1/{path}")

    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD, OPTIONS"
    assert response.json() == {
        "detail": f'Method "{method.upper()}" not allowed.',
        "code": "method_not_allowed",
    }


def test_too_many_parameters_are_400_in_json(client):
    query = "&".join(f"a{n}=1" for n in range(1001))

    response = client.get(f"/api/v1/regions/?{query}")

    assert response.status_code == 400
    assert response.json() == {
        "detail": "The request cannot be understood.",
        "code": "bad_request",
    }


def test_an_error_of_ours_is_500_in_json_without_a_trace(client, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.setattr(
        "elections.api.views.RegionViewSet.get_queryset", lambda _: 1 / 0
    )

    response = client.get("/api/v1/regions/")

    assert response.status_code == 500
    assert response.json() == {
        "detail": "A server error occurred.",
        "code": "error",
    }


@pytest.mark.parametrize("path", ["regions/", "elections/a/", "constituencies/"])
def test_without_public_reading_one_has_to_sign_in(client, get, settings, path):
    settings.API_PUBLIC_READ = False
    make_election(slug="a")

    assert get(path, 401) == {
        "detail": "Authentication credentials were not provided.",
        "code": "not_authenticated",
    }

    client.force_login(make_staff())
    get(path, 200)


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        ("regions/", 2),
        ("elections/", 2),
        ("elections/a/", 1),
        ("constituencies/", 2),
        ("constituencies/?election=a&region=77", 4),
        ("constituencies/C1/", 1),
    ],
)
def test_the_number_of_queries_is_fixed(
    client, four, path, queries, django_assert_num_queries
):
    with django_assert_num_queries(queries):
        client.get(f"/api/v1/{path}")

    for number in range(20):
        make_constituency(
            election=make_election(slug=f"z{number}"),
            region=make_region(code=f"z{number}"),
        )
    with django_assert_num_queries(queries):
        client.get(f"/api/v1/{path}")
