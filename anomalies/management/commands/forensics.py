"""`manage.py forensics`: post-vote rules on the results of polling stations."""

from pathlib import Path
from textwrap import TextWrapper
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from anomalies.services import (
    ElectionGone,
    ForensicsReport,
    RuleReport,
    StoredReport,
    UnreadableStations,
    forensics,
    read_stations,
    store_report,
)
from elections.management.base import MonitorCommand, make_tables, valid_slug
from elections.models import Election

WIDTH = 100
TITLE = (
    "{name}: {stations:,} polling stations, {voters:,} people on the register, "
    "{given:,} ballots given out, {received:,} found in the boxes, {leader:,} for the leader"
)


class Command(MonitorCommand):
    help = (
        "Apply the post-vote rules to results of polling stations; with --election the "
        "report is stored, else no database is needed."
    )
    needs_tables = False
    examples = """
examples:
  manage.py forensics stations.csv
  manage.py forensics stations.csv.gz --json
  manage.py forensics stations.csv --election duma-2026

columns: region, tik (commission), voters (on the register), given (ballots given out),
received (found in the boxes), leader (votes for whoever won), in any order. With columns
party_NAME (votes for each) P09 is tried, and with oik (constituency) and remote (0 or 1)
P08 too.

exit status: 0 all rules tried, whatever they found; 1 the file cannot be read
"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", metavar="FILE", help="CSV, or CSV packed with gzip")

        parser.add_argument(
            "--election",
            metavar="SLUG",
            help="store the report for this election, to be seen in the admin",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path, slug = Path(options["file"]), options["election"]
        try:
            if slug is None:
                self._tell(forensics(read_stations(path)), path, options)
            else:
                stored = self._store(path, _election(slug))
                report = ForensicsReport.from_json(stored.report.report)
                self._tell(report, path, options, stored)
        except (UnreadableStations, ElectionGone) as error:
            raise CommandError(str(error)) from error

    def _store(self, path: Path, election: Election) -> StoredReport:
        return store_report(
            election=election, source=path, name=path.name, by=None, now=timezone.now()
        )

    def _tell(
        self,
        report: ForensicsReport,
        path: Path,
        options: dict[str, Any],
        stored: StoredReport | None = None,
    ) -> None:
        told, lines = report.as_json(), _lines(report, path.name)
        if stored is not None:
            told["stored"] = {"id": stored.report.pk, "is_new": stored.is_new}
            lines += ["", _where(stored)]
        self.answer(told, *lines, as_json=options["json"])


def _election(slug: str) -> Election:
    make_tables()
    valid_slug(slug, option="--election")
    election = Election.objects.filter(slug=slug).first()
    if election is None:
        raise CommandError(
            f"No election has the slug {slug}. The admin lists them under Elections."
        )
    return election


def _where(stored: StoredReport) -> str:
    report = stored.report
    if stored.is_new:
        return (
            f"Stored as polling-station report {report.pk} of {report.election.slug}."
        )
    return (
        f"This file is polling-station report {report.pk} of {report.election.slug} "
        "already: nothing was stored."
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
