"""The first page as a reader sees it, in a real Chromium."""

from datetime import UTC, datetime

import pytest

from tests.factories import make_constituency, make_election
from tests.journeys.conftest import CHROMIUM

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}"),
    pytest.mark.django_db(transaction=True),
]

LONG_NAME = "Дополнительные выборы депутата Законодательного Собрания " * 4


def is_wider_than_the_window(page):
    return page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_the_first_page_shows_the_figures_at_any_width(open_page, width):
    make_constituency(
        election=make_election(name=LONG_NAME.strip()[:224], is_simulated=True),
        bulletins_issued=1_234_567,
        votes_cast=1_222_333,
        last_transaction_at=datetime(2026, 9, 18, 8, tzinfo=UTC),
    )
    make_election(name="Ж" * 224)

    page = open_page("/", width)

    assert page.get_by_text("1 234 567").is_visible()
    assert page.get_by_text("1 222 333").is_visible()
    assert page.get_by_text("Simulated – not a real election").is_visible()
    assert not is_wider_than_the_window(page)


def test_the_empty_page_fits_a_phone(open_page):
    page = open_page("/", 390)

    assert page.get_by_text("manage.py import_transactions PATH").is_visible()
    assert not is_wider_than_the_window(page)


def test_the_api_viewer_lists_and_calls_the_endpoints(open_page):
    page = open_page("/api/v1/docs/", 1280)

    page.get_by_role("button", name="GET /api/v1/regions/").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()

    body = page.locator(".live-responses-table .response-col_description code").first
    body.wait_for()
    assert '"count": 0' in body.inner_text()
