"""What a rule says: one finding per constituency (or election) and time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How soon somebody has to look. Never from a p-value alone: the effect counts too."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that should not be there, with all that is needed to compute it again.

    `constituency` and `election` are primary keys; no constituency stands for the whole
    election. A logical rule has neither `p` nor `q`.
    """

    rule: str
    election: int
    constituency: int | None
    # First and last hour concerned, by their starts.
    started_hour: datetime
    ended_hour: datetime
    severity: Severity
    # What the rule computed; its meaning stands in the catalogue.
    statistic: float | None = None
    p: float | None = None
    q: float | None = None
    # Ballots more (or fewer) than there should be; None where that has no meaning.
    excess: float | None = None
    # Why nobody has to deal with it any more, where that is so: an outage that was caught
    # up is told, and closed.
    closed: str = ""
    # JSON: counts, expectations, intervals, parameters, ids of transactions, files.
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverifiable:
    """A rule that could not be applied, and why: missing files, an unknown register."""

    rule: str
    constituency: int | None
    # Stable code: `files_missing`, `register_unknown`, `no_peers`, `rule_failed`, …
    reason: str
