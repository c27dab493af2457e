"""Reports on polling stations: handed in, computed once, and drawn in the admin."""

import json
import re
from io import StringIO
from xml.etree import ElementTree

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from anomalies.admin import charts
from anomalies.models import StationReport
from anomalies.services import (
    ElectionGone,
    StoredReport,
    UnreadableStations,
    forensics,
    station_reports,
    store_report,
)
from election_monitor.deletion import delete_simulated_election
from elections.models import Election
from manage import needs_services
from tests.admin_site import EVIL, list_of, messages_of, page_of, staff_client, text_of
from tests.anomalies.rules.worlds import clean_election, table, with_added_votes
from tests.factories import make_election, make_user

pytestmark = [
    pytest.mark.django_db,
    # Tests run before the static files have been collected.
    pytest.mark.filterwarnings("ignore:No directory at"),
]

HEADER = "region,tik,voters,given,received,leader"
SVG = "{http://www.w3.org/2000/svg}"


def csv(stations, *, region="N", commission="Centre"):
    columns = (stations.voters, stations.given, stations.received, stations.leader)
    rows = (
        f"{region},{commission},{','.join(map(str, row))}"
        for row in zip(*columns, strict=True)
    )
    return "\n".join([HEADER, *rows]).encode()


# Turnout 70 % and a share of 50 % in six stations, 40 % and 30 % in three; one found more
# ballots than it gave out.
SIX, THREE = (1000, 700, 700, 350), (1000, 400, 400, 120)
BROKEN = (1000, 500, 503, 200)
SMALL = csv(table(*[SIX] * 6, *[THREE] * 3, BROKEN))


@pytest.fixture(scope="module")
def shifted():
    """Return the bytes of an election with votes that were added."""
    return csv(with_added_votes(clean_election(3, number=2000), 0.5))


@pytest.fixture
def staff():
    return staff_client()


@pytest.fixture
def election():
    return make_election(slug="duma")


def address():
    return reverse("admin:anomalies_stationreport_upload")


def hand_in(client, election, content=SMALL, name="stations.csv"):
    data = {"file": SimpleUploadedFile(name, content), "election": election.pk}
    return client.post(address(), data)


def store(election, source=None, **fields):
    made_up = {"name": "stations.csv", "by": None, "now": timezone.now()}
    file = source or SimpleUploadedFile("stations.csv", SMALL)
    return store_report(election=election, source=file, **{**made_up, **fields})


def report_page(client, election, content=SMALL):
    hand_in(client, election, content)
    return text_of(client.get(page_of(StationReport.objects.get())))


def pictures(page):
    """Return the charts of a page by what they are called."""
    found = re.findall(r"<svg viewBox.*?</svg>", page, re.DOTALL)
    spaced = (each.replace("<svg", f'<svg xmlns="{SVG[1:-1]}"', 1) for each in found)
    trees = [ElementTree.fromstring(each) for each in spaced]  # noqa: S314 our own page
    return {tree.get("aria-label").split(":")[0]: tree for tree in trees}, trees


def marks(picture, kind, name):
    return picture.findall(f".//{SVG}g[@class='{kind}']/{SVG}{name}")


# Handing in ---------------------------------------------------------------------


def test_the_list_has_a_button_and_the_form_asks_for_election_and_file(staff, election):
    assert f'href="{address()}"' in text_of(staff.get(list_of(StationReport)))
    page = text_of(staff.get(address()))
    assert 'type="file"' in page
    assert f">{election.name}<" in page


def test_a_file_handed_in_is_stored_with_what_the_rules_say(staff, election):
    answer = hand_in(staff, election)

    row = StationReport.objects.get()
    assert answer.url == page_of(row)
    assert (row.election, row.file_name, row.stations) == (election, "stations.csv", 10)
    assert row.uploaded_by.is_superuser
    stations = table(*[SIX] * 6, *[THREE] * 3, BROKEN)
    assert row.report["H12"] == forensics(stations).as_json()["H12"]
    assert row.report["charts"]["turnout"][140] == 6
    assert LogEntry.objects.get().object_id == str(row.pk)


def test_the_page_says_every_rule_in_a_sentence_with_its_severity(
    staff, election, shifted
):
    page = report_page(staff, election, shifted)

    findings = StationReport.objects.get().report["findings"]
    rows = re.findall(r'<th scope="row">(\w\d\d) .*?em-badge \S+">(\w+)<', page)
    assert rows == [(each["code"], each["severity"]) for each in findings]
    assert ("P02", "warning") in rows
    for word in ("Mean second digit of ballots given out", "All protocols add up."):
        assert word in page
    for word in ("fraud", "stuff", "falsif"):
        assert word not in page.lower()


def test_named_regions_and_protocols_stand_in_tables(staff, election, shifted):
    page = report_page(staff, election, shifted)
    hand_in(staff, election, SMALL)
    other = text_of(staff.get(page_of(StationReport.objects.latest("id"))))

    assert "P02: regions where share rises strongly with turnout" in page
    assert re.search(r'<td>N</td><td><span class="em-number">2,000</span></td>', page)
    assert "H12: protocols that cannot be" in other
    cells = re.findall(r'<span class="em-number">([\d,]+)</span></td>', other)
    assert cells[-5:] == ["11", "1,000", "500", "503", "200"]
    assert "H12: protocols" not in page


def test_the_same_file_twice_is_one_report(staff, election):
    first = hand_in(staff, election)

    second = hand_in(staff, election, name="renamed.csv")

    assert second.url == first.url
    assert messages_of(second)[-1] == "This file is known already; this is its report."
    assert StationReport.objects.get().file_name == "stations.csv"
    assert LogEntry.objects.count() == 1


def test_the_same_file_for_another_election_is_another_report(staff, election):
    hand_in(staff, election)

    hand_in(staff, make_election())

    assert StationReport.objects.count() == 2


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "stations.csv: the file is empty."),
        (b"region,tik\nN,1", "The column “voters” is missing."),
        (SMALL + b"\nN,Centre,1,2,x,4", "Line 12, column “received”: “x” is not a"),
        (b"\x1f\x8b\x08broken", "stations.csv: damaged, cannot be unpacked."),
        (HEADER.encode(), "There are no stations below the header."),
    ],
    ids=["empty", "column missing", "bad line", "damaged", "no stations"],
)
def test_a_broken_file_is_refused_with_its_sentence(
    staff, election, content, complaint
):
    page = text_of(hand_in(staff, election, content))

    assert complaint in page
    assert not StationReport.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_file_without_an_election_is_refused(staff):
    data = {"file": SimpleUploadedFile("stations.csv", SMALL), "election": ""}

    assert "This field is required." in text_of(staff.post(address(), data))
    assert not StationReport.objects.exists()


def test_a_request_larger_than_any_file_is_not_read(staff, election):
    body = b"--x\r\nnothing that could be read"
    answer = staff.post(
        address(),
        body,
        content_type="multipart/form-data; boundary=x",
        CONTENT_LENGTH=str(66 << 20),
    )

    assert answer.url == address()
    assert messages_of(answer) == ["The file is larger than 64 MB."]


def test_a_file_larger_than_what_is_read_is_refused(staff, election, monkeypatch):
    monkeypatch.setattr("anomalies.services.station_files.LARGEST_BYTES", 100)

    assert "stations.csv: larger than 0 MB." in text_of(hand_in(staff, election))
    assert not StationReport.objects.exists()


def test_names_in_a_file_are_shown_as_they_are_written(staff, election):
    content = csv(table(BROKEN), commission=EVIL.replace("'", ""))

    page = report_page(staff, election, content)

    assert "N / &lt;script&gt;alert(x)" in page
    assert "<script>alert(x)" not in page


# Who may ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "sees", "hands_in"),
    [
        ("viewer", 403, 403),
        ("observer", 403, 403),
        ("feeder", 403, 403),
        ("analyst", 200, 403),
        ("operator", 200, 302),
        ("admin", 200, 302),
    ],
)
def test_analysts_look_at_reports_and_operators_hand_files_in(
    client, election, role, sees, hands_in
):
    row = store(election).report
    client.force_login(make_user(role, is_staff=True))

    listed, shown = client.get(list_of(StationReport)), client.get(page_of(row))
    other = csv(table(SIX))

    assert (listed.status_code, shown.status_code) == (sees, sees)
    assert ("Mean second digit" in shown.content.decode()) == (sees == 200)
    assert (address() in listed.content.decode()) == (hands_in == 302)
    assert client.get(address()).status_code == (200 if hands_in == 302 else 403)
    assert hand_in(client, election, other).status_code == hands_in
    assert StationReport.objects.count() == (2 if hands_in == 302 else 1)


def test_nobody_edits_or_deletes_a_report_by_hand(staff, election):
    row = store(election).report
    delete = reverse("admin:anomalies_stationreport_delete", args=[row.pk])

    assert staff.post(delete, {"post": "yes"}).status_code == 403
    assert staff.post(page_of(row), {"file_name": "other"}).status_code == 403
    assert StationReport.objects.get().file_name == "stations.csv"


# The service --------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_the_rules_are_computed(election, monkeypatch):
    seen = []

    def watched(stations):
        seen.append(connection.in_atomic_block)
        return forensics(stations)

    monkeypatch.setattr(station_reports, "forensics", watched)
    store(election)

    assert seen == [False]
    assert StationReport.objects.count() == 1


def test_who_was_slower_gets_the_report_of_who_was_faster(election, monkeypatch):
    faster = []

    def overtaken(stations):
        monkeypatch.undo()
        faster.append(store(election))
        return forensics(stations)

    monkeypatch.setattr(station_reports, "forensics", overtaken)
    slower = store(election, name="other.csv")

    assert slower == StoredReport(faster[0].report, is_new=False)
    assert StationReport.objects.get().file_name == "stations.csv"


def test_an_election_deleted_meanwhile_is_told(election, monkeypatch):
    def meanwhile(stations):
        Election.objects.filter(pk=election.pk).delete()
        return forensics(stations)

    monkeypatch.setattr(station_reports, "forensics", meanwhile)
    with pytest.raises(ElectionGone, match="nothing is stored"):
        store(election)

    assert not StationReport.objects.exists()


def test_a_file_that_is_known_is_not_computed_again(election, monkeypatch):
    known = store(election).report
    monkeypatch.setattr(station_reports, "forensics", pytest.fail)

    assert store(election) == StoredReport(known, is_new=False)


def test_a_name_that_no_page_can_show_is_stored_as_one_that_can(election):
    store(election, name="\udcff" + "long" * 100 + "\n.csv")

    name = StationReport.objects.get().file_name
    assert len(name) == 255
    assert name.endswith("long\ufffd.csv")


# The command --------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "stations.csv"
    path.write_bytes(SMALL)
    return path


def command(*words):
    out = StringIO()
    call_command("forensics", *map(str, words), stdout=out)
    return out.getvalue()


def test_the_command_stores_the_report_for_an_election(path, election):
    text = command(path, "--election", "duma")

    row = StationReport.objects.get()
    assert (row.election, row.file_name, row.uploaded_by) == (election, path.name, None)
    assert text.startswith("stations.csv: 10 polling stations")
    assert f"Stored as polling-station report {row.pk} of duma." in text


def test_the_command_tells_the_same_whether_it_stores_or_not(path, election):
    plain = json.loads(command(path, "--json"))

    first, second = (
        json.loads(command(path, "--election", "duma", "--json")) for _ in range(2)
    )

    pk = StationReport.objects.get().pk
    assert first.pop("stored") == {"id": pk, "is_new": True}
    assert second.pop("stored") == {"id": pk, "is_new": False}
    assert plain == first == second


def test_the_command_says_that_a_file_is_known(path, election):
    command(path, "--election", "duma")

    assert "already: nothing was stored." in command(path, "--election", "duma")


@pytest.mark.parametrize(
    ("slug", "complaint"),
    [("nowhere", "No election has the slug nowhere"), ("no slug", "--election “no s")],
)
def test_the_command_refuses_an_election_that_is_none(path, slug, complaint):
    with pytest.raises(CommandError, match=complaint):
        command(path, "--election", slug)

    assert not StationReport.objects.exists()


def test_the_command_stores_nothing_of_a_broken_file(path, election):
    path.write_text("nothing")

    with pytest.raises(CommandError, match="“region” is missing"):
        command(path, "--election", "duma")
    with pytest.raises(UnreadableStations, match="No such file"):
        store(election, source=path.with_name("nowhere.csv"))

    assert not StationReport.objects.exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("forensics stations.csv", False),
        ("forensics stations.csv --json", False),
        ("forensics stations.csv --election duma", True),
        ("forensics --election=duma stations.csv", True),
        ("forensics stations.csv --el duma", True),
        ("forensics --election duma --help", False),
        ("evaluate_anomalies --elections 1", False),
        ("import_transactions forensics", True),
        ("services start", False),
        ("", False),
    ],
)
def test_services_start_only_for_commands_that_need_them(words, expected):
    assert needs_services(words.split()) is expected


# Deletion -----------------------------------------------------------------------


def test_reports_go_with_a_simulated_election_and_with_no_other():
    real, simulated = make_election(), make_election(is_simulated=True)
    kept = store(real).report
    store(simulated)

    deleted = delete_simulated_election(simulated.slug)

    assert deleted["anomalies.stationreport"] == 1
    assert StationReport.objects.get() == kept


# Charts -------------------------------------------------------------------------


def test_the_tallest_bar_is_where_most_stations_are(staff, election):
    _, (turnout, share, *_) = pictures(report_page(staff, election))

    for picture, percent in ((turnout, 70), (share, 50)):
        bars = marks(picture, "em-bars", "rect")
        tallest = max(bars, key=lambda bar: float(bar.get("height")))
        assert tallest.find(f"{SVG}title").text == f"{percent} %: 6 stations"
        middle = float(tallest.get("x")) + float(tallest.get("width")) / 2
        tick = next(t for t in picture.iter(f"{SVG}text") if t.text == str(percent))
        assert middle == pytest.approx(float(tick.get("x")), abs=0.05)


def test_bars_are_as_high_as_their_stations_on_the_scale(staff, election):
    _, (turnout, *_) = pictures(report_page(staff, election))

    heights = {
        bar.find(f"{SVG}title").text: float(bar.get("height"))
        for bar in marks(turnout, "em-bars", "rect")
    }
    # The scale ends at six.
    full = charts.BOTTOM - charts.TOP
    assert heights == {
        "40 %: 3 stations": full / 2,
        "50 %: 1 station": pytest.approx(full / 6, abs=0.01),
        "70 %: 6 stations": full,
    }


def test_the_darkest_cell_is_where_most_stations_are(staff, election):
    _, trees = pictures(report_page(staff, election))

    cells = {
        cell.find(f"{SVG}title").text: cell.attrib
        for cell in marks(trees[-1], "em-heat", "rect")
    }
    assert {told: cell["class"] for told, cell in cells.items()} == {
        "turnout 40–45 %, share 30–35 %: 3 stations": "em-shade-2",
        "turnout 50–55 %, share 35–40 %: 1 station": "em-shade-1",
        "turnout 70–75 %, share 50–55 %: 6 stations": "em-shade-2",
    }
    six = cells["turnout 70–75 %, share 50–55 %: 6 stations"]
    # Turnout to the right, share upwards.
    assert float(six["x"]) == pytest.approx(58 + 408 * 0.7)
    assert float(six["y"]) == pytest.approx(272 - 242 * 0.55)


def test_the_curve_has_its_core_where_most_votes_for_others_are(
    staff, election, shifted
):
    by_name, _ = pictures(report_page(staff, election, shifted))
    curve = by_name["Curves"]

    report = StationReport.objects.get().report
    core = report["P04"]["core_turnout"]
    line = curve.find(f"./{SVG}line[@class='em-core-line']")
    assert float(line.get("x1")) == pytest.approx(58 + 4.08 * core)
    band = curve.find(f"./{SVG}rect[@class='em-core']")
    assert float(band.get("width")) == pytest.approx(4.08 * 6)
    assert f"core {core} %" in [text.text for text in curve.iter(f"{SVG}text")]
    leader = curve.find(f".//{SVG}polyline[@class='em-leader']").get("points").split()
    highest = min(range(101), key=lambda at: float(leader[at].split(",")[1]))
    votes = report["charts"]["P04"]["leader"]
    assert votes[highest] == max(votes)
    area = curve.find(f".//{SVG}polygon").get("points").split()
    assert area[0] == leader[core]
    assert len(area) == 2 * (101 - core)


def test_every_chart_has_a_title_and_axes_with_their_units(staff, election, shifted):
    page = report_page(staff, election, shifted)
    _, trees = pictures(page)

    titles = [
        [each.text for each in tree.iter(f"{SVG}text") if each.get("class")]
        for tree in trees
    ]
    assert [each[:2] for each in titles] == [
        ["turnout, %", "polling stations"],
        ["leader’s share, %", "polling stations"],
        ["turnout, %", "votes, thousands"],
        ["turnout, %", "leader’s share, %"],
    ]
    assert len(re.findall(r"<figcaption><h3>[^<]+</h3>", page)) == 4


def test_the_page_keeps_to_the_policy_of_the_site(staff, election, shifted):
    page = report_page(staff, election, shifted)

    shown = page[page.index("What the rules say") : page.index('class="submit-row"')]
    for word in (" style=", "<style", "<script", " onclick"):
        assert word not in shown
    assert "anomalies/reports.css" in page


def test_stations_that_tell_nothing_have_a_page_without_their_charts(staff, election):
    page = report_page(staff, election, csv(table((0, 0, 0, 0))))

    by_name, _ = pictures(page)
    assert set(by_name) == {"Histogram"}
    assert "Too few stations, or all alike: nothing can be told." in page


@pytest.mark.parametrize(
    ("highest", "labels"),
    [
        (0, ["0", "1"]),
        (6, ["0", "1", "2", "3", "4", "5", "6"]),
        (2698, ["0", "500", "1,000", "1,500", "2,000", "2,500", "3,000"]),
    ],
)
def test_a_scale_has_round_steps_and_room_for_the_highest_bar(highest, labels):
    drawn = charts.histogram([highest, 0], x_title="turnout, %")

    assert [tick.label for tick in drawn.frame.y_ticks] == labels
    assert drawn.frame.y_ticks[0].at == charts.BOTTOM
    assert drawn.frame.y_ticks[-1].at == charts.TOP


def test_a_core_that_is_not_clean_says_so_on_its_line():
    votes = [0] * 96 + [5] + [0] * 4
    drawn = charts.curve(
        leader=votes, others=votes, expected=votes, core=96, is_clean=False
    )

    assert drawn.core.label == "core 96 %, too high"
    assert drawn.core.x + drawn.core.width == pytest.approx(58 + 4.08 * 99)
