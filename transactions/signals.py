"""What the ledger tells the rest of the project."""

from django.dispatch import Signal

# Sent with `change: LedgerChange` inside the writer's database transaction, while it
# holds the locks of the constituencies: a receiver that raises rolls the writer back.
ledger_changed = Signal()

# Sent with `places`, pairs of election's slug and contract id, after the writer's commit:
# once for each, also where the answer to the commit was lost. First of all that follows
# the commit, and a receiver that raises stops nobody.
ledger_committed = Signal()
