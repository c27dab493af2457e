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
    if (
        words
        and words[0] not in WITHOUT_DATABASE
        and WITHOUT_SERVICES.isdisjoint(words)
    ):
        from election_monitor.startup import start_services

        start_services()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
