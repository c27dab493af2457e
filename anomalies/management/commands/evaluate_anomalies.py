"""`manage.py evaluate_anomalies`: how good is the detector?"""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from anomalies.evaluation.runs import CONSTITUENCIES, INSIDE, jobs, run
from anomalies.evaluation.tables import NoPlace, Page, tables
from elections.management.base import MonitorCommand

ELECTIONS = 12
# Beyond the seeds that the rules were made with.
FIRST_SEED = 101
TITLE = (
    "From {elections} elections of each size with {constituencies} contracts each "
    "(seeds {first} to {last}, not used while the rules were made)."
)
MEASURED = (
    "{elections} simulated elections of federal sizes with {constituencies} contracts each, "
    "S06 and S08 on {inside}"
)


class Command(MonitorCommand):
    help = (
        "Judge simulated elections with and without injections; say what was found, "
        "what was a false alarm, and which targets are missed. Touches no database."
    )
    needs_tables = False
    examples = r"""
examples:
  manage.py evaluate_anomalies
  manage.py evaluate_anomalies --elections 2 --seed 500 --json
  manage.py evaluate_anomalies --write docs/methods.md \
      --effects anomalies/evaluation/effects.json

exit status: 0 all targets met; 1 with those that are missed
"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--elections",
            type=int,
            default=ELECTIONS,
            metavar="N",
            help=f"elections of each size to judge (default: {ELECTIONS})",
        )
        parser.add_argument(
            "--seed",
            type=int,
            default=FIRST_SEED,
            metavar="K",
            help=f"seed of the first election (default: {FIRST_SEED})",
        )
        parser.add_argument(
            "--constituencies",
            type=int,
            default=CONSTITUENCIES,
            metavar="N",
            help=f"contracts of each election (default: {CONSTITUENCIES})",
        )
        parser.add_argument(
            "--write",
            type=Path,
            metavar="FILE",
            help="put the tables between the marks of this page of the documentation",
        )

        parser.add_argument(
            "--effects",
            type=Path,
            metavar="FILE",
            help="write what thresholds do, as the admin tells it, to this file",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        elections, seed = options["elections"], options["seed"]
        constituencies = options["constituencies"]
        if elections < 1 or constituencies < 1 or seed < 0:
            raise CommandError(
                "--elections and --constituencies take numbers from 1, --seed from 0."
            )
        page, effects = _page(options["write"]), options["effects"]
        if effects and not effects.parent.is_dir():
            raise CommandError(f"There is no folder {effects.parent} for --effects.")
        wanted = jobs(elections=elections, seed=seed, constituencies=constituencies)
        with self.progress(total=len(wanted), unit="elections") as bar:
            report = run(wanted, on_done=bar.update)
        told = {
            "elections": elections,
            "constituencies": constituencies,
            "inside": min(INSIDE, elections),
            "first": seed,
            "last": seed + elections - 1,
        }
        text = tables(report, title=TITLE.format(**told), inside=told["inside"])
        if page:
            page.write(text)
        if effects:
            report.effects(MEASURED.format(**told)).write(effects)
        missed = [f"Missed: {target}." for target in report.missed]
        verdict = missed or ["All targets are met."]
        self.answer(report.as_json(), text, *verdict, as_json=options["json"])
        sys.exit(1 if missed else 0)


def _page(path: Path | None) -> Page | None:
    """Return the page to write, looked at before the long work begins."""
    try:
        return Page(path) if path else None
    except NoPlace as error:
        raise CommandError(str(error)) from error
