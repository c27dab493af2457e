"""Hourly statistics as one file: CSV or Parquet, all rows that the filters choose.

Whatever their number, memory holds a few thousand of them: they come through a cursor of
the database, and leave as they come (CSV) or from a file (Parquet, whose index is at its
end).
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from django.conf import settings
from django.db.models import QuerySet
from django.http import FileResponse, StreamingHttpResponse
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from elections.spreadsheets import neutralised
from metrics.api.base import Provenance
from metrics.models import HourlyStats
from metrics.queries import velocity

CURSOR_ROWS = 2_000
CSV_ROWS = 500
# A row group: 50,000 rows take some 20 MB while they are put in columns.
PIECE_ROWS = 50_000
MOMENT = pl.Datetime("us", "UTC")
# In this order, in both formats; docs/api.md promises it.
COLUMNS: dict[str, Any] = {
    "constituency": pl.String,
    "election": pl.String,
    "is_simulated": pl.Boolean,
    "hour": MOMENT,
    "timestamp": MOMENT,
    "bulletins_issued": pl.Int64,
    "votes_cast": pl.Int64,
    "revotes": pl.Int64,
    "transaction_count": pl.Int64,
    "failed_count": pl.Int64,
    "bulletin_velocity": pl.Float64,
    "vote_velocity": pl.Float64,
    "participation_rate": pl.Float64,
    "anomaly_count": pl.Int64,
    "as_of": MOMENT,
}
PAGING = ("limit", "offset")

Row = tuple[Any, ...]


class CsvRenderer(BaseRenderer):
    """Names the format in negotiation; `answer` writes it."""

    media_type, format, charset = "text/csv", "csv", "utf-8"


class ParquetRenderer(BaseRenderer):
    """Names the format in negotiation; `answer` writes it."""

    media_type, format = "application/vnd.apache.parquet", "parquet"
    charset, render_style = None, "binary"


BULK_FORMATS = (CsvRenderer.format, ParquetRenderer.format)


def refuse_paging(request: Request) -> None:
    """Refuse the parameters of pages: a file has all rows.

    Raises:
        ValidationError: names them.
    """
    message = "A file has all rows: use start and end."
    stated = [name for name in PAGING if name in request.query_params]
    if stated:
        detail = ErrorDetail(message, code="unknown_parameter")
        raise ValidationError({name: [detail] for name in stated})


def answer(
    stats: "QuerySet[HourlyStats]",
    *,
    written_as: str,
    as_of: Mapping[int, datetime],
    source: Provenance,
) -> StreamingHttpResponse:
    """Return the file, with what an answer carries beside its figures as headers."""
    rows = _rows(stats, as_of)
    if written_as == CsvRenderer.format:
        response = StreamingHttpResponse(
            _csv(rows), content_type=f"{CsvRenderer.media_type}; charset=utf-8"
        )
    else:
        response = _parquet(rows)
    name = f"hourly-stats.{written_as}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["X-As-Of"] = _moment(source.as_of)
    response["X-Coverage"] = (
        f"{source.coverage.received}/{source.coverage.expected}"
        if source.coverage
        else ""
    )
    response["X-Is-Simulated"] = _truth(source.is_simulated)
    return response


def _rows(
    stats: "QuerySet[HourlyStats]", as_of: Mapping[int, datetime]
) -> Iterator[Row]:
    """Yield the columns of each row, through a cursor of the database."""
    found: Any = stats.values_list(
        "constituency__contract_id",
        "election__slug",
        "election__is_simulated",
        "hour",
        "timestamp",
        "bulletins_issued",
        "votes_cast",
        "revotes",
        "transaction_count",
        "failed_count",
        "participation_rate",
        "anomaly_count",
        "election",
    )
    for row in found.iterator(CURSOR_ROWS):
        *first, rate, anomalies, election_id = row
        hour, issued, cast = first[3], first[5], first[6]
        moment = as_of.get(election_id)
        yield (
            *first,
            velocity(count=issued, hour=hour, as_of=moment),
            velocity(count=cast, hour=hour, as_of=moment),
            rate,
            anomalies,
            moment,
        )


def _csv(rows: Iterable[Row]) -> Iterator[str]:
    yield _lines([tuple(COLUMNS)])
    for some in _in_pieces(rows, CSV_ROWS):
        yield _lines(map(_cells, some))


def _lines(rows: Iterable[Row]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cells(row: Row) -> Row:
    """Return a row as text where it is none of the writer's own: it leaves nulls empty."""
    constituency, election, is_simulated, hour, timestamp, *numbers, as_of = row
    return (
        neutralised(constituency),
        neutralised(election),
        _truth(is_simulated),
        _moment(hour),
        _moment(timestamp),
        *numbers,
        _moment(as_of),
    )


# Hours and moments come again in every constituency.
@lru_cache(maxsize=4096)
def _moment(moment: datetime | None) -> str:
    return moment.isoformat().replace("+00:00", "Z") if moment else ""


def _truth(is_true: bool) -> str:
    return "true" if is_true else "false"


def _parquet(rows: Iterable[Row]) -> FileResponse:
    with TemporaryDirectory(dir=settings.FILE_UPLOAD_TEMP_DIR) as folder:
        pieces = [Path(folder, "none.parquet")]
        _frame([]).write_parquet(pieces[0])
        for number, some in enumerate(_in_pieces(rows, PIECE_ROWS)):
            pieces.append(Path(folder, f"{number}.parquet"))
            _frame(some).write_parquet(pieces[-1])
        whole = Path(folder, "whole.parquet")
        # Reads and writes a row group at a time.
        pl.scan_parquet(pieces).sink_parquet(whole, row_group_size=PIECE_ROWS)
        # The system keeps the content until the response closes it.
        return FileResponse(whole.open("rb"), content_type=ParquetRenderer.media_type)


def _frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def _in_pieces(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    left = iter(rows)
    while some := list(islice(left, size)):
        yield some
