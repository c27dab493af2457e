"""`manage.py forensics`: post-vote rules on the results of polling stations."""

from pathlib import Path
from textwrap import TextWrapper
from typing import Any

from django.core.management.base import CommandError, CommandParser

from anomalies.services import (
    ForensicsReport,
    RuleReport,
    UnreadableStations,
    forensics,
    read_stations,
)
from elections.management.base import MonitorCommand

WIDTH = 100
TITLE = (
    "{name}: {stations:,} polling stations, {voters:,} people on the register, "
    "{given:,} ballots given out, {received:,} found in the boxes, {leader:,} for the leader"
)


class Command(MonitorCommand):
    help = (
        "Apply the post-vote rules to results of polling stations; nothing is stored."
    )
    needs_tables = False
    examples = """
examples:
  manage.py forensics stations.csv
  manage.py forensics stations.csv.gz --json

columns: region, tik (commission), voters (on the register), given (ballots given out),
received (found in the boxes), leader (votes for whoever won), in any order. With columns
party_NAME (votes for each) P09 is tried, and with oik (constituency) and remote (0 or 1)
P08 too.

exit status: 0 all rules tried, whatever they found; 1 the file cannot be read
"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", metavar="FILE", help="CSV, or CSV packed with gzip")

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(options["file"])
        try:
            stations = read_stations(path)
        except UnreadableStations as error:
            raise CommandError(str(error)) from error
        report = forensics(stations)
        self.answer(
            report.as_json(), *_lines(report, path.name), as_json=options["json"]
        )


def _lines(report: ForensicsReport, name: str) -> list[str]:
    return [
        TITLE.format(name=name, **report.totals),
        "",
        *(_line(finding) for finding in report.findings),
        *_named(report),
    ]


def _line(finding: RuleReport) -> str:
    """Return one row of the table; a long sentence goes on below itself."""
    row = TextWrapper(
        width=WIDTH,
        initial_indent=f"{finding.code}  {finding.severity:<8}  ",
        subsequent_indent=" " * 15,
    )
    return row.fill(finding.sentence)


def _named(report: ForensicsReport) -> list[str]:
    regions = [
        f"  {each['region']}: {each['observed']:,} stations, {each['expected']:,.0f} "
        f"expected (z {each['z']:.1f})"
        for each in report.places["P01"]
    ]
    protocols = [
        f"  line {each['line']}: register {each['voters']:,}, given {each['given']:,}, "
        f"in the boxes {each['received']:,}, leader {each['leader']:,}"
        for each in report.places["H12"]
    ]
    return [
        *(
            ["", "Regions with too many integer percentages, P01:", *regions]
            if regions
            else []
        ),
        *(
            ["", "Protocols that cannot be, the first of them, H12:", *protocols]
            if protocols
            else []
        ),
    ]
