"""`manage.py import_transactions`: export files into the ledger."""

import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from time import monotonic
from typing import Any

from django.core.management.base import CommandError, CommandParser

from elections.management.base import MonitorCommand, StopRequest, valid_slug
from elections.models import Election
from elections.services import RegistryService
from transactions.services import (
    ConstituencyGone,
    ImportSummary,
    WorkerDied,
    import_paths,
)

EXIT_LOOK = 3
EXIT_FAULT = 1
PROBLEMS_SHOWN = 20

FILES = (
    "{files} files ({files_unchanged} unchanged, {files_waiting} waiting, "
    "{files_failed} failed) in {seconds:.1f} s"
)
ROWS = (
    "{rows_read} rows = {accepted} accepted + {duplicate} duplicate + "
    "{conflicting} conflicting + {rejected} rejected; {vanished} vanished"
)
FIGURES = (
    "{bulletins_issued:+} bulletins issued, {votes_cast:+} votes cast in "
    "{constituencies} constituencies of {elections} elections"
)


class Command(MonitorCommand):
    help = "Load export files, folders and zip archives; loading again changes nothing."
    examples = """
examples:
  manage.py import_transactions exports/
  manage.py import_transactions day1.zip day2.zip --election duma-2026 --workers 4
  manage.py import_transactions exports/ --dry-run --json

exit status: 0 all loaded; 3 loaded, but look: rejected or conflicting rows, vanished
rows, waiting or failed files; 1 nothing usable, or a fault
"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("paths", nargs="+", metavar="PATH")
        parser.add_argument(
            "--election",
            metavar="SLUG",
            help="create unknown contracts below this election (made where it is new)",
        )
        parser.add_argument(
            "--workers",
            type=int,
            default=os.cpu_count() or 1,
            metavar="N",
            help="processes that load at once (default: one per core)",
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="say what the import would do, and undo it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["workers"] < 1:
            raise CommandError("--workers takes a number from 1.")
        started = monotonic()
        summary = self._import(options)
        told = summary.as_json() | {"seconds": round(monotonic() - started, 3)}
        sentences = [template.format(**told) for template in (FILES, ROWS, FIGURES)]
        if options["dry_run"]:
            sentences.insert(0, "Dry run: nothing was stored.")
        self.answer(told, *sentences, as_json=options["json"])
        self._tell_problems(summary)
        sys.exit(_exit_status(summary))

    def _import(self, options: dict[str, Any]) -> ImportSummary:
        stop = StopRequest()
        election = self._election(options["election"], is_trial=options["dry_run"])
        with self.progress(unit="files") as bar:
            try:
                return import_paths(
                    options["paths"],
                    election=election,
                    workers=options["workers"],
                    is_trial=options["dry_run"],
                    is_stopped=stop.is_set,
                    on_found=bar.reset,
                    on_done=bar.update,
                )
            except (WorkerDied, ConstituencyGone) as error:
                raise CommandError(str(error)) from error

    def _election(self, slug: str | None, *, is_trial: bool) -> Election | None:
        if slug is None:
            return None
        valid_slug(slug, option="--election")
        if Election.objects.filter(slug=slug).exists() or not is_trial:
            return RegistryService().ensure_election(slug=slug)
        raise CommandError(
            f"No election has the slug {slug}: the import would create it, a dry run "
            "does not."
        )

    def _tell_problems(self, summary: ImportSummary) -> None:
        lines = list(_by_reason(summary.problems))
        for line in lines[:PROBLEMS_SHOWN]:
            self.stderr.write(line)
        if len(lines) > PROBLEMS_SHOWN:
            more = len(lines) - PROBLEMS_SHOWN
            self.stderr.write(f"… and {more} more, see Import batches in the admin.")
        if summary.is_stopped:
            self.stderr.write("Stopped. Import the same files again to finish.")


def _by_reason(problems: list[tuple[str, str]]) -> Iterator[str]:
    """Say each reason once, with the first file it befell."""
    files: dict[str, list[str]] = defaultdict(list)
    for name, reason in problems:
        files[reason].append(name)
    for reason, names in files.items():
        others = f" and {len(names) - 1} more files" if len(names) > 1 else ""
        yield f"{names[0]}{others}: {reason}"


def _exit_status(summary: ImportSummary) -> int:
    if summary.is_stopped or not (summary.files_usable or summary.files_waiting):
        return EXIT_FAULT
    return EXIT_LOOK if summary.needs_attention else 0
