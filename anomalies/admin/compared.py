"""What an alert was compared with: the figures of its evidence as a table."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from anomalies.models import Alert
from elections.models import Region

Figures = Mapping[str, Any]
# Heading -> how a row of the evidence fills the column.
Columns = Mapping[str, Callable[[Figures], str]]

SERIES = {"bulletins_issued": "bulletins issued", "votes_cast": "votes cast"}


def _count(name: str) -> Callable[[Figures], str]:
    return lambda row: f"{row[name]:,.0f}"


def _decimal(name: str) -> Callable[[Figures], str]:
    return lambda row: f"{row[name]:,.1f}"


def _probability(name: str = "p") -> Callable[[Figures], str]:
    return lambda row: f"{row[name]:.2g}"


def _hours(row: Figures) -> str:
    return f"{row['hours']} h"


FLOW: Columns = {
    "window": _hours,
    "counted": _count("counted"),
    "expected": _decimal("expected"),
    "too many, 95 %": lambda row: " … ".join(
        f"{edge:+,.0f}" for edge in row["excess_interval"]
    ),
    "p": _probability(),
}
NIGHT: Columns = {
    name: FLOW[name] for name in ("counted", "expected", "too many, 95 %")
}
GAP: Columns = {
    "window": _hours,
    "beyond the other ballots": lambda row: f"{row['apart']:+,.0f}",
    "the others had": _count("twins_had"),
    "usually apart": _decimal("mean"),
    "p": _probability(),
}
EVEN: Columns = {
    "window": _hours,
    "D": _decimal("D"),
    "usually": _count("df"),
    "p": _probability(),
}
SHARE: Columns = {
    "counted": lambda row: f"{row['successes']:,.0f} of {row['trials']:,.0f}",
    "share": lambda row: f"{100 * row['successes'] / row['trials']:.2f} %",
    "of the peers": lambda row: f"{100 * row['rate']:.2f} %",
    "points apart": lambda row: f"{row['points']:+.2f}",
}
TOTAL: Columns = {"counted": _count("counted"), "expected": _count("expected")}
SPREAD: Columns = {
    "districts compared": _count("compared"),
    "above their own 99 %": _count("above_99"),
    "p": _probability("above_99_p"),
}
SECOND: Columns = {
    "in one second": _count("k"),
    "usually": lambda row: f"{row['lambda']:.2g}",
    "p of the second": _probability("second_p"),
}
SILENCE: Columns = {
    "nothing for": lambda row: f"{row['gap_seconds'] / 60:,.0f} min",
    "expected in the hour": _decimal("expected"),
    "came": _count("acts"),
}
SILENCE_OF_ALL: Columns = {
    "constituencies": lambda row: f"{row['silent']:,} of {row['judged']:,}",
    "nothing for, median": lambda row: f"{row['median_gap_seconds'] / 60:,.0f} min",
}
OUTAGE: Columns = {
    "bulletins issued": _count("issued"),
    "votes cast": _count("cast"),
    "missing": _count("missing"),
    "came in the hour after": _count("returned"),
}
TABLES: Mapping[str, Columns] = {
    "S01": FLOW,
    "S02": NIGHT,
    "S03": TOTAL,
    "S05": SPREAD,
    "S06": EVEN,
    "S08": SECOND,
    "S11": SHARE,
    "S12": SHARE,
    "S15": GAP,
    "S16": OUTAGE,
    "H13": SHARE,
}


def compared(alert: Alert, zone: tzinfo) -> tuple[list[str], list[list[str]]] | None:
    """Return headings and rows, times on the clock of `zone`; None where there are none."""
    evidence = alert.evidence
    if not evidence:
        return None
    rows = evidence.get("windows") or [evidence]
    if alert.rule == "S17":
        return _filled(_jump_columns(zone), evidence.get("jumps") or [])
    if alert.rule == "S04":
        regions = evidence.get("regions") or []
        return _filled(_region_columns(regions), regions)
    if alert.rule == "S09":
        return _filled(SILENCE_OF_ALL if "silent" in evidence else SILENCE, rows)
    columns = TABLES.get(alert.rule)
    return _filled(columns, rows) if columns else None


def _filled(
    columns: Columns, rows: Sequence[Figures]
) -> tuple[list[str], list[list[str]]]:
    shown = [[_shown(show, row) for show in columns.values()] for row in rows]
    return list(columns), shown


def _shown(show: Callable[[Figures], str], row: Figures) -> str:
    # Evidence is kept for years: what another version stored may have other figures.
    try:
        return show(row)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return "–"


def _jump_columns(zone: tzinfo) -> Columns:
    def since(row: Figures) -> str:
        return f"{datetime.fromisoformat(row['from']).astimezone(zone):%H:%M}"

    return {
        "five minutes from": since,
        "of": lambda row: SERIES[row["series"]],
        **TOTAL,
        "z": _decimal("z"),
    }


def _region_columns(regions: Sequence[Figures]) -> Columns:
    names = Region.objects.in_bulk([row.get("region") for row in regions])

    def name(row: Figures) -> str:
        region = names.get(row.get("region"))
        return region.name if region else "without a region"

    return {
        "region": name,
        "districts": _count("districts"),
        "z": _decimal("z"),
        "p": _probability(),
    }


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> SafeString:
    """Return a table of plain cells, or of cells that are HTML already."""
    return format_html(
        "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>",
        format_html_join("", "<th>{}</th>", ((cell,) for cell in head)),
        format_html_join(
            "",
            "<tr>{}</tr>",
            (
                (format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),)
                for row in rows
            ),
        ),
    )
