"""Bring the embedded services up before a command needs them."""

import sys

from django.conf import settings

from election_monitor import embedded


def start_services() -> None:
    """Start the embedded PostgreSQL and Redis where the settings call for them."""
    started = embedded.start(
        settings.VAR_DIR,
        postgres=settings.EMBEDDED_POSTGRES,
        redis=settings.EMBEDDED_REDIS,
    )
    if started:
        sys.stderr.write(
            "Started the embedded services; `manage.py services stop` stops them.\n"
        )
