"""`manage.py watch_folder`: loads what arrives in a folder."""

import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import Error, connection

from elections.database import is_away
from elections.management.base import MonitorCommand, StopRequest, valid_slug
from elections.models import Election
from elections.services import RegistryService
from transactions.services import ConstituencyGone, FolderWatch

EXIT_LOOK = 3
# How soon a stop request is seen.
POLL_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 60.0

TOTAL = (
    "{files} files ({files_unchanged} unchanged, {files_waiting} waiting, "
    "{files_failed} failed): {rows_read} rows = {accepted} accepted + {duplicate} "
    "duplicate + {conflicting} conflicting + {rejected} rejected; {vanished} vanished"
)


class Command(MonitorCommand):
    help = "Load the export files that arrive in a folder, each once, until stopped."
    examples = """
examples:
  manage.py watch_folder /srv/exports
  manage.py watch_folder /srv/exports --election duma-2026 --move-to /srv/loaded
  manage.py watch_folder /srv/exports --once --json

A file is loaded when two looks found it unchanged. Hidden files and names that end in
.part, .partial, .tmp, .temp, .filepart, .crdownload or ~ are left alone. Ctrl-C and
SIGTERM finish the piece of a file that is in hand. Two watchers on one folder are
harmless.

exit status: 0 stopped, or with --once all loaded; 3 with --once, loaded, but look:
rejected or conflicting rows, vanished rows, waiting or failed files; 1 a fault
"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("path", type=Path, metavar="PATH")
        parser.add_argument(
            "--election",
            metavar="SLUG",
            help="create unknown contracts below this election (made where it is new)",
        )
        parser.add_argument(
            "--interval",
            type=float,
            default=5.0,
            metavar="SECONDS",
            help="pause between two looks (default: 5)",
        )
        parser.add_argument(
            "--settle",
            type=float,
            default=2.0,
            metavar="SECONDS",
            help="how long a file has to be unchanged (default: 2)",
        )
        parser.add_argument(
            "--move-to",
            type=Path,
            metavar="DIR",
            help="move files there that are loaded, or kept until their constituency is "
            "registered (default: leave them and remember)",
        )
        parser.add_argument(
            "--once",
            action="store_true",
            help="load what is complete now, and end",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stop = StopRequest()
        watch = self._watch(options, stop)
        if options["once"]:
            self._look_twice(watch, stop, options)
        else:
            self._look_on(watch, stop, options)
        told = watch.summary.as_json()
        self.answer(told, TOTAL.format(**told), as_json=options["json"])
        if options["once"] and watch.summary.needs_attention:
            sys.exit(EXIT_LOOK)

    def _watch(self, options: dict[str, Any], stop: StopRequest) -> FolderWatch:
        for name in ("interval", "settle"):
            if not 0 <= options[name] <= 86_400:
                raise CommandError(f"--{name} takes seconds, up to a day.")
        if not options["path"].is_dir():
            raise CommandError(f"{options['path']} is no folder.")
        slug = options["election"]
        election: Election | None = None
        if slug is not None:
            valid_slug(slug, option="--election")
            election = RegistryService().ensure_election(slug=slug)
        return FolderWatch(
            options["path"],
            settle_seconds=options["settle"],
            election=election,
            move_to=options["move_to"],
            is_stopped=stop.is_set,
        )

    def _look_twice(
        self, watch: FolderWatch, stop: StopRequest, options: dict[str, Any]
    ) -> None:
        self._look(watch, options)
        if watch.expects_more:
            _wait(max(options["settle"], POLL_SECONDS), stop)
            self._look(watch, options)

    def _look_on(
        self, watch: FolderWatch, stop: StopRequest, options: dict[str, Any]
    ) -> None:
        pause = options["interval"]
        while not stop.is_set():
            try:
                self._look(watch, options)
            except (Error, ConstituencyGone, OSError) as error:
                if isinstance(error, Error) and not is_away(error):
                    raise
                # What is not loaded is still there at the next look.
                self.stderr.write(
                    f"{str(error).strip()} Looking again in {pause:.0f} s."
                )
                connection.close()
                _wait(pause, stop)
                pause = min(max(2 * pause, 1.0), LONGEST_PAUSE_SECONDS)
            else:
                pause = options["interval"]
                _wait(pause, stop)

    def _look(self, watch: FolderWatch, options: dict[str, Any]) -> None:
        told = self.stderr if options["json"] else self.stdout
        for arrival in watch.look():
            told.write(str(arrival))
            told.flush()


def _wait(seconds: float, stop: StopRequest) -> None:
    """Wait, or until somebody asks to stop."""
    ends_at = time.monotonic() + seconds
    while not stop.is_set() and (left := ends_at - time.monotonic()) > 0:
        time.sleep(min(left, POLL_SECONDS))
