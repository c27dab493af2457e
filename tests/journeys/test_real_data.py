"""Real votes, as far as they were published, go in and come out with the same figures."""

import csv
import gzip
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import count
from pathlib import Path

import pytest
from django.db.models import Sum

from elections.models import Constituency, Election
from metrics.models import HourlyStats
from metrics.services import verify
from transactions.services import ImportSummary, import_paths

DATA = Path(__file__).parents[3] / "shared" / "data" / "real"

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        not DATA.is_dir(),
        reason="the real data lies in ../shared/data/real, beside a full checkout",
    ),
]
# Digits without the 0 that Base58 lacks.
BASE58_DIGITS = str.maketrans("0123456789", "ABCDEFGHJK")
HEADER = ["contract_id", "timestamp", "tx_id", "operation"]


def read(name: str) -> Iterator[dict[str, str]]:
    opener = gzip.open if name.endswith(".gz") else open
    with opener(DATA / name, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


@pytest.fixture
def load(tmp_path):
    """Load rows of plain columns and check that figures and ledger agree."""

    def load(rows: Iterable[Iterable[str]], **election) -> ImportSummary:
        path = tmp_path / "rows.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([HEADER, *rows])
        fields = {"slug": "real", "name": "Real", "timezone": "UTC"} | election
        summary = import_paths([str(path)], election=Election.objects.create(**fields))
        assert list(verify()) == []
        return summary

    return load


def totals() -> tuple[int, int, int]:
    sums = HourlyStats.objects.aggregate(
        issued=Sum("bulletins_issued"),
        cast=Sum("votes_cast"),
        transactions=Sum("transaction_count"),
    )
    return sums["issued"], sums["cast"], sums["transactions"]


@pytest.mark.parametrize(
    ("name", "issued", "cast", "cancelled"),
    [
        ("brazil2022_urna_AC_01392_0001_0477.csv", 419, 419, 15),
        ("brazil2022_urna_AM_02550_0068_0512.csv", 243, 243, 0),
    ],
)
def test_events_of_a_voting_machine_add_up(load, name, issued, cast, cancelled):
    operations = {"issued": "bulletin_issued", "cast": "vote_cast"}
    events = list(read(name))

    load(
        [
            event["section"],
            event["timestamp"],
            f"{event['round']}-{event['seq']}",
            operations.get(event["event"], event["event"]),
        ]
        for event in events
    )

    assert totals() == (issued, cast, issued + cast + cancelled)


def test_single_events_of_one_hour_are_in_that_hour(load):
    operations = {"issued": "blindSigIssue", "cast": "vote"}

    load(
        [
            event["contract_id"],
            event["timestamp_msk"].replace(" ", "T") + "+03:00",
            f"{number}",
            operations[event["event"]],
        ]
        for number, event in enumerate(read("edg2024_dolgoprudny_events.csv"))
    )

    hour = HourlyStats.objects.get()
    assert hour.hour.isoformat() == "2024-09-08T11:00:00+00:00"
    assert (hour.bulletins_issued, hour.votes_cast) == (10, 10)


def as_events(
    contract_id: str, start: str, issued: int, cast: int, numbers: Iterator[int]
) -> Iterator[list[str]]:
    """Yield the events behind the counts of one interval, all at its start."""
    for operation, amount in (("bulletin_issued", issued), ("vote_cast", cast)):
        for _ in range(amount):
            yield [contract_id, start, f"{next(numbers)}", operation]


@pytest.mark.parametrize(
    ("name", "contract", "issued", "cast"),
    [
        ("deg2026_district_d333_hourly.csv", None, 62_650, 61_682),
        ("deg2026_portal_hourly_sample.csv", "contract_id", 53, 49),
    ],
)
def test_published_hours_come_out_as_they_went_in(load, name, contract, issued, cast):
    numbers = count()
    rows = list(read(name))

    load(
        event
        for row in rows
        for event in as_events(
            row[contract] if contract else "d333",
            row["hour_start"],
            int(row["ballots_issued"]),
            int(row["votes_cast"]),
            numbers,
        )
    )

    assert totals()[:2] == (issued, cast)
    assert {
        stats.hour: (stats.bulletins_issued, stats.votes_cast)
        for stats in HourlyStats.objects.all()
    } == {
        datetime.fromisoformat(row["hour_start"]): (
            int(row["ballots_issued"]),
            int(row["votes_cast"]),
        )
        for row in rows
        if row["ballots_issued"] != "0" or row["votes_cast"] != "0"
    }


def test_five_minute_counts_of_five_districts_add_up_by_district(load):
    numbers = count()
    expected = {
        row["district_id"]: (int(row["ballots_issued"]), int(row["votes_cast"]))
        for row in read("deg2026_districts.csv")
    }

    load(
        event
        for row in read("deg2026_districts_5min.csv")
        for event in as_events(
            row["district_id"],
            row["bucket_start"],
            int(row["ballots_issued"]),
            int(row["votes_cast"]),
            numbers,
        )
    )

    assert totals()[:2] == (5_790, 5_731)
    assert {
        c.contract_id: (c.bulletins_issued, c.votes_cast)
        for c in Constituency.objects.all()
    } == expected


def test_a_whole_catalogue_with_names_of_any_length_is_registered_from_a_zip(tmp_path):
    rows = list(read("edg2024_catalog.csv"))
    path = tmp_path / "tree.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, row in enumerate(rows):
            contract = f"{number:044}".translate(BASE58_DIGITS)
            stem = f"{contract}_2024-09-06_0800-0900"
            region = f"{row['region_code']} - {row['region_key']}"
            parts = [region, row["election"], row["district"], contract, f"{stem}.csv"]
            archive.writestr("/".join(part.replace("/", "∕") for part in parts), "")

    summary = import_paths([str(path)])

    assert (summary.files, summary.files_failed, summary.files_waiting) == (1101, 0, 0)
    assert Constituency.objects.count() == len(rows) == 1101
    longest = max(Election.objects.values_list("name", flat=True), key=len)
    assert len(longest.encode()) > 255
    published = Counter(row["region_code"] for row in rows)
    assert published == Counter(
        Constituency.objects.values_list("region__code", flat=True)
    )
