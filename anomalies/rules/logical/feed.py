"""H09 and H10: files that did not come, and files that came again and were others."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from anomalies.rules.findings import Finding, Severity
from anomalies.rules.logical.rule import (
    ONE_HOUR,
    LogicalRule,
    Place,
    Some,
    Violation,
    runs,
    texts,
)

# How long after its hour a file may come.
GRACE = timedelta(minutes=20)


@dataclass(frozen=True, slots=True)
class Feed:
    """The hour files of one constituency that had to be there by now."""

    constituency: int
    first_hour: datetime
    # One past the last.
    end_hour: datetime
    missing: Collection[datetime] = ()


class H09FeedGap(LogicalRule):
    """An hour file did not come, although other constituencies have theirs.

    Where none has, one finding for the election says so. It is gone when the files come.
    An empty file is data: nothing happened.
    """

    code = "H09"
    severity = Severity.WARNING
    source = "Hourly exports are intervals: a missing file is a hole (DOMAIN 4)."

    def evaluate(self, *, election: int, feeds: Sequence[Feed]) -> list[Finding]:
        """Judge all feeds of an election at once; hours in a row are one finding."""
        expected = _expected(feeds)
        missing = Counter(hour for feed in feeds for hour in feed.missing)
        silent = {hour for hour in missing if missing[hour] == expected[hour]}
        found = [
            self._gap(Place(election, None), run, expected, missing)
            for run in runs(silent)
        ]
        for feed in feeds:
            place = Place(election, feed.constituency)
            own = runs(hour for hour in feed.missing if hour not in silent)
            found += [self._gap(place, run, expected, missing) for run in own]
        return found

    def _gap(
        self,
        place: Place,
        run: Sequence[datetime],
        expected: Counter[datetime],
        missing: Counter[datetime],
    ) -> Finding:
        worst = max(run, key=lambda hour: missing[hour])
        violation = Violation(
            severity=self.severity,
            started_hour=run[0],
            ended_hour=run[-1],
            statistic=len(run),
            evidence={
                **Some.of(texts(run)).as_evidence("missing_hours"),
                # At the hour with the fewest files.
                "files_expected": expected[worst],
                "files_received": expected[worst] - missing[worst],
            },
        )
        return self.finding(place, violation)


def _expected(feeds: Sequence[Feed]) -> Counter[datetime]:
    """Return how many files every hour should have."""
    expected: Counter[datetime] = Counter()
    # An election has a few dozen windows, not one for each constituency.
    windows = Counter((feed.first_hour, feed.end_hour) for feed in feeds)
    for (hour, end), feeds_count in windows.items():
        while hour < end:
            expected[hour] += feeds_count
            hour += ONE_HOUR
    return expected


@dataclass(frozen=True, slots=True, kw_only=True)
class FileVersion:
    """A later version of an hour file beside the one before it, by transaction ids."""

    version: int
    file: str
    sha256: str
    earlier_file: str
    earlier_sha256: str
    new_count: int = 0
    changed: Some[str] = Some()  # noqa: RUF009 - frozen
    vanished: Some[str] = Some()  # noqa: RUF009

    @property
    def is_rewritten(self) -> bool:
        """Tell whether it takes back anything of the version before."""
        return bool(self.changed.count or self.vanished.count)

    def as_evidence(self) -> dict[str, Any]:
        """Return both files and what became of the rows."""
        return {
            "version": self.version,
            "file": self.file,
            "sha256": self.sha256,
            "earlier_file": self.earlier_file,
            "earlier_sha256": self.earlier_sha256,
            "new_count": self.new_count,
            **self.changed.as_evidence("changed"),
            **self.vanished.as_evidence("vanished"),
        }


class H10HistoryChanged(LogicalRule):
    """An hour file was published again with other content.

    Rows that only came late are info; rows that changed or are gone are critical. What
    was loaded first counts, so no figure moves.
    """

    code = "H10"
    source = "DOMAIN 5: the same hour file with another hash."

    def evaluate(
        self, place: Place, hour: datetime, versions: Sequence[FileVersion]
    ) -> Finding | None:
        """Judge the later versions of one hour file: one finding for all of them."""
        if not versions:
            return None
        is_rewritten = any(version.is_rewritten for version in versions)
        touched = sum(v.changed.count + v.vanished.count for v in versions)
        violation = Violation(
            severity=Severity.CRITICAL if is_rewritten else Severity.INFO,
            started_hour=hour,
            ended_hour=hour,
            statistic=touched,
            evidence={"versions": [version.as_evidence() for version in versions]},
        )
        return self.finding(place, violation)
