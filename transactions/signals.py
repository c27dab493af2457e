"""What the ledger tells the rest of the project."""

from django.dispatch import Signal

# Sent with `change: LedgerChange` inside the writer's database transaction, while it
# holds the locks of the constituencies: a receiver that raises rolls the writer back.
ledger_changed = Signal()
