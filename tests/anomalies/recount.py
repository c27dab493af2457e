"""What lies inside an hour, counted slowly and obviously from its acts."""

import math
from collections import Counter
from itertools import pairwise

HOUR_MS = 3_600_000


def moments_of(acts):
    """Return the figures of one series from (milliseconds of the hour, ballots)."""
    acts = sorted(acts)
    times = [ms for ms, _ in acts]
    burst = most_surprising_second(times)
    dispersion, freedom = dispersion_by_blocks(acts)
    longest = longest_gap(times)
    stamps = Counter(times)
    return {
        "ballots": sum(ballots for _, ballots in acts),
        "acts": len(acts),
        "dispersion": dispersion,
        "freedom": freedom,
        "burst_acts": burst[0],
        "burst_second": burst[1],
        "burst_rate": burst[2],
        "in_moment": max(stamps.values(), default=0),
        "shared": sum(count for count in stamps.values() if count > 1),
        "gap_variation": variation([b - a for a, b in pairwise(times)]),
        "longest_gap_ms": longest[0],
        "longest_gap_start_ms": longest[1],
    }


def dispersion_by_blocks(acts):
    total, freedom = 0.0, 0
    for block in range(6):
        minutes = [0] * 10
        for ms, ballots in acts:
            minute = ms // 60_000
            if minute // 10 == block:
                minutes[minute % 10] += ballots
        mean = sum(minutes) / 10
        if mean >= 2:
            total += sum((count - mean) ** 2 for count in minutes) / mean
            freedom += 9
    return total, freedom


def most_surprising_second(times):
    # The last moment of an hour is where clocks are cut.
    seconds = Counter(ms // 1000 for ms in times if ms < HOUR_MS - 1)
    minutes = Counter(ms // 60_000 for ms in times)
    best = (-math.inf, 0, 0, 0.0)
    for minute in sorted(minutes):
        inside = [second for second in sorted(seconds) if second // 60 == minute]
        if not inside:
            continue
        fullest = max(inside, key=lambda second: (seconds[second], -second))
        count = seconds[fullest]
        around = [other for other in range(minute - 5, minute + 5) if 0 <= other < 60]
        near = sum(minutes[other] for other in around)
        rate = max(
            (minutes[minute] - count + 1) / 59,
            (near - count + 1) / (60 * len(around) - 1),
            (len(times) - count + 1) / 3599,
        )
        deviance = count * math.log(count / rate) - (count - rate)
        if deviance > best[0] + 1e-12:
            best = (deviance, count, fullest, rate)
    return best[1:]


def longest_gap(times):
    if not times:
        return (0, 0)
    edges = [0, *times, HOUR_MS]
    return max((after - before, before) for before, after in pairwise(edges))


def variation(gaps):
    if len(gaps) < 2 or not sum(gaps):
        return None
    mean = sum(gaps) / len(gaps)
    squares = sum((gap - mean) ** 2 for gap in gaps)
    return math.sqrt(squares / (len(gaps) - 1)) / mean
