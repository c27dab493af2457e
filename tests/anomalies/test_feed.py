"""The alerts of an election as an Atom feed."""

from datetime import timedelta
from xml.etree import ElementTree

import pytest
from django.test import Client

from anomalies.models import Alert
from tests.anomalies.factories import FOUND_AT, make_alert
from tests.factories import make_constituency, make_election, make_token, make_user

pytestmark = pytest.mark.django_db

ATOM = "{http://www.w3.org/2005/Atom}"
ADDRESS = "/api/v1/elections/duma/alerts.atom"


@pytest.fixture
def client(db):
    observer = make_user("observer", password=None)
    return Client(headers={"authorization": f"Token {make_token(observer)}"})


@pytest.fixture
def alert(db):
    election = make_election(slug="duma", name="Дума")
    place = make_constituency(election=election, name="Округ 5")
    return make_alert(election=election, constituency=place)


def read(client):
    answer = client.get(ADDRESS)
    assert answer.status_code == 200, answer.content
    return ElementTree.fromstring(answer.content)  # noqa: S314 - our own


def texts(feed, name):
    return [entry.findtext(f"{ATOM}{name}") for entry in feed.findall(f"{ATOM}entry")]


def test_an_entry_says_what_was_found_and_leads_to_the_alert(client, alert):
    feed = read(client)

    [entry] = feed.findall(f"{ATOM}entry")
    content = entry.find(f"{ATOM}content")
    told = client.get(f"/api/v1/alerts/{alert.pk}/").json()
    assert feed.findtext(f"{ATOM}title") == "Alerts: Дума"
    assert entry.findtext(f"{ATOM}title") == (
        "S01 Unusual flow: Округ 5 (warning, active)"
    )
    assert content.get("type") == "text"
    assert content.text == told["sentence"]
    assert entry.find(f"{ATOM}link").get("href") == (
        f"http://testserver/api/v1/alerts/{alert.pk}/"
    )
    assert entry.findtext(f"{ATOM}updated") == "2026-09-19T08:00:05+00:00"
    assert [item.get("term") for item in entry.findall(f"{ATOM}category")] == [
        *("S01", "warning", "active")
    ]


def test_it_is_atom(client, alert):
    answer = client.get(ADDRESS)

    assert answer["Content-Type"] == "application/atom+xml; charset=utf-8"
    feed = read(client)
    assert feed.tag == f"{ATOM}feed"
    for name in ("id", "updated", "title", "author"):
        assert feed.find(f"{ATOM}{name}") is not None, name


def test_the_newest_changes_come_first(client, alert):
    later = make_alert(
        election=alert.election, changed_at=FOUND_AT + timedelta(minutes=1)
    )
    latest = make_alert(
        election=alert.election, changed_at=FOUND_AT + timedelta(minutes=2)
    )

    ids = [
        entry.find(f"{ATOM}link").get("href").split("/")[-2]
        for entry in read(client).findall(f"{ATOM}entry")
    ]

    assert ids == [str(each.pk) for each in (latest, later, alert)]


def test_an_entry_keeps_its_id_when_the_alert_changes(client, alert):
    before = read(client)

    Alert.objects.filter(pk=alert.pk).update(
        status="resolved", version=2, changed_at=FOUND_AT + timedelta(hours=1)
    )

    after = read(client)
    assert texts(after, "id") == texts(before, "id")
    assert texts(after, "id")[0].startswith("urn:uuid:")
    assert texts(after, "updated") == ["2026-09-19T09:00:05+00:00"]
    assert after.findtext(f"{ATOM}updated") == "2026-09-19T09:00:05+00:00"


def test_no_two_alerts_have_the_same_id(client, alert):
    make_alert(election=alert.election)

    assert len(set(texts(read(client), "id"))) == 2


def test_other_elections_are_not_in_it(client, alert):
    make_alert()

    assert len(read(client).findall(f"{ATOM}entry")) == 1


def test_it_ends_after_a_hundred_entries(client, alert):
    place = alert.constituency
    for number in range(1, 103):
        moment = alert.started_hour + timedelta(hours=number)
        make_alert(
            election=alert.election,
            constituency=place,
            started_hour=moment,
            ended_hour=moment,
            changed_at=moment,
        )

    updated = texts(read(client), "updated")

    assert len(updated) == 100
    assert updated == sorted(updated, reverse=True)


def test_an_alert_of_the_whole_election_says_so(client, alert):
    Alert.objects.filter(pk=alert.pk).update(constituency=None)

    assert texts(read(client), "title") == [
        "S01 Unusual flow: the whole election (warning, active)"
    ]


def test_what_nothing_has_changed_in_is_not_sent_again(client, alert):
    etag = client.get(ADDRESS)["ETag"]

    same = client.get(ADDRESS, headers={"if-none-match": etag})
    Alert.objects.filter(pk=alert.pk).update(status="resolved")
    other = client.get(ADDRESS, headers={"if-none-match": etag})

    assert (same.status_code, same.content, same["ETag"]) == (304, b"", etag)
    assert other.status_code == 200
    assert other["ETag"] != etag


def test_a_feed_without_entries_stands_still(client):
    make_election(slug="duma")
    etag = client.get(ADDRESS)["ETag"]

    assert client.get(ADDRESS, headers={"if-none-match": etag}).status_code == 304


def test_a_simulated_election_is_marked(client, alert):
    alert.election.is_simulated = True
    alert.election.save(update_fields=["is_simulated"])

    assert read(client).findtext(f"{ATOM}title") == "Alerts: Дума (simulated)"


@pytest.mark.parametrize(
    "name",
    ["a\x0bb", "a\x1fb", "a\ufffeb", "a\x7f<&]]>b"],
    ids=["vt", "us", "fffe", "markup"],
)
def test_what_xml_cannot_hold_breaks_nothing(client, alert, name):
    alert.constituency.name = name
    alert.constituency.save(update_fields=["name"])
    alert.election.name = name
    alert.election.save(update_fields=["name"])

    [title] = texts(read(client), "title")

    assert title.startswith("S01 Unusual flow: a")
    assert "b (warning, active)" in title


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("/api/v1/elections/nowhere/alerts.atom", 404, "not_found"),
        (f"{ADDRESS}?start=now", 400, "unknown_parameter"),
        (f"{ADDRESS}?format=json", 400, "invalid_choice"),
    ],
)
def test_an_error_is_json(client, alert, address, status, code):
    refused = client.get(address)

    assert (refused.status_code, refused.json()["code"]) == (status, code)


def test_a_reader_may_ask_for_atom_and_nothing_else(client, alert):
    headers = {"accept": "application/atom+xml"}

    assert client.get(ADDRESS, headers=headers).status_code == 200
    assert client.get(f"{ADDRESS}?format=atom").status_code == 200
    missing = client.get("/api/v1/elections/no/alerts.atom", headers=headers)
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    refused = client.get(ADDRESS, headers={"accept": "application/json"})
    assert (refused.status_code, refused.json()["code"]) == (406, "not_acceptable")


def test_it_takes_few_queries_however_long(client, alert, django_assert_num_queries):
    for _ in range(5):
        make_alert(election=alert.election)
    client.get(ADDRESS)

    with django_assert_num_queries(4):
        client.get(ADDRESS)
