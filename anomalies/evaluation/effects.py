"""What a threshold does: false alarms of each rule by q, as they were measured.

`evaluate_anomalies --effects` writes the figures; staff read them where they set a q.
"""

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

# The thresholds whose effect is measured; the last is the largest that staff can set.
Q_LEVELS = (0.01, 0.05, 0.10, 0.20)
USUAL_Q = 0.05
MEASURED = Path(__file__).parent / "effects.json"
PER = 10_000
# What a rule judges.
HOURS, CONSTITUENCIES, ELECTIONS = "hours", "constituencies", "elections"
WORDS = {
    HOURS: "constituency-hours without an anomaly",
    CONSTITUENCIES: "constituencies without an anomaly at the end of the vote",
}


@dataclass(frozen=True, slots=True)
class Effect:
    """What one rule reported among places where there was nothing to report."""

    unit: str
    places: int
    # One number of false alarms for each level of q.
    false: tuple[int, ...]

    def rate(self, place: int, *, per: int = PER) -> str:
        """Return the false ones of so many at one of the levels."""
        count = self.false[place]
        if not count:
            # Three are the most that none in so many can hide, at 95 %.
            return f"fewer than {_figure(3 * per / self.places)}"
        return _figure(count * per / self.places)

    def at(self, q: float, *, per: int = PER) -> str:
        """Return the false ones of so many at any q, in words."""
        if q in Q_LEVELS:
            return self.rate(Q_LEVELS.index(q), per=per)
        if q < Q_LEVELS[0]:
            return f"no more than at {Q_LEVELS[0]:g} ({self.rate(0, per=per)})"
        if q > Q_LEVELS[-1]:
            return f"no fewer than at {Q_LEVELS[-1]:g} ({self.rate(-1, per=per)})"
        place = next(place for place, level in enumerate(Q_LEVELS) if q < level)
        low, high = (
            f"{self.rate(each, per=per)} (at {Q_LEVELS[each]:g})"
            for each in (place - 1, place)
        )
        return f"between {low} and {high}"


@dataclass(frozen=True, slots=True)
class Effects:
    """The effect of each rule that has a q, and where it was measured."""

    measured: str
    rules: dict[str, Effect]
    # Hours of whole elections, and those with any false report of S01, S02 or S15.
    ticks: Effect

    def sentence(self, rule: str, q: float | None) -> str:
        """Return what staff read of a rule and its q; None is the usual one."""
        effect = self.rules.get(rule)
        if effect is None:
            return f"{rule} has a limit of its own: q changes nothing in it."
        used = USUAL_Q if q is None else q
        text = (
            f"At q = {used:g} {rule} reports falsely, of {PER:,} {WORDS[effect.unit]}, "
        )
        text += effect.at(used)
        if used != USUAL_Q:
            text += f", against {effect.at(USUAL_Q)} at the usual {USUAL_Q:g}"
        return f"{text}; measured on {self.measured}."

    def by_level(self) -> dict[str, list[str]]:
        """Return what each rule of hours reports falsely at the levels, of so many hours."""
        return {
            rule: [
                effect.rate(place).replace("fewer than", "<")
                for place in range(len(Q_LEVELS))
            ]
            for rule, effect in self.rules.items()
            if effect.unit == HOURS
        }

    def bound(self, q: float | None, hours: int) -> str:
        """Return how many hours of a vote have a false report: promised, and measured."""
        used = USUAL_Q if q is None else q
        return (
            f"Of the {hours:,} hours of a vote without anomalies at most "
            f"{_figure(hours * used)} should have a false report; of so many simulated ones "
            f"{self.ticks.at(used, per=hours)} had one of S01, S02 or S15."
        )

    def write(self, path: Path) -> None:
        """Write the figures for programs."""
        content = {
            "measured": self.measured,
            "levels": Q_LEVELS,
            "rules": {rule: asdict(effect) for rule, effect in self.rules.items()},
            "ticks": asdict(self.ticks),
        }
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


@cache
def measured() -> Effects:
    """Return the figures that were measured last.

    Raises:
        ValueError: they were measured at other levels than those of this release.
    """
    content: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    if tuple(content["levels"]) != Q_LEVELS:
        raise ValueError(f"{MEASURED} is older than the levels: evaluate again.")
    rules = {rule: _effect(found) for rule, found in content["rules"].items()}
    return Effects(content["measured"], rules, _effect(content["ticks"]))


def _effect(found: dict[str, Any]) -> Effect:
    return Effect(found["unit"], found["places"], tuple(found["false"]))


def _figure(value: float) -> str:
    """Return two digits at least; nobody measures more."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
