"""How the cache does, and how it is ended, over HTTP and in the admin."""

import pytest
from django.test import Client

from tests.factories import make_constituency, make_election, make_staff, make_user

pytestmark = pytest.mark.django_db(transaction=True)

STATE, INVALIDATE = "/api/v1/metrics/cache/", "/api/v1/metrics/cache/invalidate/"
PAGE = "/admin/metrics/keptanswers/"
OF_DUMA, OF_OTHER = "/api/v1/elections/duma/", "/api/v1/elections/other/"


@pytest.fixture(autouse=True)
def places(own_redis, settings):
    settings.ELECTION_LAG_SECONDS = 0
    for slug in ("duma", "other"):
        make_constituency(election=make_election(slug=slug))


@pytest.fixture
def operator():
    client = Client()
    client.force_login(make_user("operator"))
    return client


@pytest.fixture
def staff():
    client = Client()
    client.force_login(make_staff())
    return client


def is_hit(client, path):
    return client.get(path).headers["X-Cache"] == "HIT"


def fill(client):
    for path in (OF_DUMA, OF_OTHER):
        client.get(path)
        assert is_hit(client, path)


def post(client, body):
    return client.post(INVALIDATE, body, content_type="application/json")


def test_it_tells_how_it_does(operator):
    fill(operator)

    state = operator.get(STATE).json()

    assert (state["is_usable"], state["entries"]) == (True, 2)
    assert state["hits"] + state["misses"] >= 4
    assert 0 < state["hit_rate"] < 1
    ages = {each["tag"]: each["age_seconds"] for each in state["tags"]}
    assert set(ages) == {
        "all",
        "dashboard",
        "hourly-stats",
        "election:duma",
        "election:other",
    }
    assert 0 <= ages["election:duma"] < 60


@pytest.mark.parametrize(
    ("body", "ended", "left"),
    [
        ({"tags": ["election:duma"]}, [OF_DUMA], [OF_OTHER]),
        ({"tags": ["election:duma", "election:other"]}, [OF_DUMA, OF_OTHER], []),
        ({"tags": ["constituency:nobodys"]}, [], [OF_DUMA, OF_OTHER]),
        ({"all": True}, [OF_DUMA, OF_OTHER], []),
    ],
)
def test_what_is_ended_is_computed_and_the_rest_is_kept(operator, body, ended, left):
    fill(operator)

    response = post(operator, body)

    assert response.status_code == 200
    assert response.json() == {
        "invalidated": body.get("tags", ["all"]),
        "is_done": True,
    }
    assert [is_hit(operator, path) for path in ended] == [False] * len(ended)
    assert [is_hit(operator, path) for path in left] == [True] * len(left)


@pytest.mark.parametrize(
    ("body", "parameter", "code"),
    [
        ({}, "non_field_errors", "one_of_two"),
        ({"all": False}, "non_field_errors", "one_of_two"),
        ({"all": True, "tags": ["dashboard"]}, "non_field_errors", "one_of_two"),
        ({"all": True, "tag": "dashboard"}, "tag", "unknown_parameter"),
        ({"tags": []}, "tags", "min_length"),
        ({"tags": "election:duma"}, "tags", "not_a_list"),
        ({"tags": ["duma"]}, "tags", "unknown_tag"),
        ({"tags": ["election:"]}, "tags", "unknown_tag"),
        # Which one of them: by its place in the list.
        ({"tags": ["election:duma", ""]}, "tags", "blank"),
        ({"all": "perhaps"}, "all", "invalid"),
    ],
)
def test_what_cannot_be_ended_is_said_so(operator, body, parameter, code):
    fill(operator)

    response = post(operator, body)

    assert response.status_code == 400
    assert response.json()["code"] == code
    assert parameter in response.json()
    assert is_hit(operator, OF_DUMA)


def test_without_redis_it_says_so_and_ends_it_later(operator, own_redis):
    fill(operator)
    own_redis.stop()

    answer = post(operator, {"all": True}).json()
    state = operator.get(STATE).json()

    assert answer == {"invalidated": ["all"], "is_done": False}
    assert (state["is_usable"], state["entries"], state["hits"]) == (False, None, None)
    own_redis.start()


def test_staff_see_it_in_the_admin_and_end_a_tag(staff):
    fill(staff)
    page = staff.get(PAGE).content.decode()
    assert "election:duma" in page
    assert "2 answers" in page

    response = staff.post(PAGE, {"tags": ["election:duma", "nonsense"]}, follow=True)

    assert "Ended what depends on election:duma." in response.content.decode()
    assert not is_hit(staff, OF_DUMA)
    assert is_hit(staff, OF_OTHER)


def test_the_page_ends_nothing_that_nobody_chose(staff):
    fill(staff)

    response = staff.post(PAGE, {}, follow=True)

    assert "Choose a tag" in response.content.decode()
    assert is_hit(staff, OF_DUMA)


def test_the_page_is_for_operators(own_redis):
    client = Client()
    client.force_login(make_user("analyst", is_staff=True))

    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE, {"tags": ["all"]}).status_code == 403
