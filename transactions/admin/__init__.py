"""The ledger and its feed in the admin."""

from django.contrib import admin

from elections.models import Constituency, Election
from transactions.admin.batches import ImportBatchAdmin, WaitingBatchAdmin
from transactions.admin.disagreements import (
    ConflictingRowAdmin,
    RollbackEventAdmin,
    VanishedRowAdmin,
)
from transactions.admin.feed import FeedHourAdmin
from transactions.admin.ledger import LedgerAdmin
from transactions.admin.places import ConstituencyWithFeedAdmin, ElectionWithFeedAdmin
from transactions.admin.rejected import RejectedRowAdmin
from transactions.models import (
    ConflictingRow,
    FeedHour,
    ImportBatch,
    Ledger,
    RejectedRow,
    RollbackEvent,
    VanishedRow,
    WaitingBatch,
)

admin.site.register(ImportBatch, ImportBatchAdmin)
admin.site.register(WaitingBatch, WaitingBatchAdmin)
admin.site.register(RejectedRow, RejectedRowAdmin)
admin.site.register(ConflictingRow, ConflictingRowAdmin)
admin.site.register(VanishedRow, VanishedRowAdmin)
admin.site.register(RollbackEvent, RollbackEventAdmin)
admin.site.register(FeedHour, FeedHourAdmin)
admin.site.register(Ledger, LedgerAdmin)

# With what the feed knows of them.
admin.site.unregister([Election, Constituency])
admin.site.register(Election, ElectionWithFeedAdmin)
admin.site.register(Constituency, ConstituencyWithFeedAdmin)

__all__ = ["ConstituencyWithFeedAdmin", "ElectionWithFeedAdmin"]
