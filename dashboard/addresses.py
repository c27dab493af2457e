"""Where the live process answers; both sides agree on it here."""

from django.conf import settings

PREFIX = "live/elections/"


def stream_url(election: str | None) -> str:
    """Return the public address of an election's stream, of the overview for None.

    Relative where the live process is reached under the name of the pages.
    """
    return f"{settings.LIVE_URL}/{PREFIX}{f'{election}/' if election else ''}"
