"""The first page changes by itself, in a real Chromium."""

import json
import threading
import urllib.request

import pytest
import redis
from django.db import connections

from elections.models import Election
from metrics import events
from tests.beside import wait_until
from tests.factories import make_constituency, make_election, make_staff
from tests.journeys.conftest import CHROMIUM
from tests.journeys.processes import Processes
from tests.transactions.conftest import election, write
from tests.transactions.lines import hour_file, issue, vote

__all__ = ["election", "write"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}"),
    pytest.mark.django_db(transaction=True),
]

LIVE = "Live: figures change by themselves"


@pytest.fixture
def processes(transactional_db):
    running = Processes()
    redis.Redis.from_url(running.redis_url).flushdb()
    yield running
    running.end_all()


def figure(page, name):
    return page.locator(f"[data-figure={name}]")


def publish_totals(slug, version, **figures):
    content = {
        "election": slug,
        "version": version,
        "bulletins_issued": 1_234_567,
        "votes_cast": 1_000,
        "participation_rate": None,
        "as_of": "2026-09-18T08:00:01+00:00",
    }
    events.publish([events.Event(slug, events.METRICS, content | figures, True)])


def in_a_thread(work):
    """Do something with the database, which this thread has lent to the browser."""

    def run():
        work()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def a_card(slug):
    make_constituency(
        election=make_election(slug=slug, timezone="Europe/Moscow"),
        votes_cast=1,
        version=3,
        last_transaction_at="2026-09-18T07:00:00Z",
    )


@pytest.mark.usefixtures("election")
def test_a_commit_shows_without_a_reload(processes, open_page, write):
    first, second = write(
        hour_file("09:00", issue("i1"), vote("v1")),
        hour_file("10:00", issue("i2", "10:05"), vote("v2", "10:10", key="k2")),
    )
    processes.worker()
    processes.manage("import_transactions", str(first.path), "--election", "duma")

    page = open_page("/", 1280)
    page.get_by_text(LIVE).wait_for()
    page.evaluate("window.isStillThere = true")
    processes.manage("import_transactions", str(second.path), "--election", "duma")

    figure(page, "votes_cast").filter(has_text="2").wait_for()
    figure(page, "bulletins_issued").filter(has_text="2").wait_for()
    page.get_by_text("10:10").wait_for()
    assert page.evaluate("window.isStillThere")


def test_figures_read_as_the_server_writes_them(processes, open_page):
    a_card("duma")

    page = open_page("/", 390)
    page.get_by_text(LIVE).wait_for()
    publish_totals("duma", 4)

    figure(page, "bulletins_issued").filter(has_text="1 234 567").wait_for()
    assert figure(page, "as_of").inner_text() == "18 Sep 2026, 11:00:01 UTC+03:00"
    written = page.evaluate(
        """async () => {
            const { percent } = await import("/static/dashboard/figures.js");
            return [0, 0.25, 0.75, 66.65, 75.25, 99.96, 1234.5].map(percent);
        }"""
    )
    space = "\N{NARROW NO-BREAK SPACE}"
    assert written == [
        f"{rate:,.1f}{space}%".replace(",", space)
        for rate in (0, 0.25, 0.75, 66.65, 75.25, 99.96, 1234.5)
    ]


def test_what_is_not_newer_changes_nothing(processes, open_page):
    a_card("duma")

    page = open_page("/", 390)
    page.get_by_text(LIVE).wait_for()
    publish_totals("duma", 3, votes_cast=999)
    publish_totals("duma", 4, votes_cast=2)

    figure(page, "votes_cast").filter(has_text="2").wait_for()
    publish_totals("duma", 2, votes_cast=999)
    publish_totals("other", 1)
    page.wait_for_timeout(600)
    assert figure(page, "votes_cast").inner_text() == "2"


def test_a_reset_reads_the_page_anew(processes, open_page):
    a_card("duma")

    page = open_page("/", 390)
    page.get_by_text(LIVE).wait_for()
    in_a_thread(lambda: Election.objects.update(name="Renamed"))
    events.publish([events.Event("duma", events.RESET, {}, True)])

    page.get_by_role("heading", name="Renamed").wait_for()


def test_two_tabs_share_one_stream_and_the_second_takes_over(
    processes, open_page, live_port
):
    def listeners():
        address = f"http://127.0.0.1:{live_port}/health/live/"
        with urllib.request.urlopen(address) as answer:
            return json.load(answer)["listeners"]

    a_card("duma")
    wait_until(lambda: listeners() == 0, "those of other tests are gone")

    first = open_page("/", 390)
    first.get_by_text(LIVE).wait_for()
    second = first.context.new_page()
    second.goto(first.url)
    second.get_by_text(LIVE).wait_for()
    assert listeners() == 1
    publish_totals("duma", 4, votes_cast=20)
    for page in (first, second):
        figure(page, "votes_cast").filter(has_text="20").wait_for()

    first.close()
    publish_totals("duma", 5, votes_cast=30)

    figure(second, "votes_cast").filter(has_text="30").wait_for()


def test_who_is_signed_in_gets_a_stream_too(processes, open_page, live_server):
    a_card("duma")
    make_staff(username="staff")

    page = open_page("/admin/login/?next=/", 1280)
    page.get_by_label("Username").fill("staff")
    page.get_by_label("Password").fill("password")
    page.get_by_role("button", name="Log in").click()

    page.get_by_text(LIVE).wait_for()
