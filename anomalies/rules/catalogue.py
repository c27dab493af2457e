"""The rules by their codes: what each is called, says, and cannot tell."""

from dataclasses import dataclass

from anomalies.rules.logical import (
    H01VotesExceedBulletins,
    H02RegisterExceeded,
    H03OutsideWindow,
    H04RewrittenTransaction,
    H05DoubleVote,
    H06DoubleIssue,
    H07ForeignIssuer,
    H09FeedGap,
    H10HistoryChanged,
)
from anomalies.rules.logical.rule import LogicalRule


@dataclass(frozen=True, slots=True)
class Rule:
    """What people read of a rule."""

    code: str
    title: str
    # For the observer, of one finding.
    sentence: str
    # Plain reasons that can have the same look.
    innocent: str
    is_statistical: bool


def _logical(rule: type[LogicalRule], title: str, innocent: str) -> Rule:
    return Rule(rule.code, title, rule.sentence(), innocent, is_statistical=False)


def _statistical(code: str, title: str, sentence: str, innocent: str) -> Rule:
    return Rule(code, title, sentence, innocent, is_statistical=True)


_ALL = (
    _logical(
        H01VotesExceedBulletins,
        "Votes exceed bulletins",
        "issues that are recorded later than their votes, for an hour or so",
    ),
    _logical(
        H02RegisterExceeded,
        "Register exceeded",
        "voters' lists that never reached the ledger",
    ),
    _logical(
        H03OutsideWindow,
        "Outside the voting time",
        "test transactions before the vote, or a clock that is off",
    ),
    _logical(
        H04RewrittenTransaction,
        "Transaction rewritten",
        "a fault in the export; the figures are those of the first content",
    ),
    _logical(H05DoubleVote, "Key voted twice", "a contract that allows to vote again"),
    _logical(H06DoubleIssue, "Bulletin issued twice", "an issue that was repeated"),
    _logical(
        H07ForeignIssuer,
        "Issued by another key",
        "a registrar whose key was changed",
    ),
    _logical(H09FeedGap, "Hour file missing", "a file that is late"),
    _logical(
        H10HistoryChanged,
        "Hour file changed",
        "rows that came late, published in a second version",
    ),
    _statistical(
        "H13",
        "Calls refused",
        "The contract refuses a larger share of the calls than those of the peers.",
        "an application that sends calls twice, or voters who come too early",
    ),
    _statistical(
        "S01",
        "Unusual flow",
        "The flow is not what peers and own past lead to expect.",
        "a large employer or a campaign on one day, an outage and its catch-up",
    ),
    _statistical(
        "S02",
        "Unusual night",
        "The night's flow is not what peers and own past lead to expect.",
        "night shifts, or people abroad in other time zones",
    ),
    _statistical(
        "S03",
        "Unusual total",
        "All constituencies together are not at the level of the day before.",
        "an outage of the platform, an announcement, another weekday",
    ),
    _statistical(
        "S04",
        "Region in step",
        "The constituencies of a region move together in this hour.",
        "weather, an outage or a campaign in the region",
    ),
    _statistical(
        "S05",
        "Unusual spread",
        "Constituencies differ more than usual in this hour.",
        "an outage that struck some of them",
    ),
    _statistical(
        "S06",
        "Too regular",
        "The minutes are more alike than chance lets them be.",
        "a queue that lets in so many a minute, or a platform at its limit",
    ),
    _statistical(
        "S07",
        "Constant rate",
        "Ballots come at a constant rate, or hours have equal numbers.",
        "a queue that lets in one after the other; of many constituencies a few by chance",
    ),
    _statistical(
        "S08",
        "Burst in one second",
        "One second holds more than the minutes around it lead to expect.",
        "a backlog that was written at once, or time stamps set by a server",
    ),
    _statistical(
        "S09",
        "Silence within the hour",
        "Nothing comes for longer than the flow of the hour leaves to chance.",
        "an outage, or a break of a polling place where people vote together",
    ),
    _statistical(
        "S11",
        "Bulletins not cast",
        "The share of bulletins that were not cast is not that of the peers.",
        "votes that arrive late, or a difficult ballot",
    ),
    _statistical(
        "S12",
        "Unusual turnout",
        "The turnout is not that of the peers.",
        "a local issue, or a register that is out of date",
    ),
    _statistical(
        "S15",
        "Ballots come apart",
        "Ballots that go to the same people are not issued or cast alike.",
        "people who take only one of the ballots",
    ),
    _statistical(
        "S16",
        "Votes do not arrive",
        "Bulletins are issued, and their votes do not arrive, anywhere.",
        "a fault of the platform that is made up for later",
    ),
    _statistical(
        "S17",
        "Sudden jump",
        "The whole election jumps from one five minutes to the next.",
        "a mass mailing, a broadcast, employers who send everybody to vote at one hour",
    ),
)
RULES = {rule.code: rule for rule in _ALL}
