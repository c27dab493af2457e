#!/usr/bin/env python
"""Run a management command, with the embedded services up when they are needed."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from election_monitor.embedded import EmbeddedServiceError

# They need no database, or start it themselves.
WITHOUT_SERVICES = {"services", "help", "--help", "-h", "version", "--version"}
# Only as the command itself: a folder to import may have such a name.
WITHOUT_DATABASE = {"evaluate_anomalies", "forensics"}
# With it `forensics` stores what it tells.
STORING = "--election"


def main() -> int:
    """Run the command, and say in a sentence what keeps it from starting."""
    try:
        _run()
    except (ImproperlyConfigured, EmbeddedServiceError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _run() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "election_monitor.settings")
    words = sys.argv[1:]
    if needs_services(words):
        from election_monitor.startup import start_services

        start_services()
    execute_from_command_line(sys.argv)


def needs_services(words: list[str]) -> bool:
    """Tell whether a command needs PostgreSQL and Redis, by its words."""
    if not words or not WITHOUT_SERVICES.isdisjoint(words):
        return False
    return words[0] not in WITHOUT_DATABASE or any(map(_is_storing, words[1:]))


def _is_storing(word: str) -> bool:
    """Tell whether a word is the option `--election`, which may be cut short."""
    option = word.partition("=")[0]
    return len(option) > len("--") and STORING.startswith(option)


if __name__ == "__main__":
    sys.exit(main())
