"""What the statistics announce to apps that they do not know."""

from django.dispatch import Signal

# Sent in the transaction that refreshed constituencies, before its commit. Arguments:
# `hours`, a mapping of election id -> hours that changed, and `now`. Receivers only ask for
# updates: an error in one would undo the refresh.
metrics_refreshed = Signal()
