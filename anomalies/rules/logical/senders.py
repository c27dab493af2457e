"""H05 to H07: who voted twice, was given two bulletins, or issued without the right to."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from anomalies.rules.findings import Finding, Severity
from anomalies.rules.logical.rule import LogicalRule, Place, Some, Violation

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class FurtherVote:
    """An accepted vote by a key whose first one counts."""

    tx_id: str
    # Digest of the key, in hexadecimal digits.
    key: str
    first_tx_id: str | None


class H05DoubleVote(LogicalRule):
    """A key voted twice, and both votes were accepted.

    Where the contract allows revoting that is legal; where nobody knows yet, a warning.
    The first vote counts, so votes cast do not move.
    """

    code = "H05"
    source = "VoteHandler of cikrf/deg2021: isRevoteBlocked."

    def evaluate(
        self,
        place: Place,
        hour: datetime,
        further: Some[FurtherVote],
        *,
        revoting_allowed: bool | None,
    ) -> Finding | None:
        """Judge the further votes of one hour; `revoting_allowed` None is unknown."""
        if revoting_allowed or not further.count:
            return None
        is_known = revoting_allowed is not None
        pairs = Some([asdict(vote) for vote in further.shown], further.count)
        violation = Violation(
            severity=Severity.CRITICAL if is_known else Severity.WARNING,
            started_hour=hour,
            ended_hour=hour,
            statistic=further.count,
            excess=further.count,
            evidence={
                "revoting_allowed": revoting_allowed,
                **pairs.as_evidence("transactions"),
            },
        )
        return self.finding(place, violation)


@dataclass(frozen=True, slots=True)
class Issue:
    """An accepted issue with the digests of its recipients, 16 bytes each."""

    tx_id: str
    at: datetime
    hour: datetime
    recipients: bytes

    def split(self) -> Iterator[bytes]:
        """Yield one digest per bulletin."""
        for start in range(0, len(self.recipients), DIGEST_BYTES):
            yield self.recipients[start : start + DIGEST_BYTES]


@dataclass(frozen=True, slots=True)
class Repeat:
    """A bulletin to somebody who had one, and the issue of the first."""

    recipient: str
    tx_id: str
    first_tx_id: str


class H06DoubleIssue(LogicalRule):
    """One person was given a bulletin twice in the same contract.

    It changes no figure: bulletins issued count every entry.
    """

    code = "H06"
    severity = Severity.CRITICAL
    source = "BlindSigIssueHandler of cikrf/deg2021."

    def evaluate(self, place: Place, issues: Iterable[Issue]) -> list[Finding]:
        """Judge all issues of one contract that share recipients; one finding an hour.

        The first issue of a recipient, by (time, id), is fine; each further one is not.
        """
        first: dict[bytes, str] = {}
        repeats: dict[datetime, list[Repeat]] = defaultdict(list)
        for issue in sorted(issues, key=lambda issue: (issue.at, issue.tx_id)):
            for recipient in issue.split():
                if (known := first.get(recipient)) is None:
                    first[recipient] = issue.tx_id
                else:
                    repeat = Repeat(recipient.hex(), issue.tx_id, known)
                    repeats[issue.hour].append(repeat)
        return [self._in_hour(place, hour, repeats[hour]) for hour in sorted(repeats)]

    def _in_hour(
        self, place: Place, hour: datetime, repeats: Sequence[Repeat]
    ) -> Finding:
        people = Counter(repeat.recipient for repeat in repeats)
        shown = Some.of([asdict(repeat) for repeat in repeats])
        violation = Violation(
            severity=self.severity,
            started_hour=hour,
            ended_hour=hour,
            statistic=len(people),
            excess=len(repeats),
            evidence={
                "recipients_count": len(people),
                **shown.as_evidence("bulletins"),
            },
        )
        return self.finding(place, violation)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Accepted issues that one key sent within an hour."""

    # Digest of the key.
    key: bytes
    count: int
    # Bulletins in them.
    bulletins: int
    tx_ids: Sequence[str] = ()

    def as_evidence(self) -> dict[str, Any]:
        """Return what a person needs to find the issues."""
        shown = Some(self.tx_ids, self.count)
        return {
            "key": self.key.hex(),
            "bulletins_issued": self.bulletins,
            **shown.as_evidence("transactions"),
        }


@dataclass(frozen=True, slots=True)
class Issuers:
    """All foreign keys of an hour together: there may be more than anybody can read."""

    keys: int
    count: int
    bulletins: int


# Of the foreign keys of an hour.
ISSUERS_SHOWN = 20


class H07ForeignIssuer(LogicalRule):
    """Bulletins were issued by a key that is not the registrar's.

    While the ledger has not told the registrar, the key with the most issues is taken for
    it: a second one is a finding all the same.
    """

    code = "H07"
    severity = Severity.CRITICAL
    source = "BlindSigIssueHandler of cikrf/deg2021: BLINDSIG_ISSUE_REGISTRATOR."

    def evaluate(
        self,
        place: Place,
        hour: datetime,
        issuers: Iterable[Issuer],
        *,
        registrar: bytes | None,
        presumed: bytes | None = None,
        total: Issuers | None = None,
    ) -> Finding | None:
        """Judge the issuers of one hour; `total` counts those, too, that are not listed.

        `presumed` is the busiest key of the contract, asked where `registrar` is None;
        without either the busiest of `issuers` is.
        """
        issuers = list(issuers)
        accepted = registrar or presumed or _busiest(issuers)
        foreign = [issuer for issuer in issuers if issuer.key != accepted]
        if accepted is None or not foreign:
            return None
        total = total or _together(foreign)
        violation = Violation(
            severity=self.severity,
            started_hour=hour,
            ended_hour=hour,
            statistic=total.count,
            excess=total.bulletins,
            evidence={
                "registrar": accepted.hex(),
                "registrar_known": registrar is not None,
                "bulletins_issued": total.bulletins,
                "issuers": [item.as_evidence() for item in foreign[:ISSUERS_SHOWN]],
                "issuers_count": total.keys,
            },
        )
        return self.finding(place, violation)


def _together(issuers: Sequence[Issuer]) -> Issuers:
    return Issuers(
        keys=len(issuers),
        count=sum(issuer.count for issuer in issuers),
        bulletins=sum(issuer.bulletins for issuer in issuers),
    )


def _busiest(issuers: Sequence[Issuer]) -> bytes | None:
    most = max(issuers, key=lambda issuer: issuer.count, default=None)
    return most.key if most else None
