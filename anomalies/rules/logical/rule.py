"""What the logical rules have in common."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, ClassVar, Generic, TypeVar

from anomalies.rules.findings import Finding, Severity, Unverifiable

ONE_HOUR = timedelta(hours=1)
# So many ids make a finding that a person can check; the number of all is beside them.
IDS_SHOWN = 100

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Place:
    """Whom a finding is about, by primary keys."""

    election: int
    constituency: int | None


@dataclass(frozen=True, slots=True)
class Some(Generic[Item]):
    """The first of a list that may be long, and how many there are."""

    shown: Sequence[Item] = ()
    count: int = 0

    @classmethod
    def of(cls, items: Sequence[Item]) -> "Some[Item]":
        """Return the first items and the number of all."""
        return cls(tuple(islice(items, IDS_SHOWN)), len(items))

    def as_evidence(self, name: str) -> dict[str, Any]:
        """Return both, as `name` and `name_count`."""
        return {name: list(self.shown), f"{name}_count": self.count}


@dataclass(frozen=True, slots=True)
class Violation:
    """What a rule found, before it is said of whom."""

    severity: Severity
    started_hour: datetime
    ended_hour: datetime
    statistic: float
    excess: float | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


class LogicalRule:
    """A rule with its code in the catalogue and where it comes from."""

    code: ClassVar[str]
    source: ClassVar[str]

    @classmethod
    def sentence(cls) -> str:
        """Return what the observer reads: the first sentence of the docstring."""
        return " ".join((cls.__doc__ or "").split("\n\n")[0].split())

    def finding(self, place: Place, violation: Violation) -> Finding:
        """Return the violation as a finding about `place`."""
        return Finding(
            rule=self.code,
            election=place.election,
            constituency=place.constituency,
            started_hour=violation.started_hour,
            ended_hour=violation.ended_hour,
            severity=violation.severity,
            statistic=violation.statistic,
            excess=violation.excess,
            evidence=violation.evidence,
        )

    def unverifiable(self, place: Place, reason: str) -> Unverifiable:
        """Say why the rule could not be applied to `place`."""
        return Unverifiable(
            rule=self.code, constituency=place.constituency, reason=reason
        )


def runs(hours: Iterable[datetime]) -> Iterator[list[datetime]]:
    """Yield hours that follow each other together, oldest first."""
    run: list[datetime] = []
    for hour in sorted(hours):
        if run and hour - run[-1] > ONE_HOUR:
            yield run
            run = []
        run.append(hour)
    if run:
        yield run


def texts(moments: Iterable[datetime]) -> list[str]:
    """Return moments as JSON has them."""
    return [moment.isoformat() for moment in moments]
