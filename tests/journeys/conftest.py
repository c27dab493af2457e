"""A real browser, for the tests marked `browser`."""

from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import pytest
from django.db import connection
from playwright.sync_api import sync_playwright

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture
def open_page(live_server, settings):
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
            page = browser.new_page(viewport={"width": width, "height": 900})
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
