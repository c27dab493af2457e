"""Errors that say that the database is away, not that something is wrong."""

from django.db import InterfaceError, InternalError, OperationalError

# An InternalError is what whose session was ended hears, because it did nothing for long
# in an open transaction.
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError)
