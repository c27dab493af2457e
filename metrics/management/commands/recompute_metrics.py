"""`manage.py recompute_metrics`: statistics and totals anew from the ledger."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from elections.clock import database_now
from elections.management.base import MonitorCommand
from metrics import queries
from metrics.services import Aggregation, HourlyStatsService

# Constituencies between two steps of the progress bar.
STEP = 100


class Command(MonitorCommand):
    help = "Count HourlyStats and totals again from the ledger; safe while loaders run."
    examples = """
examples:
  manage.py recompute_metrics
  manage.py recompute_metrics --election duma-2026 --start 2026-09-18T08:00+03:00
  manage.py recompute_metrics --constituency CJ9vdyteoijMZrUXjhfTymUGP6JMvtKppdQ9ZxHKNoPc
"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--election", metavar="SLUG")
        parser.add_argument("--constituency", metavar="ID", help="a contract id")
        parser.add_argument("--start", metavar="ISO", help="included")
        parser.add_argument("--end", metavar="ISO", help="not included")

    def handle(self, *args: Any, **options: Any) -> None:
        result = self._recompute(options)
        if result.failed:
            raise CommandError("; ".join(result.failed.values()))
        self.answer(
            asdict(result),
            f"{result.hours_changed} hours, {result.minutes_changed} minutes and "
            f"{result.constituencies_changed} constituencies differed from the ledger "
            "and were written.",
            as_json=options["json"],
        )

    def _recompute(self, options: dict[str, Any]) -> Aggregation:
        start, end = _instant(options["start"]), _instant(options["end"])
        if start and end and start >= end:
            raise CommandError("--start must be before --end.")
        contract_ids = _contract_ids(options)
        service = HourlyStatsService()
        total = Aggregation()
        with self.progress(total=len(contract_ids), unit="constituencies") as bar:
            for first in range(0, len(contract_ids), STEP):
                piece = contract_ids[first : first + STEP]
                total += service.aggregate_hourly_stats_for_timerange(
                    piece, start, end, now=database_now()
                )
                bar.update(len(piece))
        return total


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandError(f"{text} is no time with an offset: 2026-09-18T08:00+03:00.")
    return moment


def _contract_ids(options: dict[str, Any]) -> list[str]:
    if options["constituency"] and options["election"]:
        raise CommandError("Give --election or --constituency, not both.")
    if options["constituency"]:
        return [options["constituency"]]
    if options["election"] and not queries.has_election(options["election"]):
        raise CommandError(f"No election has the slug {options['election']}.")
    return queries.contract_ids(election=options["election"])
