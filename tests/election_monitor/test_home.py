"""The page for people, the API viewer, and the pages of what went wrong."""

import io
import re
from datetime import UTC, datetime
from html import unescape

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command

from tests.factories import make_constituency, make_election, make_staff
from tests.feed import make_batch, receive

pytestmark = pytest.mark.django_db

LOADED_AT = datetime(2026, 9, 18, 10, 2, 3, tzinfo=UTC)


@pytest.fixture(autouse=True)
def public(settings):
    settings.API_PUBLIC_READ = True


@pytest.fixture
def read(client):
    """Return the words of a page, whose status has to be the one stated."""

    def read(path="/", status=200):
        response = client.get(path)
        assert response.status_code == status
        assert response["Content-Type"] == "text/html; charset=utf-8"
        return words_of(response.content.decode())

    return read


def words_of(page):
    body = page.partition("<main")[2].partition(">")[2]
    blocks = re.sub(r"</?(span|b|a|time|code)\b[^>]*>", "", body)
    lines = [" ".join(unescape(text).split()) for text in re.split(r"<[^>]+>", blocks)]
    return [line for line in lines if line]


FOOTER = (
    "Sums over constituencies count ballots, not people: a voter may hold several. "
    "Turnout is votes cast per 100 on the register; above 100 the register is smaller "
    "than the votes."
)


def an_election_with_a_feed():
    election = make_election(
        slug="duma",
        name="Выборы <депутатов>",
        status_override="active",
        starts_at=datetime(2026, 9, 18, 5, tzinfo=UTC),
        ends_at=datetime(2026, 9, 20, 17, tzinfo=UTC),
    )
    fed = make_constituency(
        election=election,
        stated_registered_voters=1600,
        bulletins_issued=1_234_567,
        votes_cast=1200,
        last_transaction_at=datetime(2026, 9, 18, 8, 0, 1, tzinfo=UTC),
        issue_opens_at=datetime(2026, 9, 18, 5, tzinfo=UTC),
        voting_closes_at=datetime(2026, 9, 20, 17, tzinfo=UTC),
    )
    make_constituency(election=election, votes_cast=34)
    receive(fed, "2026-09-18 08:00", "2026-09-18 09:00")
    make_batch(name="broken.csv", status="failed", constituency=fed)
    make_batch(status="running", constituency=fed)
    make_batch(status="waiting")
    make_batch(finished_at=LOADED_AT)
    return election


def test_an_election_shows_its_totals_and_staff_the_state_of_its_feed(client, read):
    an_election_with_a_feed()
    client.force_login(make_staff())

    assert read() == [
        "Elections",
        "Feed",
        "last file 18 Sep 2026, 10:02:03 UTC+00:00",
        "1 running",
        "1 waiting",
        "1 failed",
        "Import batches",
        "Выборы <депутатов>",
        "active",
        "Bulletins issued",
        "1 234 567",
        "Votes cast",
        "1 234",
        "Turnout",
        "75.0 %",
        "in 1 of 2 constituencies; the other registers are unknown",
        "Constituencies",
        "2",
        "Counted up to",
        "18 Sep 2026, 11:00:01 UTC+03:00",
        "Hour files",
        "2 received of 3 expected, 1 missing",
        "Imports",
        "1 running, 1 failed",
        "Voting",
        "18 Sep 2026, 08:00 UTC+03:00 to 20 Sep 2026, 20:00 UTC+03:00",
        FOOTER,
    ]


def test_the_state_of_imports_is_for_staff_alone(client, read):
    an_election_with_a_feed()
    reader = get_user_model().objects.create_user("reader")

    for sign_in in (lambda: None, lambda: client.force_login(reader)):
        sign_in()
        lines = read()
        assert lines[:2] == ["Elections", "Выборы <депутатов>"]
        assert not {"Feed", "Imports"} & set(lines)
        assert "2 received of 3 expected, 1 missing" in lines
        assert not any("last file" in line or "failed" in line for line in lines)


def test_an_election_without_a_transaction_shows_gaps_not_zeros(read):
    make_election(name="Next year", status_override="upcoming", is_simulated=True)

    assert read() == [
        "Elections",
        "Simulated – not a real election",
        "Next year",
        "upcoming",
        "Bulletins issued",
        "none yet",
        "Votes cast",
        "none yet",
        "Turnout",
        "unknown",
        "no register is known",
        "Constituencies",
        "0",
        "Counted up to",
        "no transaction yet",
        "Hour files",
        "none: fed in other ways, or not yet",
        FOOTER,
    ]


def test_only_a_simulated_election_is_marked(client):
    make_election(is_simulated=False)
    assert b"not a real election" not in client.get("/").content

    make_election(is_simulated=True)
    assert client.get("/").content.count(b"not a real election") == 1


def test_active_elections_come_first_then_the_newest(client):
    starts = {"old": 2024, "new": 2025, "active": 2023, "next": 2027}
    words = {"active": "active", "next": "upcoming"}
    for name, year in starts.items():
        make_election(
            name=name,
            status_override=words.get(name, "completed"),
            starts_at=datetime(year, 9, 18, tzinfo=UTC),
        )

    page = client.get("/").content.decode()

    assert re.findall(r"<h2 [^>]*>(\w+)</h2>", page) == ["active", "new", "old", "next"]


def test_the_empty_page_tells_how_to_load_the_first_files(read):
    assert read() == [
        "Elections",
        "No election yet",
        (
            "Load export files, a folder of them, or a zip archive. Regions, elections and "
            "constituencies are made from the layout of the folders:"
        ),
        ".venv/bin/python manage.py import_transactions PATH",
        (
            "Nothing at hand? Simulate an election; it is marked as simulated and can be "
            "deleted again:"
        ),
        ".venv/bin/python manage.py simulate_election --slug trial",
        "An election can also be entered in the admin.",
    ]


def test_the_page_leads_to_admin_api_and_health(client):
    page = client.get("/").content.decode()

    links = re.findall(r'<a href="([^"]+)"', page.partition("</header>")[0])
    assert links == ["/admin/", "/api/v1/docs/", "/health/ready/"]


def test_without_public_reading_no_figure_is_shown_before_signing_in(
    client, read, settings
):
    settings.API_PUBLIC_READ = False
    an_election_with_a_feed()

    assert read() == [
        "Elections",
        "Sign in to see the figures",
        "This installation shows them to known readers only.",
        "Sign in",
    ]

    client.force_login(make_staff())
    assert "1 234 567" in read()


def test_the_page_is_only_read(client):
    assert client.post("/").status_code == 405


def test_the_number_of_queries_is_fixed(client, django_assert_num_queries):
    an_election_with_a_feed()
    with django_assert_num_queries(2):
        client.get("/")

    for _ in range(20):
        make_constituency(bulletins_issued=1)
    with django_assert_num_queries(2):
        client.get("/")

    client.force_login(make_staff())
    # Session and user, batches and newest file.
    with django_assert_num_queries(6):
        client.get("/")


def test_at_most_fifty_elections_are_shown(client):
    for _ in range(50):
        make_election()
    assert b"Only the first" not in client.get("/").content

    make_election()
    page = client.get("/").content.decode()
    assert page.count("<article") == 50
    assert "Only the first 50 are shown" in page


def test_an_unknown_address_is_404_in_the_same_look(read):
    assert read("/nothing/", 404) == [
        "404",
        "Page not found",
        (
            "There is nothing at this address. It may have moved, or the address may have a "
            "mistake in it."
        ),
        "To the elections",
    ]


def test_an_error_of_ours_is_500_in_the_same_look(client, read, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.setattr("election_monitor.pages._glance", lambda **_: 1 / 0)

    assert read("/", 500) == [
        "500",
        "Something went wrong",
        (
            "The server made a mistake. It has been logged. Nothing that was loaded is lost. "
            "Try again in a moment; the health page says which part is in trouble."
        ),
        "To the elections",
    ]


def test_the_admin_carries_the_name(client):
    assert b"Election Monitor" in client.get("/admin/login/").content


def test_the_schema_is_valid_and_without_warnings():
    written = io.StringIO()

    call_command("spectacular", "--validate", "--fail-on-warn", stdout=written)

    paths = re.findall(r"^  (/api/v1/\S*):$", written.getvalue(), re.MULTILINE)
    assert {
        "/api/v1/constituencies/",
        "/api/v1/constituencies/{contract_id}/",
        "/api/v1/elections/",
        "/api/v1/elections/{slug}/",
        "/api/v1/hourly-stats/",
        "/api/v1/regions/",
    } <= set(paths)


@pytest.mark.parametrize("parameter", ["version=%00", "version=1", "lang=%00"])
def test_the_schema_refuses_parameters_it_does_not_know(client, parameter):
    assert client.get(f"/api/v1/schema/?{parameter}").status_code == 400


def test_only_pages_that_need_it_may_write_styles_inline(client):
    client.force_login(make_staff())

    def styles(path):
        policy = client.get(path)["Content-Security-Policy"].split("; ")
        return [rule for rule in policy if rule.startswith("style-src")]

    for path in ("/", "/admin/", "/admin/elections/region/", "/api/v1/regions/"):
        assert styles(path) == ["style-src 'self'"]
    for path in ("/api/v1/docs/", "/admin/elections/region/import/"):
        assert styles(path) == ["style-src 'self' 'unsafe-inline'"]
