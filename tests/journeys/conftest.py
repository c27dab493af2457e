"""A real browser, for the tests marked `browser`."""

from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from time import monotonic

import pytest
from django.db import connection
from playwright.sync_api import sync_playwright

from metrics import events
from tests.journeys.processes import Processes

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def live_port():
    """Return the port of a live process, which every page asks for."""
    running = Processes()
    _, port = running.live()
    yield port
    running.end_all()


@pytest.fixture
def live_process(live_port, settings):
    """Let pages and publishers of this test use the live process."""
    settings.LIVE_URL = f"http://127.0.0.1:{live_port}"
    settings.EVENTS_REDIS_URL = Processes().redis_url
    policy = deepcopy(settings.CONTENT_SECURITY_POLICY)
    policy["DIRECTIVES"]["connect-src"] = ["'self'", settings.LIVE_URL]
    settings.CONTENT_SECURITY_POLICY = policy
    events._client.cache_clear()
    yield
    events._client.cache_clear()


@pytest.fixture
def open_page(live_server, settings, live_process):
    """Open a page at a width; fail when it had anything to complain about.

    Rows come first: from the first page on a loop runs in this thread, and the database
    would take part in it through a session of its own.
    """
    settings.API_PUBLIC_READ = True
    complaints = []
    with ExitStack() as stack:

        def open_page(path, width):
            playwright = stack.enter_context(sync_playwright())
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic"]
            )
            stack.callback(browser.close)
            # A context of its own, in which a test can open more pages.
            context = browser.new_context(viewport={"width": width, "height": 900})
            page = context.new_page()
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(live_server.url + path, wait_until="networkidle")
            return page

        yield open_page
    wait_for_the_server_to_hang_up()
    assert complaints == []


def wait_for_the_server_to_hang_up():
    """Wait until its threads have closed their sessions, or the database cannot go."""
    others = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
    """
    deadline = monotonic() + 10
    while monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(others)
            if cursor.fetchone() == (0,):
                return
    raise AssertionError("A thread of the live server still holds its session.")
