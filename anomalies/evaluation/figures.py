"""Figures that several trials have together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from anomalies.evaluation.cases import Case, CatchUp
from anomalies.evaluation.trials import Calibration, Hit, Scored


@dataclass(frozen=True, slots=True)
class Recall:
    """What was found of one kind of injection in constituencies of one size."""

    injection: str
    size: str
    hits: tuple[Hit, ...]

    @property
    def share(self) -> float | None:
        """Return the share that was found."""
        return share_of(hit.delay is not None for hit in self.hits)

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
        return share_of(hit.is_visible for hit in self.hits)

    def share_at(self, q: float) -> float | None:
        """Return the share that is found up to a q."""
        return share_of(hit.q <= q for hit in self.hits)

    def delay(self, quantile: float) -> float | None:
        """Return a quantile of the delays in hours, of what was found."""
        found = [hit.delay for hit in self.hits if hit.delay is not None]
        if not found:
            return None
        return float(np.quantile(found, quantile, method="inverted_cdf"))


@dataclass(frozen=True, slots=True)
class Found:
    """What one rule found of one kind that was put in for it."""

    rule: str
    injection: str
    size: str
    cases: int
    share: float
    # Median of what was found, in hours.
    delay: float | None


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What became of outages of one kind."""

    injection: str
    size: str
    cases: int
    drops: int
    both: int
    closed: int


@dataclass(frozen=True, slots=True)
class ScoreQuality:
    """What a level of the score is worth."""

    level: float
    size: str
    precision: float | None
    recall: float | None
    false_positive_rate: float | None
    accuracy: float | None


def share_of(truths: Iterable[bool]) -> float | None:
    """Return the share that is true; None of nothing."""
    values = list(truths)
    return sum(values) / len(values) if values else None


def recall_of(hits: Iterable[Hit], kind: str, size: str) -> Recall:
    """Return what was found of one kind and size among the hits."""
    chosen = (hit for hit in hits if hit.injection == kind and hit.size == size)
    return Recall(kind, size, tuple(chosen))


def found_of(key: tuple[str, str, str], cases: Sequence[Case]) -> Found:
    """Return what a rule found of the cases of one kind and size."""
    delays = [case.delay for case in cases if case.delay is not None]
    middle = float(np.median(delays)) if delays else None
    return Found(*key, len(cases), len(delays) / len(cases), middle)


def caught_up_of(injection: str, size: str, items: Sequence[CatchUp]) -> CaughtUp:
    """Return what became of the outages of one kind and size."""
    both = [item for item in items if item.is_drop_reported and item.is_rise_reported]
    return CaughtUp(
        injection,
        size,
        cases=len(items),
        drops=sum(item.is_drop_reported for item in items),
        both=len(both),
        closed=sum(item.is_closed for item in both),
    )


def score_quality(chosen: Sequence[Scored], level: float, size: str) -> ScoreQuality:
    """Return what it means among the chosen that a score reaches the level."""
    reaches = [item.score >= level for item in chosen]
    struck = [item.is_struck for item in chosen]
    pairs = list(zip(reaches, struck, strict=True))
    return ScoreQuality(
        level=level,
        size=size,
        precision=share_of(is_struck for reach, is_struck in pairs if reach),
        recall=share_of(reach for reach, is_struck in pairs if is_struck),
        false_positive_rate=share_of(
            reach for reach, is_struck in pairs if not is_struck
        ),
        accuracy=share_of(reach == is_struck for reach, is_struck in pairs),
    )


def pooled(items: Sequence[Calibration]) -> Calibration:
    """Return the elections of one variant together."""
    return Calibration(
        variant=items[0].variant,
        tests=sum(item.tests for item in items),
        below={
            level: sum(item.below[level] for item in items) for level in items[0].below
        },
        flagged_hours=sum(item.flagged_hours for item in items),
    )
