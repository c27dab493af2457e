"""Hourly statistics as files: the rows of the list, all of them, safe in a spreadsheet."""

import csv
import io
from datetime import UTC, datetime

import polars as pl
import pytest

from metrics.models import HourlyStats
from tests.factories import make_constituency, make_election
from tests.metrics.test_api import HOUR, OPENING, count, two_elections

__all__ = ["two_elections"]

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/hourly-stats/"
PARQUET = "application/vnd.apache.parquet"


@pytest.fixture(autouse=True)
def figures_stay_exact():
    """Let figures be written without a ledger: here they are only read."""


@pytest.fixture(autouse=True)
def public(settings):
    settings.API_PUBLIC_READ = True


@pytest.fixture
def download(client):
    """Return the whole answer and its content."""

    def download(accept="*/*", **parameters):
        response = client.get(ADDRESS, parameters, HTTP_ACCEPT=accept)
        assert response.status_code == 200, response.content
        # Read to its end, the client closes it.
        content = b"".join(response.streaming_content)
        return response, content

    return download


def rows_of(content):
    return list(csv.reader(io.StringIO(content.decode())))


def frame_of(content):
    return pl.read_parquet(io.BytesIO(content))


CSV = """\
constituency,election,is_simulated,hour,timestamp,bulletins_issued,votes_cast,revotes,transaction_count,failed_count,bulletin_velocity,vote_velocity,participation_rate,anomaly_count,as_of
A,a,true,2026-09-18T05:00:00Z,2026-09-18T12:00:00Z,60,50,3,120,2,60.0,50.0,12.5,1,2026-09-18T06:15:00Z
B,b,false,2026-09-18T05:00:00Z,2026-09-18T12:00:00Z,0,7,0,7,0,0.0,7.0,,0,2026-09-18T08:00:00Z
A,a,true,2026-09-18T06:00:00Z,2026-09-18T12:00:00Z,20,10,0,30,0,80.0,40.0,,0,2026-09-18T06:15:00Z
"""


def test_all_rows_as_csv(download, two_elections):
    response, content = download(format="csv")

    assert content.decode() == CSV.replace("\n", "\r\n")
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    name = 'attachment; filename="hourly-stats.csv"'
    assert response["Content-Disposition"] == name
    assert response["X-As-Of"] == "2026-09-18T08:00:00Z"
    assert response["X-Coverage"] == "1/1"
    assert response["X-Is-Simulated"] == "true"


def test_parquet_has_the_same_rows_with_their_types(download, two_elections):
    response, content = download(format="parquet")

    frame = frame_of(content)
    assert response["Content-Type"] == PARQUET
    assert frame.schema["hour"] == pl.Datetime("us", "UTC")
    assert frame.schema["participation_rate"] == pl.Float64
    assert frame.schema["votes_cast"] == pl.Int64
    header, *rows = rows_of(CSV.encode())
    assert frame.columns == header
    assert frame["constituency"].to_list() == [row[0] for row in rows]
    assert frame["participation_rate"].to_list() == [12.5, None, None]
    assert frame["vote_velocity"].to_list() == [50.0, 7.0, 40.0]
    assert frame["hour"].to_list()[2] == OPENING + HOUR
    assert frame["as_of"].to_list()[0] == datetime(2026, 9, 18, 6, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [("text/csv", "text/csv; charset=utf-8"), (PARQUET, PARQUET)],
)
def test_the_format_can_be_asked_for_by_the_header(download, accept, media_type):
    response, _ = download(accept=accept)

    assert response["Content-Type"] == media_type


def test_the_address_outranks_the_header(download, two_elections):
    _, content = download(accept="application/json", format="csv")

    assert len(rows_of(content)) == 4


def test_json_is_what_comes_unless_asked(client):
    for accept in ("*/*", "application/json"):
        response = client.get(ADDRESS, HTTP_ACCEPT=accept)
        assert response["Content-Type"] == "application/json"


@pytest.mark.parametrize("written_as", ["csv", "parquet"])
def test_a_file_is_filtered_and_ordered_as_the_list(
    download, two_elections, written_as
):
    parameters = {"election": "a", "ordering": "-hour", "format": written_as}

    _, content = download(**parameters)

    if written_as == "csv":
        hours = [row[3] for row in rows_of(content)[1:]]
        assert hours == ["2026-09-18T06:00:00Z", "2026-09-18T05:00:00Z"]
    else:
        assert frame_of(content)["hour"].to_list() == [OPENING + HOUR, OPENING]


def test_nothing_chosen_is_a_file_without_rows(download, two_elections):
    parameters = {"election": "b", "start": "2030-01-01T00:00:00Z"}

    header, *rows = rows_of(download(format="csv", **parameters)[1])
    frame = frame_of(download(format="parquet", **parameters)[1])

    assert (rows, frame.height) == ([], 0)
    assert frame.columns == header


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_is_a_formula(download, start):
    constituency = make_constituency(
        contract_id=f"{start}1+1", election=make_election(slug=f"{start}2+2")
    )
    count(constituency, OPENING, votes_cast=-1)

    [_, row] = rows_of(download(format="csv")[1])

    assert row[:2] == [f"'{start}1+1", f"'{start}2+2"]
    # A number is no formula.
    assert row[6] == "-1"
    # Nor is anything in Parquet, whose cells have types.
    assert frame_of(download(format="parquet")[1])["constituency"][0] == f"{start}1+1"


def test_rows_beyond_a_piece_come_in_their_order(download, monkeypatch):
    monkeypatch.setattr("metrics.api.bulk.PIECE_ROWS", 3)
    monkeypatch.setattr("metrics.api.bulk.CSV_ROWS", 3)
    monkeypatch.setattr("metrics.api.bulk.CURSOR_ROWS", 2)
    constituency = make_constituency()
    for number in range(8):
        count(constituency, OPENING + number * HOUR, votes_cast=number)

    lines = rows_of(download(format="csv")[1])[1:]
    frame = frame_of(download(format="parquet")[1])

    assert [int(row[6]) for row in lines] == list(range(8))
    assert frame["votes_cast"].to_list() == list(range(8))


def test_rows_leave_before_all_of_them_are_read(client, monkeypatch):
    monkeypatch.setattr("metrics.api.bulk.CSV_ROWS", 10)
    constituency = make_constituency()
    HourlyStats.objects.bulk_create(
        HourlyStats(
            election=constituency.election,
            constituency=constituency,
            hour=OPENING + number * HOUR,
            timestamp=OPENING,
        )
        for number in range(100)
    )

    response = client.get(ADDRESS, {"format": "csv"})
    pieces = [piece.count(b"\r\n") for piece in response.streaming_content]

    assert pieces == [1, *[10] * 10]
    assert not response.has_header("Content-Length")


def test_no_piece_of_a_parquet_file_is_left_behind(download, two_elections, settings):
    download(format="parquet")

    assert list(settings.FILE_UPLOAD_TEMP_DIR.iterdir()) == []


@pytest.mark.parametrize("written_as", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("parameters", "name", "code"),
    [
        ({"limit": "5"}, "limit", "unknown_parameter"),
        ({"offset": "5"}, "offset", "unknown_parameter"),
        ({"election": "none"}, "election", "invalid_choice"),
        ({"start": "yesterday"}, "start", "invalid"),
        ({"ordering": "name"}, "ordering", "invalid_choice"),
        ({"x": "1"}, "x", "unknown_parameter"),
    ],
)
def test_an_error_is_json_whatever_the_format(
    client, two_elections, written_as, parameters, name, code
):
    response = client.get(ADDRESS, {"format": written_as, **parameters})

    assert response.status_code == 400
    assert response["Content-Type"] == "application/json"
    assert list(response.json()) == [name, "code"]
    assert response.json()["code"] == code


def test_without_public_reading_one_has_to_sign_in(client, settings):
    settings.API_PUBLIC_READ = False

    response = client.get(ADDRESS, {"format": "csv"})

    assert (response.status_code, response["Content-Type"]) == (401, "application/json")


@pytest.mark.parametrize("written_as", ["csv", "parquet"])
def test_the_number_of_queries_is_fixed(
    download, two_elections, written_as, django_assert_num_queries
):
    # The moments, the coverage, whether they are real; rows come through a cursor.
    with django_assert_num_queries(4):
        download(format=written_as)

    for _ in range(20):
        count(make_constituency(), OPENING)
    with django_assert_num_queries(4):
        download(format=written_as)
