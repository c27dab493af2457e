"""The demo: a simulated election that is in its first day and goes on live."""

import os

from django.conf import settings


def is_wanted() -> bool:
    """Return whether this installation may hold the demo.

    Only an embedded database may, never one that somebody has given.
    """
    return bool(settings.EMBEDDED_POSTGRES) and os.environ.get("DEMO") != "0"
