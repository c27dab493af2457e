"""The registry as staff look after it."""

import csv
import io
import tempfile
from pathlib import Path

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from elections.models import Constituency, Election, Region
from tests.admin_site import (
    EVIL,
    LONG,
    clerk_client,
    edit,
    list_of,
    messages_of,
    page_of,
    staff_client,
    text_of,
)
from tests.factories import make_constituency, make_election, make_region
from tests.transactions.lines import A, B, hour_file, issue, register, vote

pytestmark = [
    pytest.mark.django_db,
    # Tests run before the static files have been collected.
    pytest.mark.filterwarnings("ignore:No directory at"),
]


@pytest.fixture
def staff(db) -> Client:
    return staff_client()


@pytest.fixture
def loaded(load) -> Constituency:
    """Return a constituency with one issue and one vote."""
    load(hour_file("09:00", issue("i1"), vote("v1")))
    return Constituency.objects.get(contract_id=A)


def addresses():
    place = make_constituency(region=make_region(name=EVIL), name=EVIL)
    return [
        address
        for obj in (place.election, place.region, place)
        for address in (
            list_of(type(obj)),
            page_of(obj),
            reverse(f"admin:elections_{obj._meta.model_name}_add"),
            reverse(f"admin:elections_{obj._meta.model_name}_delete", args=[obj.pk]),
            reverse(f"admin:elections_{obj._meta.model_name}_history", args=[obj.pk]),
            reverse(f"admin:elections_{obj._meta.model_name}_import"),
            reverse(f"admin:elections_{obj._meta.model_name}_export"),
        )
    ]


def test_staff_open_every_page_and_names_are_escaped(staff):
    for address in addresses():
        assert EVIL not in text_of(staff.get(address)), address


def test_staff_without_rights_open_none(db):
    clerk = clerk_client()

    for address in addresses():
        assert clerk.get(address).status_code == 403, address


def test_strangers_are_sent_to_the_login(db):
    for address in addresses():
        response = Client().get(address)
        assert response.status_code == 302, address
        assert response.url.startswith(reverse("admin:login"))


def test_who_may_only_look_can_neither_save_nor_import(db):
    clerk = clerk_client("elections.view_region", "elections.view_constituency")
    region = make_region(name="before")

    refused = clerk.post(page_of(region), {"code": region.code, "name": "after"})
    imported = clerk.get(reverse("admin:elections_region_import"))

    assert (refused.status_code, imported.status_code) == (403, 403)
    assert text_of(clerk.get(reverse("admin:elections_region_export")))
    region.refresh_from_db()
    assert region.name == "before"


# Lists ----------------------------------------------------------------------------


def test_long_names_are_cut_in_lists_and_whole_in_the_title(staff):
    place = make_constituency(name=LONG, election=make_election(name=LONG))

    for model in (Election, Constituency):
        page = text_of(staff.get(list_of(model)))
        assert f'title="{LONG}"' in page
        assert f">{LONG}<" not in page
    assert LONG in text_of(staff.get(page_of(place)))


def test_the_election_list_adds_up_its_constituencies(staff, two_contracts, load):
    load(
        hour_file("09:00", register("r1", add=4), issue("i1"), vote("v1")),
        hour_file("09:00", issue("i1"), contract_id=B),
    )

    (row,) = staff.get(list_of(Election)).context["cl"].result_list

    assert (row.constituency_count, row.bulletins_issued, row.votes_cast) == (2, 2, 1)
    assert row.participation_rate == 25.0
    assert row.transaction_count == 4


def test_simulated_elections_are_marked_wherever_they_show(staff):
    real = make_constituency(election=make_election(name="real"))
    simulated = make_constituency(election=make_election(is_simulated=True))

    for model in (Election, Constituency):
        assert text_of(staff.get(list_of(model))).count(">SIMULATED<") == 1
    assert "This election is simulated" in text_of(staff.get(page_of(simulated)))
    assert "This election is simulated" in text_of(
        staff.get(page_of(simulated.election))
    )
    assert "This election is simulated" not in text_of(staff.get(page_of(real)))


@pytest.mark.parametrize("model", [Region, Election, Constituency])
def test_lists_need_the_same_number_of_queries_for_many_rows(staff, model):
    make_constituency(region=make_region())
    with CaptureQueriesContext(connection) as few:
        staff.get(list_of(model))
    for _ in range(20):
        make_constituency(region=make_region())

    with CaptureQueriesContext(connection) as many:
        staff.get(list_of(model))

    assert len(many) == len(few) <= 14


def test_constituencies_are_found_by_election_region_and_text(staff):
    place = make_constituency(region=make_region(), name="Пермь")
    make_constituency(region=make_region(), name="Тверь")

    def found(**search):
        page = staff.get(list_of(Constituency), search)
        return [row.pk for row in page.context["cl"].result_list]

    assert found(election=place.election.slug) == [place.pk]
    assert found(region__id__exact=place.region_id) == [place.pk]
    assert found(q="Пермь") == found(q=place.contract_id) == [place.pk]
    assert found(election="nobody") == []


def test_a_page_links_to_the_rows_of_its_constituency(staff, loaded):
    page = text_of(staff.get(page_of(loaded)))

    for name in (
        "metrics_hourlystats",
        "transactions_importbatch",
        "transactions_conflictingrow",
        "transactions_ledger",
    ):
        assert f"{reverse(f'admin:{name}_changelist')}?constituency={A}" in page


# Saving ---------------------------------------------------------------------------


def test_an_edit_writes_the_edited_fields_and_not_totals_that_moved(staff, loaded):
    with CaptureQueriesContext(connection) as queries:
        edit(staff, loaded, district="Округ 1")

    (update,) = [q["sql"] for q in queries if 'UPDATE "elections_c' in q["sql"]]
    # Before it stands who does it, for the history.
    assert update.split("; ")[-1].split("WHERE")[0] == (
        'UPDATE "elections_constituency" SET "district" = \'Округ 1\' '
    )
    loaded.refresh_from_db()
    assert (loaded.district, loaded.votes_cast) == ("Округ 1", 1)


def test_an_edit_locks_the_constituency_before_it_reads_it(staff, loaded):
    with CaptureQueriesContext(connection) as queries:
        edit(staff, loaded, district="Округ 1")

    of_rows = [q["sql"] for q in queries if '"elections_constituency"' in q["sql"]]
    after_form = of_rows[next(i for i, sql in enumerate(of_rows) if "NO KEY" in sql) :]
    assert "FOR NO KEY UPDATE" in after_form[0]
    assert any('UPDATE "elections_c' in sql for sql in after_form[1:])


def test_a_form_without_changes_writes_nothing(staff, loaded):
    with CaptureQueriesContext(connection) as queries:
        edit(staff, loaded)

    assert not [q for q in queries if 'UPDATE "elections_' in q["sql"]]


def test_a_new_name_gets_its_key(staff):
    election = make_election(name="before")
    key = election.name_key

    edit(staff, election, name="after")

    election.refresh_from_db()
    assert election.name == "after"
    assert election.name_key != key


def test_times_that_staff_state_are_theirs(staff):
    election = make_election()

    edit(staff, election, starts_at_0="2026-09-18", starts_at_1="05:00:00")

    election.refresh_from_db()
    assert election.window_source == "staff"
    assert f"{election.starts_at:%d %H:%M}" == "18 05:00"


def test_times_that_staff_leave_alone_stay_the_ledgers(staff):
    election = make_election()

    edit(staff, election, description="new")

    election.refresh_from_db()
    assert election.window_source == "ledger"


def test_times_that_staff_clear_are_the_ledgers_again(staff):
    election = make_election()
    edit(staff, election, starts_at_0="2026-09-18", starts_at_1="05:00:00")

    edit(staff, election, starts_at_0="", starts_at_1="")

    election.refresh_from_db()
    assert (election.starts_at, election.window_source) == (None, "ledger")


def test_a_register_that_staff_state_is_theirs(staff):
    place = make_constituency(
        stated_registered_voters=5, stated_registered_voters_source="catalogue"
    )

    edit(staff, place, stated_registered_voters="7")

    place.refresh_from_db()
    assert (place.registered_voters, place.registered_voters_source) == (7, "staff")


def test_an_edit_of_something_else_leaves_the_registers_source(staff):
    place = make_constituency(
        stated_registered_voters=5, stated_registered_voters_source="catalogue"
    )

    edit(staff, place, district="1")

    place.refresh_from_db()
    assert place.registered_voters_source == "catalogue"


def test_an_unknown_time_zone_is_refused(staff):
    region = make_region()

    page = text_of(edit(staff, region, timezone="Europe/Atlantis"))

    assert "is no time zone" in page
    region.refresh_from_db()
    assert region.timezone == ""


@pytest.mark.parametrize("name", ["Factory", "localtime"])
def test_a_zone_that_is_no_place_is_neither_offered_nor_taken(staff, name):
    region = make_region()
    page = text_of(staff.get(page_of(region)))

    refused = text_of(edit(staff, region, timezone=name))

    assert f'value="{name}"' not in page
    assert 'value="Europe/Moscow"' in page
    assert f"“{name}” is no time zone" in refused
    region.refresh_from_db()
    assert region.timezone == ""


@pytest.mark.parametrize("of", ["region", "election"])
def test_another_time_zone_asks_for_a_recount(staff, of):
    place = make_constituency(region=make_region(timezone="Asia/Tokyo"))

    (warning, _) = messages_of(edit(staff, getattr(place, of), timezone="Asia/Seoul"))

    assert "Asia/Seoul" in warning
    assert "Recount from the ledger" in warning


def test_a_move_to_a_region_of_another_zone_asks_for_a_recount(staff, loaded):
    (warning, _) = messages_of(
        edit(staff, loaded, region=make_region(timezone="Asia/Tokyo").pk)
    )

    assert "from UTC to Asia/Tokyo" in warning


def test_the_address_registers_a_contract(staff):
    election = make_election()
    form = staff.get(reverse("admin:elections_constituency_add"), {"contract_id": A})

    assert form.context["adminform"].form["contract_id"].value() == A
    staff.post(
        reverse("admin:elections_constituency_add"),
        {"contract_id": A, "election": election.pk, "name": "new", "status": "active"},
    )

    assert Constituency.objects.get(contract_id=A).election == election


# What must stay -------------------------------------------------------------------


def test_a_constituency_without_rows_can_be_moved(staff):
    place, other = make_constituency(), make_election()

    edit(staff, place, election=other.pk)

    place.refresh_from_db()
    assert place.election == other


def test_a_constituency_with_rows_stays_in_its_election(staff, loaded):
    form = staff.get(page_of(loaded)).context["adminform"].form

    page = text_of(edit(staff, loaded, election=make_election().pk, district="new"))

    assert "election" not in form.fields
    assert "stays in its election" in page
    loaded.refresh_from_db()
    assert (loaded.election.slug, loaded.district) == ("duma", "")


def test_a_constituency_with_rows_is_not_deleted(staff, loaded):
    address = reverse("admin:elections_constituency_delete", args=[loaded.pk])

    page = text_of(staff.get(address))
    staff.post(address, {"post": "yes"})

    assert "2 transactions in the ledger" in page
    assert Constituency.objects.filter(pk=loaded.pk).exists()


def test_a_constituency_without_rows_is_deleted(staff):
    place = make_constituency()
    address = reverse("admin:elections_constituency_delete", args=[place.pk])

    staff.post(address, {"post": "yes"})

    assert not Constituency.objects.filter(pk=place.pk).exists()


@pytest.mark.parametrize("of", ["region", "election"])
def test_what_has_constituencies_is_not_deleted(staff, of):
    obj = getattr(make_constituency(region=make_region()), of)
    address = reverse(f"admin:elections_{of}_delete", args=[obj.pk])

    page = text_of(staff.get(address))
    staff.post(address, {"post": "yes"})

    assert "1 constituencies" in page
    assert type(obj).objects.filter(pk=obj.pk).exists()


@pytest.mark.parametrize("model", [Region, Election, Constituency])
def test_lists_have_no_bulk_delete(staff, model):
    make_constituency(region=make_region())

    assert "delete_selected" not in text_of(staff.get(list_of(model)))


# Bulk import and export -----------------------------------------------------------


def import_csv(client, model, text):
    """Upload a file; return the page, or the answer to its confirmation."""
    address = reverse(f"admin:elections_{model._meta.model_name}_import")
    file = SimpleUploadedFile("registry.csv", text.encode())
    page = client.post(address, {"import_file": file, "format": "0"})
    if (confirmation := page.context.get("confirm_form")) is None:
        return page
    address = reverse(f"admin:elections_{model._meta.model_name}_process_import")
    return client.post(address, confirmation.initial)


def export_csv(client, model):
    address = reverse(f"admin:elections_{model._meta.model_name}_export")
    form = client.get(address).context["form"]
    fields = {name: "on" for name in form.fields if name.startswith("regionresource")}
    response = client.post(address, {"format": "0", "resource": "", **fields})
    return list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))


def test_a_file_waits_below_var_dir_and_is_gone_after_its_import(
    staff, settings, tmp_path
):
    assert settings.MEDIA_ROOT.is_relative_to(settings.VAR_DIR)
    # Other tests leave files there.
    settings.MEDIA_ROOT = tmp_path
    waiting = tmp_path / "django-import-export"
    file = SimpleUploadedFile("registry.csv", b"code,name\n90,Perm\n")
    before = set(Path(tempfile.gettempdir()).iterdir())

    trial = staff.post(
        reverse("admin:elections_region_import"), {"import_file": file, "format": "0"}
    )
    assert len(list(waiting.iterdir())) == 1
    assert not [
        path
        for path in set(Path(tempfile.gettempdir()).iterdir()) - before
        if path.is_file() and b"90,Perm" in path.read_bytes()
    ]
    staff.post(
        reverse("admin:elections_region_process_import"),
        trial.context["confirm_form"].initial,
    )

    assert list(waiting.iterdir()) == []
    assert Region.objects.get().name == "Perm"


def test_a_catalogue_is_imported_by_contract_id(staff):
    election, region = make_election(slug="duma"), make_region(code="90")
    known = make_constituency(contract_id="c1", election=election, name="old")

    told = messages_of(
        import_csv(
            staff,
            Constituency,
            "contract_id,election,region,district,ballot_kind,name,"
            "stated_registered_voters,status\n"
            "c1,duma,90,1,list,Округ 1,700,active\n"
            "c2,duma,,2,,Округ 2,,offline\n",
        )
    )

    known.refresh_from_db()
    new = Constituency.objects.get(contract_id="c2")
    assert told == [
        "Import finished: 1 new, 1 updated, 0 deleted and 0 skipped constituencies."
    ]
    assert (known.name, known.region, known.ballot_kind) == ("Округ 1", region, "list")
    assert (known.registered_voters, known.registered_voters_source) == (
        700,
        "catalogue",
    )
    assert (new.election, new.region, new.status) == (election, None, "offline")
    assert LogEntry.objects.count() == 2


def test_an_import_writes_its_columns_and_no_totals(staff, loaded):
    with CaptureQueriesContext(connection) as queries:
        import_csv(staff, Constituency, f"contract_id,name\n{A},Округ 1\n")

    updates = [q["sql"] for q in queries if 'UPDATE "elections_c' in q["sql"]]
    assert len(updates) == 2  # the trial and the import
    for update in updates:
        assert "votes_cast" not in update
        assert "district" not in update
    loaded.refresh_from_db()
    assert (loaded.name, loaded.votes_cast) == ("Округ 1", 1)


def test_an_unchanged_row_is_skipped(staff, loaded):
    with CaptureQueriesContext(connection) as queries:
        import_csv(staff, Constituency, f"contract_id,election\n{A},duma\n")

    assert not [q for q in queries if 'UPDATE "elections_' in q["sql"]]


def test_an_import_locks_the_rows_it_may_write(staff, loaded):
    with CaptureQueriesContext(connection) as queries:
        import_csv(staff, Constituency, f"contract_id,name\n{A},Округ 1\n")

    assert sum("FOR NO KEY UPDATE" in q["sql"] for q in queries) == 2


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("c9,nobody,,name,active,", "No election has the slug “nobody”."),
        ("c9,duma,77,name,active,", "No region has the code “77”."),
        ("c9,duma,,name,asleep,", "is not a valid choice"),
        ("c9,duma,,,active,", "cannot be blank"),
        ("c9,,,name,active,", "cannot be null"),
        ("c9,duma,,name,active,many", "must be a whole number"),
    ],
)
def test_an_import_says_what_is_wrong_with_a_row(staff, row, sentence):
    make_election(slug="duma")

    page = text_of(
        import_csv(
            staff,
            Constituency,
            "contract_id,election,region,name,status,stated_registered_voters\n"
            f"good,duma,,name,active,\n{row}\n",
        )
    )

    assert sentence in page
    assert Constituency.objects.count() == 0


def test_an_import_does_not_move_a_constituency_with_rows(staff, loaded):
    make_election(slug="other")

    page = text_of(
        import_csv(staff, Constituency, f"contract_id,election\n{A},other\n")
    )

    assert "stays in its election" in page
    loaded.refresh_from_db()
    assert loaded.election.slug == "duma"


def test_an_unknown_column_is_named(staff):
    page = text_of(import_csv(staff, Constituency, "contract_id,votes_cast\nc1,7\n"))

    assert "Unknown columns: votes_cast." in page


def test_imported_times_are_staffs(staff):
    election = make_election(slug="duma")

    import_csv(staff, Election, "slug,starts_at\nduma,2026-09-18T08:00+03:00\n")

    election.refresh_from_db()
    assert f"{election.starts_at:%H:%M} {election.window_source}" == "05:00 staff"


def test_an_imported_time_zone_asks_for_a_recount(staff):
    make_region(code="90", timezone="Asia/Tokyo")

    told = messages_of(import_csv(staff, Region, "code,timezone\n90,Asia/Seoul\n"))

    assert "Recount from the ledger" in told[0]


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_an_export_holds_no_formula_and_can_be_imported_again(staff, start):
    make_region(code="90", name=f"{start}1+1")

    (row,) = export_csv(staff, Region)
    text = f'code,name\n90,"{row["name"]}"\n91,"{row["name"]}"\n'
    import_csv(staff, Region, text)

    assert row["name"] == f"'{start}1+1"
    assert {region.name for region in Region.objects.all()} == {f"{start}1+1"}
