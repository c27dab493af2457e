"""Tickets to the live stream: who gets one, and for what."""

from datetime import datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core import signing
from django.utils import timezone

from dashboard.tickets import BadTicket, ExpiredTicket, Ticket, issue, read
from tests.factories import make_election, make_staff

PATH = "/api/v1/live/ticket/"


@pytest.fixture(autouse=True)
def public(settings):
    settings.API_PUBLIC_READ = True
    settings.LIVE_URL = "https://live.example.org"


def ask(client, **body):
    return client.post(PATH, body, content_type="application/json")


def member_of(*groups):
    user = get_user_model().objects.create_user("-".join(["user", *groups]))
    user.groups.set([Group.objects.get_or_create(name=name)[0] for name in groups])
    return user


def test_what_is_issued_can_be_read():
    ticket = Ticket("duma", sees_constituencies=True)

    assert read(issue(ticket)) == ticket
    assert read(issue(Ticket(None, sees_constituencies=False))).election is None


def test_an_old_ticket_is_refused(settings):
    text = issue(Ticket("duma", sees_constituencies=True))
    settings.LIVE_TICKET_SECONDS = -1

    with pytest.raises(ExpiredTicket):
        read(text)


@pytest.mark.parametrize("text", ["", "a", "a:b:c"])
def test_what_is_no_ticket_is_refused(text):
    with pytest.raises(BadTicket):
        read(text)


def test_what_was_signed_for_something_else_is_refused():
    with pytest.raises(BadTicket):
        read(signing.dumps(["duma", True]))


@pytest.mark.django_db
def test_everybody_may_follow_totals_where_reading_is_public(client):
    make_election(slug="duma")

    answer = ask(client, election="duma")

    body = answer.json()
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    assert set(body) == {"ticket", "url", "expires_at"}
    assert body["url"] == "https://live.example.org/live/elections/duma/"
    assert read(body["ticket"]) == Ticket("duma", sees_constituencies=False)
    lasts = datetime.fromisoformat(body["expires_at"]) - timezone.now()
    assert timedelta(minutes=4) < lasts <= timedelta(minutes=5)


@pytest.mark.django_db
@pytest.mark.parametrize("body", [{}, {"election": None}])
def test_without_an_election_the_ticket_is_for_the_totals_of_all(client, body):
    answer = ask(client, **body).json()

    assert answer["url"] == "https://live.example.org/live/elections/"
    assert read(answer["ticket"]).election is None


@pytest.mark.django_db
def test_a_misspelt_election_is_not_taken_for_all_of_them(client):
    make_election(slug="duma")

    answer = ask(client, elecion="duma")

    assert answer.status_code == 400
    assert answer.json()["code"] == "unknown_parameter"
    assert "elecion" in answer.json()


@pytest.mark.django_db
def test_behind_a_proxy_the_address_is_relative(client, settings):
    settings.LIVE_URL = ""

    assert ask(client).json()["url"] == "/live/elections/"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("groups", "sees_constituencies"),
    [
        ((), False),
        (("viewer",), False),
        (("feeder",), False),
        (("observer",), True),
        (("analyst",), True),
        (("operator",), True),
        (("admin",), True),
    ],
)
def test_single_constituencies_need_the_observer_role(
    client, groups, sees_constituencies
):
    client.force_login(member_of(*groups))

    ticket = read(ask(client).json()["ticket"])

    assert ticket.sees_constituencies is sees_constituencies


@pytest.mark.django_db
def test_staff_see_constituencies(client):
    client.force_login(make_staff())

    assert read(ask(client).json()["ticket"]).sees_constituencies


@pytest.mark.django_db
def test_without_public_reading_a_ticket_needs_a_login(client, settings):
    settings.API_PUBLIC_READ = False
    assert ask(client).status_code == 401
    assert ask(client).json()["code"] == "not_authenticated"

    client.force_login(member_of("viewer"))
    assert ask(client).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("slug", ["nothing", "duma/../x", "", "x" * 121, "\0", 7, []])
def test_an_election_that_is_none_is_named(client, slug):
    answer = ask(client, election=slug)

    assert answer.status_code == 400
    assert "election" in answer.json()


def test_a_ticket_is_asked_for_by_post(client):
    assert client.get(PATH).status_code == 405
