"""What the trials of single rules have shown."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from anomalies.evaluation.worlds import Strike
from anomalies.rules.episodes import LONGEST_GAP, WARNING_Q
from anomalies.rules.panels import Ints, Truths

# Of the constituencies, as the simulator does.
STRUCK_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Case:
    """Whether one rule found what was put in for it."""

    preset: str
    rule: str
    injection: str
    # What the case is like: ballots a minute, bulletins, the day.
    size: str
    # Hours from the first hour struck to the first alarm; None where there was none.
    delay: int | None


@dataclass(frozen=True, slots=True)
class Calm:
    """What one rule reported in one election without anything in it."""

    preset: str
    rule: str
    unit: str
    # All there were, those of which the rule could say anything, and the false ones by q;
    # a rule without q has them at the usual one.
    places: int
    judged: int
    false: dict[float, int]


@dataclass(frozen=True, slots=True)
class CatchUp:
    """What became of one outage and the ballots after it, S10."""

    preset: str
    injection: str
    size: str
    is_drop_reported: bool
    is_rise_reported: bool
    is_closed: bool


def at_usual_q(number: int) -> dict[float, int]:
    """Return the false alarms of a rule without q."""
    return {WARNING_Q: number}


def delay(alarm: Truths, strike: Strike) -> int | None:
    """Return the hours from the strike to its first alarm, until two after its end."""
    found = np.flatnonzero(
        alarm[strike.row, strike.first : strike.last + LONGEST_GAP + 1]
    )
    return int(found[0]) if found.size else None


def some(rng: np.random.Generator, rows: Ints, *, of: int) -> Ints:
    """Return at random at most so many of the rows as are 5 % `of` all, at least one."""
    count = max(1, round(STRUCK_SHARE * of))
    return np.sort(rng.permutation(rows)[:count])


def together(calm: Sequence[Calm]) -> list[Calm]:
    """Return the elections of one preset together, rule by rule."""
    found: dict[tuple[str, str], Calm] = {}
    for item in calm:
        key = (item.rule, item.preset)
        before = found.get(key)
        found[key] = _sum(before, item) if before else item
    return [found[key] for key in sorted(found)]


def _sum(first: Calm, second: Calm) -> Calm:
    return replace(
        first,
        places=first.places + second.places,
        judged=first.judged + second.judged,
        false={q: count + second.false[q] for q, count in first.false.items()},
    )
