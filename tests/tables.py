"""Expected rows, written as a table.

    assert hourly_table() == parse_table('''
        hour  | bulletins_issued | votes_cast
        09:00 |              100 |         96
        10:00 |               60 |         70
    ''')

A table is whole: a figure whose column is left out has to be 0 in every row, and a
register or a rate that is left out has to be unknown ("–") in every row. The column
`constituency` may be left out where there is only one.
"""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from elections.models import Constituency
from metrics.models import HourlyStats

COUNTS = [
    "bulletins_issued",
    "votes_cast",
    "revotes",
    "transaction_count",
    "failed_count",
]
UNKNOWN = "–"
# The day of most tests: hours of other days are shown with their date.
DAY = datetime(2026, 9, 18, tzinfo=UTC)

Row = dict[str, Any]


def parse_table(text: str) -> list[Row]:
    """Return the rows of a table as it stands in a test."""
    lines = [line for line in text.splitlines() if line.strip()]
    names, *rows = ([cell.strip() for cell in line.split("|")] for line in lines)
    return _whole([dict(zip(names, map(_value, row), strict=True)) for row in rows])


def hourly_table(*columns: str, zone: str = "UTC") -> list[Row]:
    """Return HourlyStats as stored, hours on the clock of `zone`; also `columns`."""
    stats = HourlyStats.objects.select_related("constituency")
    return _whole(
        [
            {"constituency": row.constituency.name, "hour": _clock(row.hour, zone)}
            | {name: getattr(row, name) for name in [*COUNTS, *columns]}
            for row in stats.order_by("constituency__name", "hour")
        ]
    )


def totals_table() -> list[Row]:
    """Return the totals of constituencies as stored."""
    return _whole(
        [
            {name: getattr(row, name) for name in ["name", *COUNTS, *NULLABLE]}
            for row in Constituency.objects.order_by("name")
        ],
        single="name",
    )


NULLABLE = ["registered_voters", "participation_rate"]


def _clock(hour: datetime, zone: str) -> str:
    local = hour.astimezone(ZoneInfo(zone))
    is_usual = local.date() == DAY.date()
    return f"{local:%H:%M}" if is_usual else f"{local:%m-%d %H:%M}"


def _value(cell: str) -> object:
    if cell == UNKNOWN:
        return None
    for number in (int, float):
        try:
            return number(cell)
        except ValueError:
            continue
    return cell


def _whole(rows: list[Row], single: str = "constituency") -> list[Row]:
    """Leave out the columns that tell nothing."""
    silent = {name for name in (rows[0] if rows else ()) if _is_silent(name, rows)}
    if len({row.get(single) for row in rows}) < 2:
        silent.add(single)
    return [{k: v for k, v in row.items() if k not in silent} for row in rows]


def _is_silent(name: str, rows: list[Row]) -> bool:
    empty = None if name in NULLABLE else 0
    return all(row[name] == empty and row[name] is not False for row in rows)
