"""The admin in a real Chromium, that refuses what the security policy does not allow."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from elections.models import Constituency, Election, Region
from metrics.models import HourlyStats
from tests.admin_site import list_of, page_of
from tests.factories import make_constituency, make_region
from tests.journeys.conftest import CHROMIUM
from transactions.models import ImportBatch, Ledger, RejectedRow

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs {CHROMIUM}"),
    pytest.mark.django_db(transaction=True),
]

PASSWORD = "not a secret"  # noqa: S105


@pytest.fixture
def sign_in(open_page):
    """Return a page on which a member of staff has signed in."""
    get_user_model().objects.create_superuser("staff", password=PASSWORD)

    def sign_in():
        page = open_page("/admin/login/?next=/", 1280)
        page.get_by_label("Username").fill("staff")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        return page

    return sign_in


def test_no_page_of_staff_breaks_the_security_policy(sign_in, live_server):
    place = make_constituency(region=make_region())
    addresses = [
        reverse("home"),
        reverse("admin:index"),
        *map(list_of, (Region, Election, Constituency, HourlyStats)),
        *map(list_of, (ImportBatch, RejectedRow, Ledger)),
        *map(page_of, (place, place.election, place.region)),
        *(
            reverse(f"admin:elections_{name}_{page}")
            for name in ("region", "election", "constituency")
            for page in ("add", "import", "export")
        ),
    ]

    page = sign_in()

    for address in addresses:
        answer = page.goto(live_server.url + address, wait_until="networkidle")
        assert answer.status == 200, address


def test_all_fields_of_an_export_are_chosen_at_once(sign_in, live_server):
    page = sign_in()
    page.goto(live_server.url + reverse("admin:elections_region_export"))
    fields = page.locator(
        ".selectable-field-export-row input[type=checkbox]:not(.select-toggle)"
    )
    assert fields.count() == page.locator(":checked").and_(fields).count() > 1

    page.locator(".select-toggle").uncheck()

    assert page.locator(":checked").and_(fields).count() == 0


def test_the_trial_of_an_import_shows_what_changes_in_colour(sign_in, live_server):
    make_region(code="90", name="Perm")
    address = reverse("admin:elections_region_import")

    page = sign_in()
    page.goto(live_server.url + address)
    page.locator("input[type=file]").set_input_files(
        {
            "name": "regions.csv",
            "mimeType": "text/csv",
            "buffer": b"code,name\n90,Kirov\n",
        }
    )
    page.get_by_role("combobox", name="Format").select_option("0")
    page.get_by_role("button", name="Submit").click()

    inserted = page.locator("ins:visible").first
    inserted.wait_for()
    colour = inserted.evaluate("each => getComputedStyle(each).backgroundColor")
    assert colour == "rgb(230, 255, 230)"
