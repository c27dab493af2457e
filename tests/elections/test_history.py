"""Who changed what, as staff read it on the history pages."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import ProgrammingError, connection, transaction
from django.test import Client
from django.urls import reverse
from pghistory.models import Context

from election_monitor.deletion import delete_simulated_election
from elections.models import (
    Constituency,
    ConstituencyEvent,
    Election,
    ElectionEvent,
    MembershipEvent,
    RegionEvent,
)
from elections.services import RegistryService
from tests.admin_site import EVIL, edit, page_of, text_of
from tests.factories import make_constituency, make_region, make_staff, make_user
from tests.transactions.lines import A, create, hour_file, issue, register, vote

pytestmark = [
    pytest.mark.django_db,
    # Tests run before the static files have been collected.
    pytest.mark.filterwarnings("ignore:No directory at"),
]

EVENTS = [RegionEvent, ElectionEvent, ConstituencyEvent]


@pytest.fixture
def anna() -> Client:
    client = Client()
    client.force_login(make_staff(username="anna"))
    return client


def changes(client, obj):
    """Return the rows of an object's history page, without their times."""
    page = text_of(client.get(page_of(obj).replace("change/", "history/")))
    table = page.partition("em-history")[2].partition("</table>")[0]
    rows = re.findall(r"<tr><td>(.*?)</tr>", table, re.DOTALL)
    cells = [re.sub(r"<[^>]+>", "|", row).split("|") for row in rows]
    return [[unescape(cell) for cell in row if cell][-4:] for row in cells]


def written():
    """Return the number of rows that the triggers wrote about the registry."""
    return sum(model.objects.count() for model in EVENTS)


def test_an_edit_is_shown_with_who_did_it_and_what_was_before(anna):
    region = make_region(code="90", name="before")

    edit(anna, region, name="after", timezone="Asia/Omsk")
    edit(anna, region, name="later")

    assert changes(anna, region) == [
        ["anna", "name", "after", "later"],
        ["anna", "name", "before", "after"],
        ["anna", "timezone", "–", "Asia/Omsk"],
    ]


def test_names_are_escaped(anna):
    region = make_region(name="before")

    edit(anna, region, name=EVIL)

    page = text_of(anna.get(page_of(region).replace("change/", "history/")))
    assert EVIL not in page
    assert changes(anna, region) == [["anna", "name", "before", EVIL]]


def test_references_and_choices_are_named(anna):
    old, new = make_region(code="1", name="Old"), make_region(code="2", name="New")
    place = make_constituency(region=old)

    edit(anna, place, region=new.pk, status="offline", stated_registered_voters=10)

    assert changes(anna, place) == [
        ["anna", "region", "1 – Old", "2 – New"],
        ["anna", "status", "Active", "Offline"],
        ["anna", "registered voters (stated)", "–", "10"],
    ]


def test_a_reference_that_is_gone_is_said_to_be_so(anna):
    old = make_region()
    place = make_constituency(region=old)
    edit(anna, place, region="")

    gone = old.pk
    old.delete()

    assert changes(anna, place) == [
        ["anna", "region", f"no longer there ({gone})", "–"]
    ]


def test_times_that_staff_state_are_kept(anna, election):
    edit(anna, election, starts_at_0="2026-09-18", starts_at_1="05:00:00")

    assert changes(anna, election) == [
        ["anna", "starts at", "–", "2026-09-18 05:00:00 UTC"],
        ["anna", "window source", "the ledger", "staff"],
    ]


def test_an_import_of_the_registry_names_who_did_it(anna):
    region = make_region(code="90", name="before")
    address = reverse("admin:elections_region_import")
    file = SimpleUploadedFile("r.csv", b"code,name\n90,after\n")

    trial = anna.post(address, {"import_file": file, "format": "0"})
    confirm = trial.context["confirm_form"].initial
    anna.post(reverse("admin:elections_region_process_import"), confirm)

    assert changes(anna, region) == [["anna", "name", "before", "after"]]


def test_what_no_person_did_is_kept_too(anna):
    region = make_region(name="before")

    with connection.cursor() as cursor:
        cursor.execute("UPDATE elections_region SET name = 'after'")

    assert changes(anna, region) == [["a program", "name", "before", "after"]]


def test_saving_without_a_change_writes_nothing(anna):
    region = make_region()

    edit(anna, region)
    region.save()

    assert (changes(anna, region), written()) == ([], 0)
    assert "Nothing has been changed" in text_of(
        anna.get(page_of(region).replace("change/", "history/"))
    )


def test_history_can_be_neither_changed_nor_removed(anna):
    edit(anna, make_region(), name="after")

    refusal = pytest.raises(ProgrammingError, match="Cannot update or delete")
    with refusal, transaction.atomic():
        RegionEvent.objects.all().delete()


# What costs nothing ----------------------------------------------------------------


def test_loading_writes_no_history(load):
    load(
        hour_file(
            "09:00",
            create("c1", dateStart="2026-09-18T05:00:00Z"),
            register("r1", add=4),
            issue("i1"),
            vote("v1"),
        )
    )
    RegistryService().widen_windows(["duma"])

    assert Constituency.objects.get(contract_id=A).votes_cast == 1
    assert (written(), Context.objects.count()) == (0, 0)


def test_figures_do_not_even_ask_the_triggers():
    figures = (
        "bulletins_issued votes_cast transaction_count version last_transaction_at"
    )

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgname, array_agg(attname::text) FROM pg_trigger, pg_attribute "
            "WHERE tgrelid = 'elections_constituency'::regclass AND attrelid = tgrelid "
            "AND attnum = ANY (tgattr) AND tgname LIKE 'pgtrigger_history%%' GROUP BY 1"
        )
        columns = dict(cursor.fetchall())

    assert len(columns) == 2
    for watched in columns.values():
        assert not set(watched) & set(figures.split())


def test_times_and_status_that_the_ledger_tells_are_not_history(election):
    election.starts_at = "2026-09-18T05:00Z"
    election.save(update_fields=["starts_at"])
    Constituency.objects.update(status="offline")

    assert written() == 0


# Groups ---------------------------------------------------------------------------


def test_who_joined_and_left_a_group_is_shown(anna):
    user = make_user("viewer", username="olga")
    viewer, operator = (Group.objects.get(name=n) for n in ("viewer", "operator"))
    form = {"username": "olga", "date_joined_0": "2026-09-18"}
    form |= {"date_joined_1": "08:00", "is_active": "on"}

    anna.post(page_of(user), {**form, "groups": [viewer.pk, operator.pk]})
    anna.post(page_of(user), {**form, "groups": [operator.pk]})

    assert changes(anna, user) == [
        ["anna", "group", "viewer", "–"],
        ["anna", "group", "–", "operator"],
        ["a program", "group", "–", "viewer"],
    ]


def test_a_user_who_is_gone_leaves_the_history_behind(anna):
    user = make_user("viewer")
    pk = user.pk

    user.delete()

    events = MembershipEvent.objects.filter(user_id=pk).order_by("pgh_id")
    assert [event.pgh_label for event in events] == ["joined", "left"]


# The one sanctioned delete -----------------------------------------------------------


def test_a_simulated_election_goes_with_its_history(anna, election):
    edit(anna, election, description="after")
    edit(anna, Constituency.objects.get(), district="after")
    other = make_region()
    edit(anna, other, name="after")
    Election.objects.update(is_simulated=True)

    delete_simulated_election("duma")

    left = [model.objects.count() for model in EVENTS]
    assert left == [2, 0, 0]
