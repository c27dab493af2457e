"""`manage.py forensics`: from a file of polling stations to sentences and numbers.

No test here may use the database, and none can: pytest-django forbids it.
"""

import gzip
import json
import tracemalloc
from io import StringIO
from time import process_time

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from anomalies.services import (
    UnreadableStations,
    forensics,
    read_stations,
    station_files,
)
from tests.anomalies.published import YEARS, expected, russia
from tests.anomalies.rules.worlds import clean_election, table, with_added_votes
from tests.shared_data import FORENSICS, needs_forensics

HEADER = "region,tik,voters,given,received,leader"


@pytest.fixture
def written(tmp_path):
    """Write lines into a file and return its path."""

    def write(*lines, name="stations.csv"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def told(path, *words):
    out = StringIO()
    call_command("forensics", str(path), *words, stdout=out)
    return out.getvalue()


def answer(path):
    return json.loads(told(path, "--json"), parse_constant=pytest.fail)


def rows_of(stations):
    columns = (stations.voters, stations.given, stations.received, stations.leader)
    return [
        f"{code},0,{','.join(map(str, row))}"
        for code, row in zip(
            stations.regions.codes, zip(*columns, strict=True), strict=True
        )
    ]


# Reading ------------------------------------------------------------------------


def test_columns_are_found_by_name_in_any_order(written):
    path = written(
        "leader,extra,region,tik,received,given,voters", "30,x,North,1,50,51,100"
    )

    stations = read_stations(path)

    assert (
        stations.voters.tolist(),
        stations.given.tolist(),
        stations.received.tolist(),
        stations.leader.tolist(),
    ) == ([100], [51], [50], [30])
    assert stations.regions.names == ("North",)


def test_commissions_of_one_name_in_two_regions_are_two(written):
    stations = read_stations(
        written(HEADER, "A,Centre,9,8,7,6", "B,Centre,9,8,7,6", "A,Centre,9,8,7,6")
    )

    assert stations.commissions.names == ("A / Centre", "B / Centre")
    assert stations.commissions.codes.tolist() == [0, 1, 0]


def test_a_packed_file_with_a_mark_and_floats_of_a_spreadsheet_is_read(tmp_path):
    path = tmp_path / "stations.csv.gz"
    text = f"\ufeff{HEADER}\r\nСевер,1,100.0, 51 ,50.00,30\r\n"
    path.write_bytes(gzip.compress(text.encode()))

    stations = read_stations(path)

    assert stations.voters.tolist() == [100]
    assert stations.given.tolist() == [51]
    assert stations.received.tolist() == [50]
    assert stations.regions.names == ("Север",)


@pytest.mark.parametrize("column", HEADER.split(","))
def test_a_missing_column_is_named(written, column):
    columns = [name for name in HEADER.split(",") if name != column]

    with pytest.raises(CommandError, match=f"“{column}” is missing"):
        told(written(",".join(columns), "1,2,3,4,5"))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("1,1,100,many,50,30", "Line 3, column “given”: “many” is not a whole number"),
        ("1,1,100,-5,50,30", "Line 3, column “given”: -5 is negative"),
        ("1,1,100,5.5,50,30", "Line 3, column “given”: “5.5” is not a whole number"),
        ("1,1,100,,50,30", "Line 3, column “given”: nothing is there"),
        ("1,1,100,50,50", "Line 3, column “leader”: nothing is there"),
        ("1,1,100,50,50,30,7", "Line 3 has 7 values, the header 6"),
        ("1,1,99999999,50,50,30", "Line 3, column “voters”: 99999999 is more than"),
        ("1,1,1e5,50,50,30", "Line 3, column “voters”: “1e5” is not a whole number"),
    ],
)
def test_the_first_bad_line_is_named(written, line, complaint):
    good, worse = "1,1,100,51,50,30", "1,1,x,x,x,x"

    with pytest.raises(UnreadableStations) as error:
        read_stations(
            written(HEADER, good, line, good, worse if "7" not in line else good)
        )

    assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (HEADER.encode(), "no stations below the header"),
        (HEADER.encode() + b"\n", "no stations below the header"),
        (f"{HEADER}\nСевер,1,1,1,1,1\n".encode("cp1251"), "line 2 is not UTF-8"),
        (b"PK\x03\x04\x00\x00", "not a text file"),
        (b"\x1f\x8b\x08broken", "damaged, cannot be unpacked"),
        (
            gzip.compress(HEADER.encode() * 100, mtime=0)[:-9],
            "damaged, cannot be unpacked",
        ),
        (f"{HEADER},voters\n1,1,1,1,1,1,1\n".encode(), "“voters” is there twice"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_a_sentence(
    tmp_path, content, complaint
):
    path = tmp_path / "stations.csv"
    path.write_bytes(content)

    with pytest.raises(CommandError) as error:
        told(path)

    assert complaint in str(error.value)
    assert error.value.returncode == 1


def test_no_such_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        told(tmp_path / "nowhere.csv")
    with pytest.raises(CommandError, match="Is a directory"):
        told(tmp_path)


def test_a_hundred_megabytes_are_refused_packed_or_not(tmp_path):
    plain, packed = tmp_path / "plain.csv", tmp_path / "packed.csv.gz"
    with plain.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    packed.write_bytes(gzip.compress(bytes(100 * 1024 * 1024), 1))

    for path in (plain, packed):
        with pytest.raises(CommandError, match="larger than 64 MB"):
            told(path)


def test_a_small_file_that_unpacks_to_much_is_not_unpacked_further(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(station_files, "LARGEST_BYTES", 1024 * 1024)
    path = tmp_path / "packed.csv.gz"
    path.write_bytes(gzip.compress(bytes(50 * 1024 * 1024), 1))

    tracemalloc.start()
    with pytest.raises(UnreadableStations, match="larger than 1 MB"):
        read_stations(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 10 * 1024 * 1024


def test_more_stations_than_any_country_has_are_refused(written, monkeypatch):
    monkeypatch.setattr(station_files, "MOST_STATIONS", 2)
    row = "1,1,100,51,50,30"

    assert read_stations(written(HEADER, row, row)).size == 2
    with pytest.raises(UnreadableStations, match="More than 2 stations"):
        read_stations(written(HEADER, row, row, row))


# The answer for programs --------------------------------------------------------


def test_the_answer_has_the_keys_of_the_contract(written):
    found = answer(written(HEADER, *rows_of(clean_election(number=2000))))

    assert set(found["P01"]) == {"any", "leader", "turnout", "flagged"}
    for name in ("any", "leader", "turnout"):
        assert set(found["P01"][name]) == {
            "n", "observed", "expected", "excess", "sd", "z",
        }  # fmt: skip
    assert set(found["P06"]) == {"mean", "z", "n"}
    assert set(found["P07"]) == {"turnout", "counts"}
    assert set(found["P07"]["turnout"]) == set(found["P07"]["counts"]) == {"share", "n"}
    assert found["H12"] == {
        "given_gt_voters": 0,
        "received_gt_given": 0,
        "leader_gt_received": 0,
    }
    assert (found["P08"], found["P09"]) == (None, None)
    for code in ("P02", "P03", "P04", "P05"):
        assert isinstance(found[code], dict)


def test_one_station_is_answered_without_numbers_that_are_none(written):
    found = answer(written(HEADER, "1,1,0,0,0,0"))

    assert found["P06"] == {"mean": None, "z": None, "n": 0}
    assert found["P07"]["turnout"] == {"share": None, "n": 0}
    assert found["P01"]["any"] == {
        "n": 0, "observed": 0, "expected": 0.0, "excess": 0.0, "sd": 0.0, "z": 0.0,
    }  # fmt: skip
    for code in ("P02", "P03", "P04", "P05"):
        assert found[code] is None


def test_a_clean_election_is_left_in_peace():
    report = forensics(clean_election(3))

    assert {each.code: each.severity for each in report.findings} == dict.fromkeys(
        ("P01", "P02", "P03", "P04", "P05", "P06", "P07", "P08", "P09", "H12"), "info"
    )
    assert report.places == {"P01": [], "P02": [], "H12": []}


def test_added_votes_are_a_warning_and_never_more():
    report = forensics(with_added_votes(clean_election(3), 0.5))

    severities = {each.code: each.severity for each in report.findings}
    assert severities["P02"] == "warning"
    assert set(severities.values()) == {"info", "warning"}
    assert len(report.places["P02"]) == 10


def test_a_protocol_that_cannot_be_is_critical_and_named_by_its_line(written):
    found = answer(
        written(HEADER, "N,Centre,900,500,500,300", "N,Centre,900,500,503,300")
    )

    assert found["H12"]["received_gt_given"] == 1
    assert found["places"]["H12"] == [
        {
            "line": 3,
            "commission": "N / Centre",
            "voters": 900,
            "given": 500,
            "received": 503,
            "leader": 300,
        }
    ]
    (finding,) = [each for each in found["findings"] if each["code"] == "H12"]
    assert finding["severity"] == "critical"


def test_parties_and_remote_stations_let_the_other_rules_be_tried(written):
    rows = [
        f"N,{oik},500,{400},{400},{paper},{oik},0,{paper},{400 - paper}"
        for oik, paper in (("east", 250), ("west", 150))
    ]
    remote = [f"N,{oik},500,400,400,100,{oik},1,100,300" for oik in ("east", "west")]
    header = f"{HEADER},oik,remote,party_Left,party_Right"

    found = answer(written(header, *rows, *remote))

    assert found["P08"]["flips"] == 1
    east, west = found["P08"]["constituencies"]
    assert (east["name"], east["paper_winner"], east["winner"]) == (
        "east",
        "Left",
        "Right",
    )
    assert (west["name"], west["is_flipped"]) == ("west", False)
    assert found["P09"] == {"cases": 0, "first": []}


def test_ones_and_twos_of_a_party_are_found_in_the_file(written):
    rows = [f"N,Centre,500,400,400,300,{1 + each % 2}" for each in range(60)]

    found = answer(written(f"{HEADER},party_Left", *rows))

    assert found["P09"]["cases"] == 1
    assert found["P09"]["first"][0]["commission"] == "N / Centre"
    assert found["P09"]["first"][0]["party"] == "Left"
    assert found["P08"] is None


def test_remote_is_yes_or_no(written):
    with pytest.raises(
        UnreadableStations, match="Line 2, column “remote”: 2 is neither"
    ):
        read_stations(written(f"{HEADER},remote", "1,1,100,51,50,30,2"))


def test_charts_count_every_station_and_stay_small():
    stations = clean_election(number=1000)

    charts = forensics(stations).charts

    assert sum(charts["turnout"]) == sum(charts["share"]) == 1000
    assert sum(charts["fingerprint"]) == 1000
    assert (len(charts["turnout"]), len(charts["fingerprint"])) == (201, 400)
    assert sum(charts["P04"]["leader"]) == stations.leader.sum()
    assert len(charts["P04"]["expected"]) == 101


def test_an_integer_percentage_is_in_the_middle_of_a_bin():
    charts = forensics(
        table(*[(1000, 700, 700, 350), (1000, 702, 702, 350)] * 5)
    ).charts

    assert charts["turnout"][140] == 10


# The answer for people ----------------------------------------------------------


def test_people_get_a_row_for_each_rule_and_no_accusation(written):
    stations = with_added_votes(clean_election(number=2000), 0.5)

    text = told(written(HEADER, *rows_of(stations)))

    assert "stations.csv: 2,000 polling stations" in text
    for code in ("P01", "P02", "P03", "P04", "P05", "P06", "P07", "P08", "P09", "H12"):
        assert f"\n{code}  " in text
    assert "a toss of a coin" in " ".join(text.split())
    for word in ("fraud", "stuff", "falsif"):
        assert word not in text.lower()
    assert max(map(len, text.splitlines()[1:])) <= 100


def test_people_get_the_lines_of_protocols_that_cannot_be(written):
    text = told(written(HEADER, "N,Centre,900,500,503,300"))

    assert "H12  critical" in text
    assert "line 2: register 900, given 500, in the boxes 503, leader 300" in text


# What was published -------------------------------------------------------------


@needs_forensics
@pytest.mark.parametrize("year", YEARS)
def test_the_command_tells_what_was_published(year):
    published = expected()["integer_anomaly"][year]["exact"]

    found = answer(FORENSICS / f"russia_{year}.csv.gz")

    assert found["P01"]["flagged"] is True
    for name, exact in published.items():
        for key in ("n", "observed", "expected", "excess"):
            # Stations on the very edge: there the published numbers went by the last digit.
            assert found["P01"][name][key] == pytest.approx(exact[key], abs=1)
        assert found["P01"][name]["sd"] == pytest.approx(exact["sd"], abs=0.01)
    for name, number in found["H12"].items():
        assert number == expected()["hard_logic"]["years"][year][name]


@needs_forensics
def test_a_whole_country_takes_seconds():
    stations = russia("2021")
    started = process_time()

    forensics(stations)

    # Of one core: other processes do not count.
    assert process_time() - started < 10


def test_memory_of_many_equal_large_stations_is_bounded():
    rng = np.random.default_rng(0)
    voters = np.full(2000, 1_000_000)
    given = rng.integers(400_000, 600_000, 2000)
    rows = np.stack([voters, given, given, given // 3], axis=1)

    # All counts of all totals at once would be a block of 1.6 GB.
    report = forensics(table(*map(tuple, rows)))

    assert report.totals["stations"] == 2000
