"""From trials to tables, and to the targets that a release has to meet."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from anomalies.evaluation.trials import (
    KINDS,
    LEVELS,
    SIZES,
    Calibration,
    Hit,
    Quiet,
    Scored,
    Trial,
)

LARGE, MEDIUM, SMALL = "above 20", "5 to 20", "below 5"
# Recall and median delay in hours that a release has to reach, ANOMALIES 5.5; the last
# kind is the one in which the reference detector found .16.
RECALL = {
    "burst:3": 0.90,
    "burst:5": 0.98,
    "night:1": 0.88,
    "outage:80": 0.95,
    "slow:50": 0.80,
    "slow:25": 0.60,
}
DELAY = {"burst:3": 0, "burst:5": 0, "outage:80": 0, "night:1": 3, "slow:50": 6}
# What counts of the above for constituencies with 5 to 20 ballots an hour.
MEDIUM_PART = 0.8
FALSE_HOURS, EVER_FLAGGED = 0.0005, 0.03
SCORE_LEVEL = 0.95
SCORE = {"precision": 0.93, "recall": 0.85, "accuracy": 0.97}
FALSE_POSITIVE_RATE = 0.01
CALIBRATION_SLACK = 0.03


@dataclass(frozen=True, slots=True)
class Target:
    """One figure that has to be reached, and what it is."""

    name: str
    value: float | None
    limit: float
    # Whether the value must not be below the limit, or not above it.
    is_floor: bool

    @property
    def is_met(self) -> bool:
        """Tell whether it is reached; a figure without cases is not."""
        if self.value is None:
            return False
        return self.value >= self.limit if self.is_floor else self.value <= self.limit

    def __str__(self) -> str:
        sign = "≥" if self.is_floor else "≤"
        value = "no case" if self.value is None else f"{self.value:.4g}"
        return f"{self.name}: {value} ({sign} {self.limit:.4g})"


@dataclass(frozen=True, slots=True)
class Recall:
    """What was found of one kind of injection in constituencies of one size."""

    injection: str
    size: str
    hits: tuple[Hit, ...]

    @property
    def share(self) -> float | None:
        """Return the share that was found."""
        return _share(hit.delay is not None for hit in self.hits)

    def where(self, **wanted: object) -> "Recall":
        """Return the part of the hits whose fields have these values."""
        chosen = (
            hit
            for hit in self.hits
            if all(getattr(hit, name) == value for name, value in wanted.items())
        )
        return Recall(self.injection, self.size, tuple(chosen))

    @property
    def visible_share(self) -> float | None:
        """Return the share that could be found without a twin."""
        return _share(hit.is_visible for hit in self.hits)

    def delay(self, quantile: float) -> float | None:
        """Return a quantile of the delays in hours, of what was found."""
        found = [hit.delay for hit in self.hits if hit.delay is not None]
        if not found:
            return None
        return float(np.quantile(found, quantile, method="inverted_cdf"))


@dataclass(frozen=True, slots=True)
class ScoreQuality:
    """What a level of the score is worth."""

    level: float
    size: str
    precision: float | None
    recall: float | None
    false_positive_rate: float | None
    accuracy: float | None


class Report:
    """The quality of the detector, from many trials."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._hits = [hit for trial in trials for hit in trial.hits]
        self._quiet = [item for trial in trials for item in trial.quiet]
        self._scored = [item for trial in trials for item in trial.scored]
        self._calibration = [item for trial in trials for item in trial.calibration]

    @cached_property
    def recalls(self) -> list[Recall]:
        """Return what was found, per kind and size."""
        return [self._recall(kind, size) for kind in KINDS for size in SIZES]

    def _recall(self, kind: str, size: str) -> Recall:
        hits = (h for h in self._hits if h.injection == kind and h.size == size)
        return Recall(kind, size, tuple(hits))

    def quiet(self, preset: str, size: str | None = None) -> Quiet:
        """Return the alarms of elections without anything in them."""
        chosen = [
            item
            for item in self._quiet
            if item.preset == preset and size in (None, item.size)
        ]
        return Quiet(
            preset,
            size or "all",
            *(
                sum(getattr(item, name) for item in chosen)
                for name in ("constituencies", "flagged", "hours", "flagged_hours")
            ),
        )

    @property
    def presets(self) -> list[str]:
        """Return the presets that were tried."""
        return list(dict.fromkeys(item.preset for item in self._quiet))

    def score(self, level: float, size: str | None = None) -> ScoreQuality:
        """Return what it means that a score reaches the level."""
        chosen = [item for item in self._scored if size in (None, item.size)]
        return _score_quality(chosen, level, size or "all")

    @cached_property
    def calibrations(self) -> list[Calibration]:
        """Return the false alarms of each variant, its elections together."""
        names = dict.fromkeys(item.variant for item in self._calibration)
        return [
            _pooled([item for item in self._calibration if item.variant == name])
            for name in names
        ]

    @cached_property
    def targets(self) -> list[Target]:
        """Return all targets with what was reached."""
        return [
            *self._false_alarms(),
            *self._recalls(LARGE, 1.0),
            *self._recalls(MEDIUM, MEDIUM_PART),
            *self._delays(),
            *self._scores(LARGE, 1.0),
            *self._scores(MEDIUM, MEDIUM_PART),
            *self._calibrated(),
        ]

    @property
    def missed(self) -> list[Target]:
        """Return the targets that are not met."""
        return [target for target in self.targets if not target.is_met]

    def _false_alarms(self) -> Iterator[Target]:
        for preset in self.presets:
            found = self.quiet(preset)
            hours = found.flagged_hours / found.hours
            ever = found.flagged / found.constituencies
            yield Target(f"{preset}: false hours", hours, FALSE_HOURS, is_floor=False)
            yield Target(f"{preset}: ever flagged", ever, EVER_FLAGGED, is_floor=False)

    def _recalls(self, size: str, part: float) -> Iterator[Target]:
        for kind, limit in RECALL.items():
            share = self._recall(kind, size).share
            yield Target(f"{kind} {size}: recall", share, limit * part, is_floor=True)

    def _delays(self) -> Iterator[Target]:
        for kind, limit in DELAY.items():
            delay = self._recall(kind, LARGE).delay(0.5)
            yield Target(f"{kind} {LARGE}: median delay", delay, limit, is_floor=False)

    def _scores(self, size: str, part: float) -> Iterator[Target]:
        found = self.score(SCORE_LEVEL, size)
        for name, limit in SCORE.items():
            # Most are clean: a part of the accuracy would be met by saying nothing.
            wanted = limit if name == "accuracy" else limit * part
            title = f"score ≥ {SCORE_LEVEL} {size}: {name}"
            yield Target(title, getattr(found, name), wanted, is_floor=True)
        yield Target(
            f"score ≥ {SCORE_LEVEL} {size}: false positive rate",
            found.false_positive_rate,
            FALSE_POSITIVE_RATE,
            is_floor=False,
        )

    def _calibrated(self) -> Iterator[Target]:
        for level in LEVELS:
            precision = self.score(level).precision
            limit = level - CALIBRATION_SLACK
            yield Target(f"score ≥ {level}: precision", precision, limit, is_floor=True)

    def as_json(self) -> dict[str, Any]:
        """Return the targets for programs."""
        return {
            "targets": [
                {
                    "name": target.name,
                    "value": target.value,
                    "limit": target.limit,
                    "met": target.is_met,
                }
                for target in self.targets
            ],
            "met": not self.missed,
        }


def _share(truths: Iterable[bool]) -> float | None:
    values = list(truths)
    return sum(values) / len(values) if values else None


def _score_quality(chosen: Sequence[Scored], level: float, size: str) -> ScoreQuality:
    reaches = [item.score >= level for item in chosen]
    struck = [item.is_struck for item in chosen]
    pairs = list(zip(reaches, struck, strict=True))
    return ScoreQuality(
        level=level,
        size=size,
        precision=_share(is_struck for reach, is_struck in pairs if reach),
        recall=_share(reach for reach, is_struck in pairs if is_struck),
        false_positive_rate=_share(
            reach for reach, is_struck in pairs if not is_struck
        ),
        accuracy=_share(reach == is_struck for reach, is_struck in pairs),
    )


def _pooled(items: Sequence[Calibration]) -> Calibration:
    return Calibration(
        variant=items[0].variant,
        tests=sum(item.tests for item in items),
        below={
            level: sum(item.below[level] for item in items) for level in items[0].below
        },
        flagged_hours=sum(item.flagged_hours for item in items),
    )
