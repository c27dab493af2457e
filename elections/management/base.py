"""What the management commands of all apps share: examples, `--json`, a progress bar."""

import json
import signal
from argparse import RawDescriptionHelpFormatter
from typing import Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import Error, connection
from tqdm import tqdm

from elections.database import is_away
from elections.models import Election


class MonitorCommand(BaseCommand):
    """A command that shows `examples` in its help and answers people or programs."""

    examples: ClassVar[str]
    needs_tables: ClassVar[bool] = True

    def create_parser(
        self, prog_name: str, subcommand: str, **kwargs: Any
    ) -> CommandParser:
        return super().create_parser(
            prog_name,
            subcommand,
            epilog=self.examples,
            formatter_class=RawDescriptionHelpFormatter,
            **kwargs,
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command; a database that stays away is no reason for a traceback."""
        try:
            if self.needs_tables:
                make_tables()
            return super().execute(*args, **options)
        except Error as error:
            if not is_away(error):
                raise
            raise CommandError(
                f"The database does not answer: {str(error).strip()}. What was committed "
                "stays; run the command again."
            ) from error
        except OSError as error:
            raise CommandError(
                f"{error}. What was committed stays; run the command again."
            ) from error

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help="a summary for programs, on stdout"
        )

    def answer(self, told: dict[str, Any], *sentences: str, as_json: bool) -> None:
        """Write the summary for programs, or the sentences for people."""
        if as_json:
            self.stdout.write(
                json.dumps(told, cls=DjangoJSONEncoder, ensure_ascii=False)
            )
            return
        for sentence in sentences:
            self.stdout.write(sentence)

    def progress(self, *, total: int | None = None, unit: str) -> "tqdm[Any]":
        """Return a progress bar on a terminal, nothing elsewhere."""
        return tqdm(total=total, unit=f" {unit}", disable=None)


def valid_slug(text: str, *, option: str) -> str:
    """Return what was given for `option` if an election can be known by it.

    Raises:
        CommandError: it cannot.
    """
    try:
        Election._meta.get_field("slug").clean(text, None)
    except ValidationError as error:
        raise CommandError(f"{option} “{text}”: {' '.join(error.messages)}") from error
    return text


def make_tables() -> None:
    """Make the tables of a new embedded database, so that any command can be the first.

    Raises:
        CommandError: the database is somebody's own, and has none.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('django_migrations') IS NULL")
        is_new = cursor.fetchone()[0]
    if not is_new:
        return
    if not settings.EMBEDDED_POSTGRES:
        raise CommandError("The database has no tables yet: run manage.py prepare.")
    call_command("migrate", interactive=False, verbosity=0)


class StopRequest:
    """Ctrl-C and SIGTERM: what is in hand is finished, the rest left for next time."""

    def __init__(self) -> None:
        self._is_set = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._set)

    def _set(self, *_: object) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        """Tell whether somebody asked to stop."""
        return self._is_set
