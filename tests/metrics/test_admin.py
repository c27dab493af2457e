"""Hourly statistics in the admin, and the recount."""

from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from elections.models import Constituency, Election
from metrics.models import HourlyStats
from tests.admin_site import (
    EVIL,
    clerk_client,
    list_of,
    page_of,
    run_action,
    staff_client,
    text_of,
)
from tests.factories import make_constituency, make_staff
from tests.tables import hourly_table, parse_table
from tests.transactions.lines import A, B, hour_file, issue, vote

pytestmark = [
    pytest.mark.django_db,
    # Tests run before the static files have been collected.
    pytest.mark.filterwarnings("ignore:No directory at"),
]
EQUAL = ["Counted again: all figures equal the ledger."]


@pytest.fixture
def staff(db) -> Client:
    return staff_client()


@pytest.fixture
def counted(two_contracts, load):
    """Load two hours of A and one of B; return what is stored."""
    load(
        hour_file("09:00", issue("i1"), vote("v1", key="k1")),
        hour_file("10:00", vote("v2", "10:10", key="k2")),
        hour_file("09:00", issue("i1"), contract_id=B),
    )
    Constituency.objects.filter(contract_id=A).update(name="A")
    Constituency.objects.filter(contract_id=B).update(name="B")
    table = hourly_table()
    assert table == parse_table("""
        constituency | hour  | bulletins_issued | votes_cast | transaction_count
        A            | 09:00 |                1 |          1 |                 2
        A            | 10:00 |                0 |          1 |                 1
        B            | 09:00 |                1 |          0 |                 1
    """)
    return table


def spoil():
    HourlyStats.objects.update(votes_cast=77)


def hours_of(contract_id):
    rows = HourlyStats.objects.filter(constituency__contract_id=contract_id)
    return list(rows.order_by("hour"))


def test_staff_open_list_and_page_and_names_are_escaped(staff, counted):
    Constituency.objects.update(name=EVIL)

    for address in (list_of(HourlyStats), page_of(hours_of(A)[0])):
        page = text_of(staff.get(address))
        assert EVIL not in page
        assert "alert(" in page


def test_staff_without_rights_and_strangers_open_neither(counted):
    clerk = clerk_client()

    for address in (list_of(HourlyStats), page_of(hours_of(A)[0])):
        assert clerk.get(address).status_code == 403
        assert Client().get(address).url.startswith(reverse("admin:login"))


def test_figures_are_nowhere_edited_added_or_deleted(staff, counted):
    row = hours_of(A)[0]

    assert staff.get(reverse("admin:metrics_hourlystats_add")).status_code == 403
    assert staff.post(page_of(row), {"votes_cast": 5}).status_code == 403
    delete = reverse("admin:metrics_hourlystats_delete", args=[row.pk])
    assert staff.post(delete, {"post": "yes"}).status_code == 403
    assert "delete_selected" not in text_of(staff.get(list_of(HourlyStats)))
    assert hourly_table() == counted


def test_no_form_of_the_project_holds_a_figure():
    figures = {
        "bulletins_issued",
        "votes_cast",
        "revotes",
        "transaction_count",
        "failed_count",
        "last_transaction_at",
        "participation_rate",
        "anomaly_count",
        "version",
    }
    request = Client().get(reverse("admin:login")).wsgi_request
    request.user = make_staff()

    for model in (Election, Constituency):
        form = admin.site.get_model_admin(model).get_form(request)
        assert not figures.intersection(form.base_fields)


def test_hours_show_on_the_clock_of_the_constituency(staff, counted):
    Election.objects.update(timezone="Asia/Kathmandu")

    page = text_of(staff.get(page_of(hours_of(A)[0])))

    assert "2026-09-18 14:45" in page
    assert "+05:45" in page
    run_action(staff, "recount", Election.objects.get())


def test_hours_are_found_by_election_constituency_and_time(staff, counted):
    def found(**search):
        page = staff.get(f"{list_of(HourlyStats)}?{urlencode(search)}")
        rows = page.context["cl"].result_list
        return [(r.constituency.name, f"{r.hour:%H:%M}") for r in rows]

    assert found(election="duma") == [("A", "10:00"), ("A", "09:00"), ("B", "09:00")]
    assert found(election="nobody") == []
    assert found(constituency=B) == [("B", "09:00")]
    assert found(start="2026-09-18T10:00") == [("A", "10:00")]
    assert found(constituency=A, end="2026-09-18T10:00") == [("A", "09:00")]
    assert found(q=B) == [("B", "09:00")]


def test_a_time_that_is_none_is_refused(staff, counted):
    response = staff.get(list_of(HourlyStats), {"start": "noon"})

    assert response.url.endswith("?e=1")


def test_the_list_needs_the_same_number_of_queries_for_many_rows(staff, counted):
    with CaptureQueriesContext(connection) as few:
        staff.get(list_of(HourlyStats))
    now = HourlyStats.objects.first().hour
    for _ in range(20):
        place = make_constituency()
        HourlyStats.objects.create(
            constituency=place, election=place.election, hour=now, timestamp=now
        )

    with CaptureQueriesContext(connection) as many:
        staff.get(list_of(HourlyStats))

    assert len(many) == len(few) <= 8


def test_what_equals_the_ledger_is_recounted_and_stays(staff, counted):
    assert run_action(staff, "recount", *HourlyStats.objects.all()) == EQUAL
    assert run_action(staff, "recount", *Constituency.objects.all()) == EQUAL
    assert run_action(staff, "recount", *Election.objects.all()) == EQUAL
    assert hourly_table() == counted


def test_chosen_hours_are_recounted_and_no_others(staff, counted):
    spoil()

    told = run_action(staff, "recount", hours_of(A)[0], hours_of(B)[0])

    assert told == [
        "2 hours, 0 minutes and the totals of 1 constituency differed from the ledger and were written."
    ]
    assert [row.votes_cast for row in (*hours_of(A), *hours_of(B))] == [1, 77, 0]
    assert run_action(staff, "recount", hours_of(A)[1])
    assert hourly_table() == counted


def test_a_constituency_is_recounted_and_no_other(staff, counted):
    spoil()

    run_action(staff, "recount", Constituency.objects.get(contract_id=A))

    assert [row.votes_cast for row in (*hours_of(A), *hours_of(B))] == [1, 1, 77]
    run_action(staff, "recount", Constituency.objects.get(contract_id=B))
    assert hourly_table() == counted


def test_an_election_is_recounted(staff, counted):
    spoil()

    told = run_action(staff, "recount", Election.objects.get())

    assert "3 hours" in told[0]
    assert hourly_table() == counted


def test_a_recount_after_another_zone_moves_the_hours(staff, counted):
    Election.objects.update(timezone="Asia/Kathmandu")

    run_action(staff, "recount", Election.objects.get())

    moved = HourlyStats.objects.filter(transaction_count__gt=0, constituency__name="A")
    assert [f"{row.hour:%H:%M}" for row in moved.order_by("hour")] == ["08:15", "09:15"]


def test_who_may_only_look_is_offered_no_recount(counted):
    clerk = clerk_client("metrics.view_hourlystats")
    spoil()

    page = text_of(clerk.get(list_of(HourlyStats)))
    data = {"action": "recount", "_selected_action": [hours_of(A)[0].pk]}
    clerk.post(list_of(HourlyStats), data)

    assert "Recount" not in page
    assert hours_of(A)[0].votes_cast == 77
    run_action(staff_client(), "recount", Election.objects.get())
