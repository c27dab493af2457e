#!/usr/bin/env python
"""Run a management command, with the embedded services up when they are needed."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from election_monitor.embedded import EmbeddedServiceError

# They need no database, or start it themselves.
WITHOUT_SERVICES = {"services", "help", "--help", "-h", "version", "--version"}


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
    if WITHOUT_SERVICES.isdisjoint(sys.argv[1:]) and len(sys.argv) > 1:
        from election_monitor.startup import start_services

        start_services()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
