"""`manage.py delete_election`: remove a simulated election with all its rows."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from election_monitor.deletion import KINDS, NotSimulated, delete_simulated_election
from elections.management.base import MonitorCommand
from elections.models import Election


class Command(MonitorCommand):
    help = "Remove a simulated election with all its rows; refuses any other."
    examples = """
examples:
  manage.py delete_election demo --simulated-only
"""

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("slug", metavar="SLUG")
        parser.add_argument(
            "--simulated-only",
            action="store_true",
            required=True,
            help="say that you know what this deletes",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["slug"]
        try:
            with self.progress(total=KINDS, unit="kinds of rows") as bar:
                deleted = delete_simulated_election(slug, on_done=bar.update)
        except Election.DoesNotExist as error:
            raise CommandError(f"No election has the slug {slug}.") from error
        except NotSimulated as error:
            raise CommandError(str(error)) from error
        rows = deleted["transactions.transaction"]
        sentence = f"Deleted {slug} with {rows} transactions."
        self.answer(deleted, sentence, as_json=options["json"])
