"""`manage.py verify_metrics`: is every stored figure what the ledger says?"""

import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from elections.management.base import MonitorCommand
from metrics import queries
from metrics.services import verify


class Command(MonitorCommand):
    help = "Compare ledger, HourlyStats, MinuteStats, totals and rates; nothing is changed."
    examples = """
examples:
  manage.py verify_metrics
  manage.py verify_metrics --election duma-2026 --json

exit status: 0 equal; 1 with the figures that differ
"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--election", metavar="SLUG")

    def handle(self, *args: Any, **options: Any) -> None:
        election = options["election"]
        if election and not queries.has_election(election):
            raise CommandError(f"No election has the slug {election}.")
        total = len(queries.contract_ids(election=election))
        with self.progress(total=total, unit="constituencies") as bar:
            now = timezone.now()
            differences = list(verify(election=election, now=now, on_done=bar.update))
        verdict = (
            f"Figures that differ from the ledger: {len(differences)}."
            if differences
            else "All figures equal the ledger."
        )
        self.answer(
            {
                "equal": not differences,
                "differences": [asdict(difference) for difference in differences],
            },
            *map(str, differences),
            verdict,
            as_json=options["json"],
        )
        sys.exit(1 if differences else 0)
