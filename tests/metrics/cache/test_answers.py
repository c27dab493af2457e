"""The API out of the cache: right after every commit, and nearly free otherwise."""

import gzip
import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from election_monitor.deletion import delete_simulated_election
from elections.models import Constituency, Election, Region
from metrics.api import answers
from metrics.models import HourlyStats
from metrics.services import HourlyStatsService, MetricsUpdateService
from tests.factories import make_token, make_user
from tests.tables import DAY
from tests.transactions.conftest import election, load, two_contracts, write
from tests.transactions.lines import A, B, hour_file, issue, vote
from transactions.services import feed_watch

__all__ = ["election", "load", "two_contracts", "write"]

pytestmark = pytest.mark.django_db(transaction=True)

OF_A, OF_B = f"/api/v1/constituencies/{A}/", f"/api/v1/constituencies/{B}/"
HOURS_OF_A = f"/api/v1/hourly-stats/?constituency={A}"
OF_ELECTION = "/api/v1/elections/duma/"
EVERYTHING = [
    OF_A,
    OF_B,
    HOURS_OF_A,
    OF_ELECTION,
    "/api/v1/hourly-stats/?election=duma",
    "/api/v1/hourly-stats/",
    "/api/v1/constituencies/",
    "/api/v1/constituencies/?election=duma",
    "/api/v1/elections/",
    "/api/v1/regions/",
    f"/api/v1/metrics/constituencies/{A}/",
    f"/api/v1/metrics/constituencies/{A}/periods/",
    f"/api/v1/metrics/constituencies/{A}/pattern/",
    f"/api/v1/metrics/constituencies/compare/?ids={A},{B}",
    "/api/v1/metrics/elections/duma/",
    "/api/v1/metrics/elections/duma/periods/?period=hour",
    "/api/v1/metrics/elections/duma/pattern/",
    "/api/v1/metrics/elections/duma/timeline/?bucket=1h",
    "/api/v1/metrics/elections/duma/constituencies/",
    "/api/v1/metrics/elections/duma/table/",
    "/api/v1/metrics/live/duma/windows/",
    "/api/v1/metrics/dashboard/summary/",
    "/api/v1/metrics/dashboard/detailed/",
]


@pytest.fixture(autouse=True)
def kept(own_redis, settings):
    settings.ELECTION_LAG_SECONDS = 0


@pytest.fixture
def ask(client):
    """Ask for a path; the answer must be a 200."""

    def ask(path, **headers):
        response = client.get(path, headers=headers)
        assert response.status_code == 200, response.content
        return response

    return ask


@pytest.fixture
def loaded(two_contracts, load):
    load(
        hour_file("09:00", issue("i1"), vote("v1")),
        hour_file("09:00", issue("i2"), contract_id=B),
    )
    return two_contracts


def is_hit(response):
    return response.headers["X-Cache"] == "HIT"


@pytest.mark.parametrize("path", EVERYTHING)
def test_the_second_time_it_is_found_and_costs_no_query(
    ask, loaded, path, django_assert_num_queries
):
    first = ask(path)
    with django_assert_num_queries(0):
        second = ask(path)

    assert (is_hit(first), is_hit(second)) == (False, True)
    assert first.content == second.content
    assert first.headers["Content-Type"] == second.headers["Content-Type"]
    assert second.headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("path", EVERYTHING)
def test_who_has_it_already_is_told_so(ask, loaded, client, path):
    etag = ask(path).headers["ETag"]

    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = client.get(path, headers={"If-None-Match": known})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["ETag"] == etag
    assert ask(path, **{"If-None-Match": '"other"'}).content


def test_what_is_loaded_shows_at_once_and_leaves_others_alone(ask, loaded, load):
    for path in EVERYTHING:
        ask(path)

    load(hour_file("10:00", issue("i3", "10:10"), vote("v3", "10:20", key="k3")))

    assert is_hit(ask(OF_B))
    for path in EVERYTHING:
        if path != OF_B:
            assert not is_hit(ask(path)), path
    assert ask(f"/api/v1/metrics/constituencies/{A}/").json()["votes_cast"] == 2
    assert ask("/api/v1/metrics/elections/duma/").json()["votes_cast"] == 2
    assert ask(OF_A).json()["votes_cast"] == 2
    assert ask(HOURS_OF_A).json()["count"] == 2
    assert ask(OF_ELECTION).json()["votes_cast"] == 2
    assert ask("/api/v1/elections/").json()["results"][0]["votes_cast"] == 2
    assert ask("/api/v1/hourly-stats/").json()["count"] == 3
    listed = ask("/api/v1/constituencies/?election=duma").json()["results"]
    assert {row["contract_id"]: row["votes_cast"] for row in listed} == {A: 2, B: 0}


def test_an_hour_without_transactions_counts_in_the_coverage_at_once(ask, loaded, load):
    load(hour_file("11:00", vote("v4", "11:50"), contract_id=B))
    Constituency.objects.update(
        issue_opens_at=DAY, voting_closes_at=DAY + timedelta(hours=20)
    )
    before = ask(HOURS_OF_A).json()["coverage"]

    load(hour_file("10:00"))

    after = ask(HOURS_OF_A).json()["coverage"]
    assert after["received"] == before["received"] + 1


def test_what_is_said_of_elections_may_lag_as_long_as_is_set(
    ask, loaded, load, settings
):
    settings.ELECTION_LAG_SECONDS = 30
    for path in (OF_A, OF_ELECTION):
        ask(path)

    load(hour_file("10:00", vote("v3", "10:20", key="k3")))

    assert ask(OF_A).json()["votes_cast"] == 2
    assert is_hit(ask(OF_ELECTION))
    assert ask(OF_ELECTION).json()["votes_cast"] == 1


def test_a_refresh_shows_at_once(ask, loaded):
    assert ask(OF_A).json()["metrics_updated_at"] is None

    MetricsUpdateService().process(limit=10, clock=timezone.now)

    assert ask(OF_A).json()["metrics_updated_at"] is not None


def test_a_recount_shows_at_once(ask, loaded):
    HourlyStats.objects.filter(constituency__contract_id=A).update(votes_cast=41)
    assert ask(HOURS_OF_A).json()["results"][0]["votes_cast"] == 41

    HourlyStatsService().aggregate_hourly_stats_for_election("duma", now=timezone.now())

    assert ask(HOURS_OF_A).json()["results"][0]["votes_cast"] == 1


def rename_constituency():
    place = Constituency.objects.get(contract_id=A)
    place.name = "Renamed"
    place.save()


def rename_election():
    election = Election.objects.get()
    election.name = "Renamed"
    election.save()


def rename_region():
    region = Region.objects.get()
    region.name = "Renamed"
    region.save()


@pytest.mark.parametrize(
    ("path", "edit"),
    [
        (OF_A, rename_constituency),
        ("/api/v1/constituencies/?election=duma", rename_constituency),
        (OF_ELECTION, rename_election),
        ("/api/v1/metrics/dashboard/summary/", rename_election),
        ("/api/v1/regions/", rename_region),
    ],
)
def test_what_staff_edit_shows_at_once(ask, loaded, path, edit):
    Region.objects.create(code="77", name="Moscow")
    assert "Renamed" not in ask(path).text

    edit()

    assert "Renamed" in ask(path).text


def test_a_region_that_is_removed_is_gone_at_once(ask, loaded):
    region = Region.objects.create(code="77", name="Moscow")
    assert ask("/api/v1/regions/").json()["count"] == 1

    region.delete()

    assert ask("/api/v1/regions/").json()["count"] == 0


def test_json_by_name_is_kept_as_json_is(ask, loaded):
    first, second = (ask(f"{HOURS_OF_A}&format=json") for _ in range(2))

    assert (is_hit(first), is_hit(second)) == (False, True)
    assert second.headers["ETag"]


def test_a_feed_that_ends_shows_at_once(ask, loaded):
    assert ask(OF_A).json()["status"] == "active"
    Constituency.objects.update(voting_closes_at=timezone.now())

    feed_watch.close_ended(timezone.now())

    assert ask(OF_A).json()["status"] == "completed"


def test_a_deleted_election_is_gone_at_once(ask, loaded, client):
    Election.objects.update(is_simulated=True)
    for path in EVERYTHING:
        ask(path)

    delete_simulated_election("duma")

    assert client.get(OF_A).status_code == 404
    assert client.get(OF_ELECTION).status_code == 404
    assert ask("/api/v1/hourly-stats/").json()["count"] == 0


def test_a_comparison_depends_on_each_of_its_constituencies(ask, loaded, load):
    path = f"/api/v1/metrics/constituencies/compare/?ids={A},%20{B}"
    ask(path)

    load(hour_file("10:00", vote("v9", "10:20", key="k9"), contract_id=B))

    votes = [row["votes_cast"] for row in ask(path).json()["results"]]
    assert votes == [1, 1]


def test_errors_are_not_kept(client, two_contracts, load):
    path = "/api/v1/constituencies/nobodys/"
    assert [client.get(path).status_code for _ in range(2)] == [404, 404]
    assert client.get(f"{HOURS_OF_A}&limit=0").status_code == 400
    assert client.get(f"{HOURS_OF_A}&start=soon").status_code == 400
    assert "X-Cache" not in client.get(path).headers


def test_each_question_has_an_answer_of_its_own(ask, loaded):
    assert ask("/api/v1/hourly-stats/?limit=1").json()["count"] == 2
    assert len(ask("/api/v1/hourly-stats/?limit=1").json()["results"]) == 1
    assert len(ask("/api/v1/hourly-stats/?limit=2").json()["results"]) == 2
    assert not is_hit(ask("/api/v1/hourly-stats/?limit=1&offset=0"))


def test_who_may_not_read_gets_nothing_out_of_the_cache(loaded, settings, client):
    for path in EVERYTHING:
        assert client.get(path).status_code == 200
    settings.API_PUBLIC_READ = False

    for path in EVERYTHING:
        assert client.get(path).status_code == 401
        assert client.head(path).status_code == 401


def test_who_signed_in_shares_what_is_kept(loaded, settings):
    settings.API_PUBLIC_READ = False
    client = Client()
    client.force_login(make_user("viewer"))

    first, second = client.get(OF_A), client.get(OF_A)

    assert (is_hit(first), is_hit(second)) == (False, True)


def test_a_wrong_token_is_refused_whatever_is_kept(loaded, client, settings):
    """Anonymous readers get the answer; who shows a token is taken by its word."""
    client.get(OF_A)
    settings.API_PUBLIC_READ = False

    response = client.get(OF_A, headers={"Authorization": "Token wrong"})

    assert response.status_code == 401
    settings.API_PUBLIC_READ = True
    assert client.get(OF_A, headers={"Authorization": "Token wrong"}).status_code == 401


def test_a_token_gets_what_is_kept_and_a_role_that_may_not_does_not(loaded, settings):
    settings.API_PUBLIC_READ = False
    viewer, feeder = make_token(make_user("viewer")), make_token(make_user("feeder"))
    client = Client()

    def ask(token):
        return client.get(OF_A, headers={"Authorization": f"Token {token}"})

    assert [is_hit(ask(viewer)) for _ in range(2)] == [False, True]
    assert ask(feeder).status_code == 403


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/csv;q=0, */*"])
def test_json_is_kept_for_who_accepts_it(loaded, ask, accept):
    ask(HOURS_OF_A)

    assert is_hit(ask(HOURS_OF_A, Accept=accept))


def test_another_format_is_never_taken_for_json(loaded, client, ask):
    ask(HOURS_OF_A)

    wanted = {"Accept": "text/csv, */*;q=0.1"}
    response = client.get(HOURS_OF_A, headers=wanted)

    assert response.headers["Content-Type"].startswith("text/csv")


@pytest.mark.parametrize(
    ("encodings", "is_compressed"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("identity, gzip;q=0.0", False),
        ("notgzip", False),
    ],
)
def test_nobody_gets_what_was_ruled_out(
    ask, loaded, monkeypatch, encodings, is_compressed
):
    monkeypatch.setattr(answers, "COMPRESSED_FROM_BYTES", 100)

    response = ask(OF_A, **{"Accept-Encoding": encodings})

    assert ("Content-Encoding" in response.headers) == is_compressed


@pytest.mark.parametrize(
    "accept",
    ["text/html", "text/csv", "image/png", "application/json-patch+json"],
)
def test_what_json_is_not_accepted_for_is_left_to_the_view(loaded, client, accept):
    client.get(OF_A)

    response = client.get(OF_A, headers={"Accept": accept})

    assert "X-Cache" not in response.headers
    assert response.status_code == 406


def test_long_answers_are_compressed_for_who_takes_it(ask, loaded, monkeypatch):
    monkeypatch.setattr(answers, "COMPRESSED_FROM_BYTES", 100)
    path = "/api/v1/constituencies/"
    plain = ask(path)

    packed = [ask(path, **{"Accept-Encoding": "br, gzip"}) for _ in range(2)]

    assert [is_hit(response) for response in packed] == [False, True]
    for response in packed:
        assert response.headers["Content-Encoding"] == "gzip"
        assert json.loads(gzip.decompress(response.content)) == plain.json()
        assert response.headers["ETag"] != plain.headers["ETag"]
    assert "Content-Encoding" not in ask(path).headers
    assert "Accept-Encoding" in plain.headers["Vary"]


def test_head_tells_the_same_without_a_body(ask, loaded, client):
    etag = ask(OF_A).headers["ETag"]

    response = client.head(OF_A)

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["ETag"] == etag


def test_without_redis_every_answer_is_computed(ask, loaded, own_redis):
    ask(OF_A)
    own_redis.stop()

    for path in EVERYTHING:
        assert not is_hit(ask(path))
