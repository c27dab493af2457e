"""Figures held against limits: ratios of interleaved pairs, their spread, the verdict."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

import numpy as np


class Verdict(StrEnum):
    MET = "met"
    # The interval holds the budget: more pairs or a quieter machine would tell.
    OPEN = "open"
    MISSED = "MISSED"
    NONE = "–"


@dataclass(frozen=True, slots=True)
class Budget:
    """What a ratio has to reach, or must not exceed."""

    value: float
    is_least: bool

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {self.value:g}"

    def verdict(self, low: float, high: float) -> Verdict:
        """Judge an interval: missed only where all of it lies on the wrong side."""
        worst, best = (low, high) if self.is_least else (-high, -low)
        wanted = self.value if self.is_least else -self.value
        if best < wanted:
            return Verdict.MISSED
        return Verdict.MET if worst >= wanted else Verdict.OPEN


def at_least(value: float) -> Budget:
    return Budget(value, is_least=True)


def at_most(value: float) -> Budget:
    return Budget(value, is_least=False)


@dataclass(slots=True)
class Figure:
    """A series of measurements and of the limit beside each of them."""

    # The benchmark it belongs to, what was measured, and against what.
    group: str
    name: str
    limit: str
    unit: str
    budget: Budget | None
    pairs: list[tuple[float, float]] = field(default_factory=list)

    def add(self, figure: float, limit: float) -> None:
        self.pairs.append((figure, limit))

    @property
    def ratios(self) -> list[float]:
        return [figure / limit for figure, limit in self.pairs]

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 5th and 95th percentile of the ratios."""
        low, high = np.percentile(self.ratios, [5, 95])
        return float(low), float(high)

    @property
    def verdict(self) -> Verdict:
        return self.budget.verdict(*self.interval) if self.budget else Verdict.NONE

    @property
    def medians(self) -> tuple[float, float, float]:
        """Return the medians of figure, limit and ratio."""
        figures, limits = zip(*self.pairs, strict=True)
        return median(figures), median(limits), median(self.ratios)


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
