"""What lies inside an hour, counted slowly and obviously from its acts.

Production counts the same in SQL; the tests hold that against this.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from anomalies.evaluation.worlds import Acts
from anomalies.rules.counts import Floats
from anomalies.rules.panels import Truths
from anomalies.rules.within import (
    BLOCK_MINUTES,
    FIGURES,
    LEAST_BALLOTS,
    LEAST_BLOCK,
    Moments,
)

HOUR_MS = 3_600_000
MINUTES = 60
# Milliseconds of the hour, and ballots.
Act = tuple[int, int]


def moments_of(acts: Sequence[Act]) -> dict[str, float | None]:
    """Return the figures of one series in one hour."""
    acts = sorted(acts)
    times = [ms for ms, _ in acts]
    burst_acts, burst_second, burst_rate = most_surprising_second(times)
    dispersion, freedom = dispersion_by_blocks(acts)
    longest, longest_start = longest_gap(times)
    stamps = Counter(times)
    return {
        "ballots": sum(ballots for _, ballots in acts),
        "acts": len(acts),
        "dispersion": dispersion,
        "freedom": freedom,
        "burst_acts": burst_acts,
        "burst_second": burst_second,
        "burst_rate": burst_rate,
        "in_moment": max(stamps.values(), default=0),
        "shared": sum(count for count in stamps.values() if count > 1),
        "gap_variation": variation([b - a for a, b in pairwise(times)]),
        "longest_gap_ms": longest,
        "longest_gap_start_ms": longest_start,
    }


def dispersion_by_blocks(acts: Sequence[Act]) -> tuple[float, int]:
    """Return D of the minutes and its degrees of freedom, apart for each ten, S06."""
    minutes = [0] * MINUTES
    for ms, ballots in acts:
        minutes[ms // 60_000] += ballots
    total, freedom = 0.0, 0
    for start in range(0, MINUTES, BLOCK_MINUTES):
        block = minutes[start : start + BLOCK_MINUTES]
        if sum(block) >= LEAST_BLOCK:
            mean = sum(block) / BLOCK_MINUTES
            total += sum((count - mean) ** 2 for count in block) / mean
            freedom += BLOCK_MINUTES - 1
    return total, freedom


def most_surprising_second(times: Sequence[int]) -> tuple[int, int, float]:
    """Return the acts of the second, which it is, and the rate around it, S08."""
    # The last moment of an hour is where clocks are cut.
    seconds = Counter(ms // 1000 for ms in times if ms < HOUR_MS - 1)
    minutes = Counter(ms // 60_000 for ms in times)
    fullest: dict[int, int] = {}
    for second in sorted(seconds):
        best = fullest.setdefault(second // 60, second)
        if seconds[second] > seconds[best]:
            fullest[second // 60] = second
    found, surprise = (0, 0, 0.0), -math.inf
    for minute, second in sorted(fullest.items()):
        count = seconds[second]
        around = [other for other in range(minute - 5, minute + 5) if 0 <= other < 60]
        near = sum(minutes[other] for other in around)
        rate = max(
            (minutes[minute] - count + 1) / 59,
            (near - count + 1) / (60 * len(around) - 1),
            (len(times) - count + 1) / 3599,
        )
        deviance = count * math.log(count / rate) - (count - rate)
        if deviance > surprise + 1e-12:
            found, surprise = (count, second, rate), deviance
    return found


def longest_gap(times: Sequence[int]) -> tuple[int, int]:
    """Return the longest time without an act, edges included, and its start, S09."""
    if not times:
        return (0, 0)
    edges = [0, *times, HOUR_MS]
    return max((after - before, before) for before, after in pairwise(edges))


def variation(gaps: Sequence[int]) -> float | None:
    """Return standard deviation by mean of the gaps; None where there is none, S07."""
    if len(gaps) < 2 or not sum(gaps):
        return None
    mean = sum(gaps) / len(gaps)
    squares = sum((gap - mean) ** 2 for gap in gaps)
    return math.sqrt(squares / (len(gaps) - 1)) / mean


def moments_by_row(
    acts: Mapping[int, Mapping[str, Acts]],
    *,
    shape: tuple[int, int],
    series: Sequence[str],
) -> dict[str, Moments]:
    """Return the moments of each series, NaN in rows without acts and in calm hours.

    As in production an hour is counted from ten ballots on, of one series or the other.
    """
    grids = {name: np.full((len(FIGURES), *shape), np.nan) for name in series}
    for row, found in acts.items():
        told = _told(found, shape[1])
        for name in series:
            _fill(grids[name][:, row], found[name], told)
    return {name: Moments(*grid) for name, grid in grids.items()}


def _told(found: Mapping[str, Acts], hours: int) -> Truths:
    most = np.stack([acts.counts(hours) for acts in found.values()]).max(axis=0)
    return np.asarray(most >= LEAST_BALLOTS, bool)


def _fill(grid: Floats, acts: Acts, told: Truths) -> None:
    """Write the figures of the hours that are told into their columns."""
    edges = np.searchsorted(acts.ms, HOUR_MS * np.arange(len(told) + 1))
    for hour in np.flatnonzero(told).tolist():
        inside = slice(edges[hour], edges[hour + 1])
        times = (acts.ms[inside] - hour * HOUR_MS).tolist()
        figures = moments_of(
            list(zip(times, acts.ballots[inside].tolist(), strict=True))
        )
        grid[:, hour] = [
            np.nan if figures[name] is None else figures[name] for name in FIGURES
        ]
