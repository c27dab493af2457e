"""What the registry tells the rest of the project."""

from django.dispatch import Signal

# Sent with `places`, pairs of election's slug and contract id, inside the transaction
# that changes what is said of them; without any after more than can be named.
registry_changed = Signal()
