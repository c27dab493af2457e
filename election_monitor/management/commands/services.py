"""`manage.py services`: the embedded PostgreSQL and Redis from the command line."""

import json
from argparse import RawDescriptionHelpFormatter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from election_monitor import embedded

NOT_RUNNING = 3

EXAMPLES = """
examples:
  manage.py services start            start what does not run yet
  manage.py services status --json    what runs, with process ids, for a program
  manage.py services url              DATABASE_URL=… and REDIS_URL=…, a line each
  manage.py services stop             stop both; the data stays in VAR_DIR

exit status: 0; 1 a server cannot start or stop; 3 not running (status, url)
"""


class Command(BaseCommand):
    """Start, stop and show the embedded servers of VAR_DIR."""

    help = "Start, stop or show the embedded PostgreSQL and Redis."
    # A check may need the very database this command starts.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.epilog = EXAMPLES
        parser.add_argument("action", choices=["start", "stop", "status", "url"])
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, action: str, **options: Any) -> None:
        wanted = _wanted()
        if not any(wanted.values()):
            raise CommandError(
                "DATABASE_URL and REDIS_URL are given, so nothing here is embedded: "
                "unset them to use the embedded services."
            )
        try:
            _act(action, wanted)
        except embedded.EmbeddedServiceError as error:
            raise CommandError(str(error)) from error
        states = _states(wanted)
        answer = _urls(wanted) if action == "url" else states
        self.stdout.write(json.dumps(answer) if options["json"] else _as_text(answer))
        if action in {"status", "url"} and not all(
            state["is_running"] for state in states.values()
        ):
            raise CommandError(
                "Not running. Start with: manage.py services start",
                returncode=NOT_RUNNING,
            )


def _wanted() -> dict[str, bool]:
    """Return which servers the settings leave to us: the others are given by URL."""
    return {"postgres": settings.EMBEDDED_POSTGRES, "redis": settings.EMBEDDED_REDIS}


def _act(action: str, wanted: Mapping[str, bool]) -> None:
    if action == "start":
        embedded.start(
            settings.VAR_DIR, postgres=wanted["postgres"], redis=wanted["redis"]
        )
    elif action == "stop":
        embedded.stop(settings.VAR_DIR)


def _states(wanted: Mapping[str, bool]) -> dict[str, dict[str, Any]]:
    status = asdict(embedded.status(settings.VAR_DIR))
    return {
        name: state | {"socket": str(state["socket"]), "log": str(state["log"])}
        for name, state in status.items()
        if wanted[name]
    }


def _urls(wanted: Mapping[str, bool]) -> dict[str, str]:
    urls = {}
    if wanted["postgres"]:
        urls["DATABASE_URL"] = embedded.database_url(settings.VAR_DIR)
    if wanted["redis"]:
        urls["REDIS_URL"] = embedded.redis_url(settings.VAR_DIR)
    return urls


def _as_text(answer: Mapping[str, Any]) -> str:
    return "\n".join(
        f"{name}={value}" if isinstance(value, str) else f"{name}: {_described(value)}"
        for name, value in answer.items()
    )


def _described(state: Mapping[str, Any]) -> str:
    if not state["is_running"]:
        return f"not running (log: {state['log']})"
    return f"running, process {state['pid']}, socket {state['socket']}"
