"""Answers say where the live stream has to be resumed to miss nothing."""

import pytest

from metrics import events
from tests.factories import make_constituency, make_election

pytestmark = pytest.mark.django_db

OF_ELECTION = [
    "metrics/elections/{slug}/",
    "metrics/elections/{slug}/periods/",
    "metrics/elections/{slug}/pattern/",
    "metrics/elections/{slug}/timeline/",
    "metrics/elections/{slug}/table/",
    "metrics/elections/{slug}/constituencies/",
    "metrics/live/{slug}/windows/",
    "metrics/constituencies/{contract_id}/",
    "metrics/constituencies/{contract_id}/periods/",
    "metrics/constituencies/{contract_id}/pattern/",
    "metrics/constituencies/compare/?ids={contract_id}",
    "hourly-stats/?election={slug}",
]


@pytest.fixture
def place(settings):
    settings.API_PUBLIC_READ = True
    return make_constituency(election=make_election())


@pytest.mark.parametrize("path", OF_ELECTION)
def test_an_answer_carries_the_id_of_the_last_event(client, place, path):
    slug = place.election.slug
    for number in range(2):
        content = {"constituency": place.contract_id, "version": number}
        events.publish([events.Event(slug, events.METRICS, content)])
    newest = events.live_id(slug)
    assert newest

    path = path.format(slug=slug, contract_id=place.contract_id)
    answer = client.get(f"/api/v1/{path}").json()

    assert answer["live_id"] == newest


@pytest.mark.parametrize("path", OF_ELECTION)
def test_the_id_is_read_before_the_figures(client, place, path, monkeypatch):
    """What is committed in between is told again, not missed."""
    slug = place.election.slug
    moments = []

    def live_id(_):
        moments.append("id")
        return "7-0"

    monkeypatch.setattr(events, "live_id", live_id)
    path = path.format(slug=slug, contract_id=place.contract_id)
    from django.db import connection

    def note(execute, sql, *args):
        if "hourlystats" in sql or "last_transaction_at" in sql:
            moments.append("figures" if "id" in moments else "early")
        return execute(sql, *args)

    with connection.execute_wrapper(note):
        assert client.get(f"/api/v1/{path}").json()["live_id"] == "7-0"

    # A constituency's own row is read first, to know its election.
    early = moments[: moments.index("id")]
    assert len(early) <= int("constituencies/C" in path or "compare" in path)


def test_what_spans_elections_has_the_overview_or_none(client, place):
    summary = client.get("/api/v1/metrics/dashboard/summary/").json()
    hours = client.get("/api/v1/hourly-stats/").json()
    other = make_constituency()
    ids = f"{place.contract_id},{other.contract_id}"
    compared = client.get(f"/api/v1/metrics/constituencies/compare/?ids={ids}").json()

    assert summary["live_id"] == events.live_id(None)
    assert (hours["live_id"], compared["live_id"]) == (None, None)
