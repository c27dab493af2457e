"""H01 to H07, H09, H10: what a complete and correctly read ledger cannot show.

Each is either true or false: there is no null model, and no false alarm is expected
where the files are complete. Numbers go in, findings come out; the first sentence of a
rule's docstring is the one that the observer reads.
"""

from anomalies.rules.logical.feed import (
    Feed,
    FileVersion,
    H09FeedGap,
    H10HistoryChanged,
)
from anomalies.rules.logical.rule import IDS_SHOWN, LogicalRule, Place, Some
from anomalies.rules.logical.senders import (
    ISSUERS_SHOWN,
    FurtherVote,
    H05DoubleVote,
    H06DoubleIssue,
    H07ForeignIssuer,
    Issue,
    Issuer,
    Issuers,
)
from anomalies.rules.logical.times import (
    Acts,
    Conflict,
    H03OutsideWindow,
    H04RewrittenTransaction,
    Window,
)
from anomalies.rules.logical.totals import (
    H01VotesExceedBulletins,
    H02RegisterExceeded,
    Hours,
)

__all__ = [
    "IDS_SHOWN",
    "ISSUERS_SHOWN",
    "Acts",
    "Conflict",
    "Feed",
    "FileVersion",
    "FurtherVote",
    "H01VotesExceedBulletins",
    "H02RegisterExceeded",
    "H03OutsideWindow",
    "H04RewrittenTransaction",
    "H05DoubleVote",
    "H06DoubleIssue",
    "H07ForeignIssuer",
    "H09FeedGap",
    "H10HistoryChanged",
    "Hours",
    "Issue",
    "Issuer",
    "Issuers",
    "LogicalRule",
    "Place",
    "Some",
    "Window",
]
