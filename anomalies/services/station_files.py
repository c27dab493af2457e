"""Results of polling stations from a CSV file."""

import csv
import gzip
import io
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from anomalies.rules.stations import Counts, Groups, Stations, Truths

# Unpacked. All 95,000 stations of Russia with 40 columns are 20 MB.
LARGEST_BYTES = 64 * 1024 * 1024
MOST_STATIONS = 500_000
# In one station; more is a column that was shifted.
LARGEST_COUNT = 10_000_000

PLACES = ("region", "tik")
NUMBERS = ("voters", "given", "received", "leader")
# Columns that some rules want, and others do without.
CONSTITUENCY = "oik"
REMOTE = "remote"
PARTY_PREFIX = "party_"
# Between region and commission: many regions have a commission called “Central”.
SEPARATOR = " / "
GZIP = b"\x1f\x8b"


class Readable(Protocol):
    """An open file of bytes, such as an upload."""

    def read(self, size: int, /) -> bytes: ...


class UnreadableStations(Exception):
    """The file has no results of polling stations that can be read; says why."""


def read_stations(path: str | Path) -> Stations:
    """Return the polling stations of a CSV file, plain or packed with gzip.

    Raises:
        UnreadableStations: as `read_bytes` and `parse_stations`.
    """
    return parse_stations(read_bytes(Path(path)), name=str(path))


def read_bytes(path: Path) -> bytes:
    """Return a file as it is, if it is not larger than what is read.

    Raises:
        UnreadableStations: there is no such file, or it is too large.
    """
    try:
        with path.open("rb") as file:
            return at_most(file, name=str(path))
    except OSError as error:
        raise UnreadableStations(f"{path}: {error.strerror}.") from error


def at_most(file: Readable, *, name: str) -> bytes:
    """Return the bytes of an open file, up to the most that are read.

    Raises:
        UnreadableStations: there are more.
    """
    content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise UnreadableStations(
            f"{name}: larger than {LARGEST_BYTES >> 20} MB. Leave out columns that are "
            "not needed, or split it by region."
        )
    return content


def parse_stations(content: bytes, *, name: str) -> Stations:
    """Return the polling stations in the bytes of a file called `name`.

    Columns `region, tik, voters, given, received, leader`; with `party_NAME` columns P09
    can be told, with `oik` and `remote` (0 or 1) too also P08. Others are left alone.

    Raises:
        UnreadableStations: it is no such table, a column is missing, or a line is wrong.
    """
    table = _table(_text(content, name))
    parties = [column for column in table.columns if column.startswith(PARTY_PREFIX)]
    switches = [REMOTE] if REMOTE in table.columns else []
    numbers = _numbers(table, [*NUMBERS, *switches, *parties])
    return Stations(
        voters=numbers["voters"],
        given=numbers["given"],
        received=numbers["received"],
        leader=numbers["leader"],
        regions=_groups(table["region"]),
        commissions=_groups(_commissions(table)),
        constituencies=_groups(table[CONSTITUENCY]) if CONSTITUENCY in table else None,
        is_remote=_is_remote(numbers[REMOTE]) if switches else None,
        parties=_side_by_side([numbers[party] for party in parties]),
        party_names=tuple(party.removeprefix(PARTY_PREFIX) for party in parties),
    )


def _text(content: bytes, name: str) -> bytes:
    """Return the bytes of the table, unpacked, after a look at whether they are text."""
    if content.startswith(GZIP):
        try:
            with gzip.open(io.BytesIO(content)) as file:
                content = at_most(file, name=name)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UnreadableStations(f"{name}: damaged, cannot be unpacked.") from error
    return _checked(content.removeprefix(b"\xef\xbb\xbf"), name)


def _checked(text: bytes, name: str) -> bytes:
    if not text.strip():
        raise UnreadableStations(f"{name}: the file is empty.")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise UnreadableStations(
            f"{name}: line {line} is not UTF-8. Save the table as CSV in UTF-8."
        ) from error
    if b"\x00" in text:
        raise UnreadableStations(f"{name}: not a text file.")
    return text


def _table(text: bytes) -> pl.DataFrame:
    """Return the known columns as they are written."""
    header = next(csv.reader([text.split(b"\n", 1)[0].decode()]), [])
    names = [name.strip() for name in header]
    _check_header(names)
    try:
        table = pl.read_csv(
            io.BytesIO(text),
            has_header=False,
            skip_rows=1,
            schema=dict.fromkeys(names, pl.String),
            n_rows=MOST_STATIONS + 1,
        )
    except PolarsError as error:
        raise UnreadableStations(_uneven_line(text, width=len(names))) from error
    if table.is_empty():
        raise UnreadableStations("There are no stations below the header.")
    if table.height > MOST_STATIONS:
        raise UnreadableStations(f"More than {MOST_STATIONS:,} stations.")
    return table


def _check_header(names: list[str]) -> None:
    for name in (*PLACES, *NUMBERS):
        if name not in names:
            raise UnreadableStations(
                f"The column “{name}” is missing. The file has: {', '.join(names)[:200]}."
            )
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UnreadableStations(f"The column “{min(twice)}” is there twice.")


def _uneven_line(text: bytes, *, width: int) -> str:
    """Say which line has other columns than the header."""
    rows = csv.reader(io.StringIO(text.decode(), newline=""))
    for row in rows:
        if len(row) != width:
            return f"Line {rows.line_num} has {len(row)} values, the header {width}."
    return "The file is no table with commas between the columns."


def _numbers(table: pl.DataFrame, names: list[str]) -> dict[str, Counts]:
    """Return columns of whole numbers from 0.

    Raises:
        UnreadableStations: naming the first line that has none, and its first such column.
    """
    written = table.select(pl.col(names).str.strip_chars())
    # What a spreadsheet makes of whole numbers.
    without_zeros = pl.all().str.replace(r"\.0+$", "")
    whole = written.select(without_zeros.cast(pl.Int64, strict=False))
    good = whole.select(pl.all().is_between(0, LARGEST_COUNT).fill_null(value=False))
    is_bad = ~good.select(pl.all_horizontal(pl.all())).to_series()
    if is_bad.any():
        row = int(is_bad.arg_true()[0])
        name = next(name for name in names if not good[name][row])
        raise UnreadableStations(
            f"Line {row + 2}, column “{name}”: "
            f"{_complaint(written[name][row], whole[name][row])}."
        )
    return {name: whole[name].to_numpy() for name in names}


def _complaint(written: str | None, whole: int | None) -> str:
    if not written:
        return "nothing is there"
    if whole is None:
        return f"“{written[:40]}” is not a whole number"
    return f"{whole} is {'negative' if whole < 0 else 'more than a station can have'}"


def _is_remote(numbers: Counts) -> Truths:
    wrong = np.flatnonzero(numbers > 1)
    if wrong.size:
        raise UnreadableStations(
            f"Line {wrong[0] + 2}, column “{REMOTE}”: {numbers[wrong[0]]} is neither 0 "
            "nor 1."
        )
    return numbers.astype(np.bool_)


def _side_by_side(columns: list[Counts]) -> Counts | None:
    return np.stack(columns, axis=1) if columns else None


def _commissions(table: pl.DataFrame) -> pl.Series:
    region, tik = (table[name].fill_null("") for name in PLACES)
    return region + SEPARATOR + tik


def _groups(names: pl.Series) -> Groups:
    known, codes = np.unique(
        names.fill_null("").str.strip_chars().to_numpy(), return_inverse=True
    )
    return Groups(codes.astype(np.int64), tuple(map(str, known)))
