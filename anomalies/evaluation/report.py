"""From trials to tables, and to the targets that a release has to meet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from anomalies.evaluation.cases import Case, CatchUp, together
from anomalies.evaluation.effects import HOURS, Q_LEVELS, Effect, Effects
from anomalies.evaluation.figures import (
    CaughtUp,
    Found,
    Recall,
    ScoreQuality,
    caught_up_of,
    found_of,
    pooled,
    recall_of,
    score_quality,
)
from anomalies.evaluation.inside import FAST, HOUR_SIZES, MINUTE_SIZES
from anomalies.evaluation.refusals import SIZES as CALL_SIZES
from anomalies.evaluation.shares import SIZES as SHARE_SIZES
from anomalies.evaluation.system import FIRST_DAY, LATER_DAYS, SECOND_DAY, THIRD_DAY
from anomalies.evaluation.trials import (
    DISTRICT_KINDS,
    KINDS,
    LEVELS,
    PRESETS,
    SIZES,
    Calibration,
    Quiet,
    Threshold,
    Trial,
)
from anomalies.rules.episodes import WARNING_Q

LARGE, MEDIUM, SMALL = "above 20", "5 to 20", "below 5"
SIZE_ORDER = (
    *(*MINUTE_SIZES, *HOUR_SIZES, *SHARE_SIZES, *CALL_SIZES),
    *(FIRST_DAY, LATER_DAYS, SECOND_DAY, THIRD_DAY),
)
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
# S06: of bots that make half of ten ballots a minute, and of clean constituency-hours.
BOT, BOT_RECALL, FALSE_REGULAR = "bot:50", 1.0, 1e-4


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


class Report:
    """The quality of the detector, from many trials."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._hits = [hit for trial in trials for hit in trial.hits]
        self._quiet = [item for trial in trials for item in trial.quiet]
        self._scored = [item for trial in trials for item in trial.scored]
        self._calibration = [item for trial in trials for item in trial.calibration]
        self._district_hits = [hit for trial in trials for hit in trial.district_hits]
        self._thresholds = [item for trial in trials for item in trial.thresholds]
        self._cases = [item for trial in trials for item in trial.cases]
        self._catch_ups = [item for trial in trials for item in trial.catch_ups]
        self.calm = together([item for trial in trials for item in trial.calm])

    @cached_property
    def recalls(self) -> list[Recall]:
        """Return what was found, per kind and size."""
        return [self.recall(kind, size) for kind in KINDS for size in SIZES]

    def recall(self, kind: str, size: str) -> Recall:
        """Return what was found of one kind and size."""
        return recall_of(self._hits, kind, size)

    @property
    def district_recalls(self) -> list[Recall]:
        """Return the same where all contracts of a district were struck alike."""
        return [
            recall_of(self._district_hits, kind, size)
            for kind in DISTRICT_KINDS
            for size in SIZES
        ]

    def threshold(self, preset: str, q: float) -> Threshold | None:
        """Return what the rules of flow report up to a q where there is nothing."""
        chosen = [
            item for item in self._thresholds if (item.preset, item.q) == (preset, q)
        ]
        if not chosen:
            return None
        names = (
            *("constituencies", "flagged", "hours", "flagged_hours"),
            *("ticks", "false_ticks"),
        )
        sums = (sum(getattr(item, name) for item in chosen) for name in names)
        return Threshold(preset, q, *sums)

    def elections(self, preset: str) -> int:
        """Return how many elections of a preset were tried."""
        return sum(
            (item.preset, item.q) == (preset, WARNING_Q) for item in self._thresholds
        )

    @cached_property
    def found(self) -> list[Found]:
        """Return what the other rules found, in the order in which it was tried."""
        groups: dict[tuple[str, str, str], list[Case]] = {}
        for case in self._cases:
            key = (case.rule, case.injection, case.size)
            groups.setdefault(key, []).append(case)
        tried = list(dict.fromkeys(case.injection for case in self._cases))
        order = sorted(
            groups,
            key=lambda key: (key[0], tried.index(key[1]), SIZE_ORDER.index(key[2])),
        )
        return [found_of(key, groups[key]) for key in order]

    @property
    def caught_up(self) -> list[CaughtUp]:
        """Return what became of outages and of what came after them."""
        groups: dict[tuple[str, str], list[CatchUp]] = {}
        for item in self._catch_ups:
            groups.setdefault((item.injection, item.size), []).append(item)
        return [caught_up_of(*key, items) for key, items in sorted(groups.items())]

    def effects(self, measured: str) -> Effects:
        """Return the effect of thresholds in elections of federal sizes.

        Of the two presets it is the one in which more is false.
        """
        return Effects(
            measured,
            {
                item.rule: Effect(
                    item.unit, item.places, tuple(item.false[q] for q in Q_LEVELS)
                )
                for item in self.calm
                if item.preset == PRESETS[0] and set(item.false) == set(Q_LEVELS)
            },
            self._ticks(PRESETS[0]),
        )

    def _ticks(self, preset: str) -> Effect:
        """Return the hours of elections, and those with any false report of a flow."""
        chosen = [item for item in self._thresholds if item.preset == preset]
        return Effect(
            HOURS,
            sum(item.ticks for item in chosen if item.q == WARNING_Q),
            tuple(
                sum(item.false_ticks for item in chosen if item.q == q)
                for q in Q_LEVELS
            ),
        )

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
        return score_quality(chosen, level, size or "all")

    @cached_property
    def calibrations(self) -> list[Calibration]:
        """Return the false alarms of each variant, its elections together."""
        names = dict.fromkeys(item.variant for item in self._calibration)
        return [
            pooled([item for item in self._calibration if item.variant == name])
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
            *self._regular(),
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
            share = self.recall(kind, size).share
            yield Target(f"{kind} {size}: recall", share, limit * part, is_floor=True)

    def _delays(self) -> Iterator[Target]:
        for kind, limit in DELAY.items():
            delay = self.recall(kind, LARGE).delay(0.5)
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

    def _regular(self) -> Iterator[Target]:
        shares = [
            item.share
            for item in self.found
            if (item.rule, item.injection, item.size) == ("S06", BOT, FAST)
        ]
        share = shares[0] if shares else None
        yield Target(f"S06 {BOT} {FAST}: recall", share, BOT_RECALL, is_floor=True)
        calm = [item for item in self.calm if item.rule == "S06" and item.unit == HOURS]
        hours = sum(item.places for item in calm)
        false = sum(item.false[WARNING_Q] for item in calm)
        value = false / hours if hours else None
        yield Target("S06: false hours", value, FALSE_REGULAR, is_floor=False)

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
