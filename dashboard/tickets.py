"""Tickets to the live stream: signed by the web process, read without a database.

A ticket travels in an address, since a browser's EventSource sends no headers; so it ends
after minutes, and says no more than what its holder may see.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.core import signing

SALT = "dashboard.live.ticket"


class BadTicket(Exception):
    """The ticket opens nothing: altered, forged, or not a ticket at all."""


class ExpiredTicket(BadTicket):
    """The ticket was good; a new one is."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What its holder may follow."""

    # The slug, or None for the totals of all elections.
    election: str | None
    sees_constituencies: bool


def issue(ticket: Ticket) -> str:
    """Return the ticket as a text that is safe in addresses."""
    return signing.dumps([ticket.election, ticket.sees_constituencies], salt=SALT)


def read(text: str) -> Ticket:
    """Return what a text from `issue` says.

    Raises:
        ExpiredTicket: it was issued too long ago.
        BadTicket: it was not issued by this installation.
    """
    try:
        election, sees_constituencies = signing.loads(
            text, salt=SALT, max_age=settings.LIVE_TICKET_SECONDS
        )
    except signing.SignatureExpired as error:
        raise ExpiredTicket from error
    except signing.BadSignature as error:
        raise BadTicket from error
    return Ticket(election, sees_constituencies)


def expires_at(now: datetime) -> datetime:
    """Return until when a ticket issued at `now` opens a stream."""
    return now + timedelta(seconds=settings.LIVE_TICKET_SECONDS)
