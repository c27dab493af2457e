"""S01 and S02: a flow that is not what its peers and its own past let expect.

The count of a constituency in an hour is expected to be

    voters x rate of the hour among its peers x own level so far,

with a variance that adds chance, shocks of an hour, and what is not known of rate and
level. Sums over windows are compared with that; the level is the one from before the
window, so that an anomaly cannot teach what is normal. The parts come from the detection of
outbreaks: quasi-Poisson counts with reweighted past (Farrington and others, JRSS A 159
(1996), p. 547; Noufaily and others, Statistics in Medicine 32 (2013), p. 1206) and an
empirical null (Efron, JASA 99 (2004), p. 96).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from anomalies.rules.baseline import (
    LEAST_MEAN,
    TELLING_MEAN,
    Assumptions,
    Baseline,
)
from anomalies.rules.combining import cauchy_combination
from anomalies.rules.counts import Floats, negative_binomial_score
from anomalies.rules.panels import Ints, Panel, Truths, running_sums

# Hours: a burst, an outage, a morning, a night or half a day, a whole day.
WINDOWS = (1, 2, 3, 6, 12, 24)
NIGHT_HOURS = 6


@dataclass(frozen=True, slots=True)
class Flow:
    """What was expected of each constituency and hour, and how surprising it is.

    NaN where nothing can be said: no peers, an hour the feed has not told, voting that
    has not begun. Windows end with the hour of their column.
    """

    windows: tuple[int, ...]
    # Of the single hour.
    mean: Floats
    variance: Floats
    # Normal scores of the windows (window, constituency, hour), by the empirical null.
    scores: Floats
    # What each window counted and expected, and the variance of it.
    counted: Floats
    expected: Floats
    variances: Floats
    # All windows together.
    p: Floats
    # Of the hours from midnight to six, S02: from midnight to the hour of the column.
    night_p: Floats
    # Dispersion and scale of each hour, for the record.
    dispersion: Floats
    scale: Floats
    # To compare any other run of hours: of an outage and what came after it, S10.
    sums: "Sums"


def flow(
    panel: Panel,
    *,
    windows: tuple[int, ...] = WINDOWS,
    assumptions: Assumptions | None = None,
) -> Flow:
    """Compare every hour of every constituency with what was to be expected."""
    baseline = Baseline(panel, assumptions or Assumptions())
    for hour in range(panel.counts.shape[1]):
        baseline.advance(hour)
    return _judged(panel, baseline, windows)


class Sums:
    """Sums over windows, in the time of one subtraction."""

    def __init__(self, baseline: Baseline) -> None:
        self.baseline = baseline
        base = baseline.base
        spread = baseline.shocks + baseline.rate_unknown
        is_judged = baseline.is_judged
        # Read hour by hour: the figures of an hour lie together.
        self.counts, self.base, self.squares = (
            np.asfortranarray(running_sums(values))
            for values in (
                np.where(is_judged, baseline.counts, 0.0),
                base,
                spread * base * base,
            )
        )

    def over(self, starts: Ints, hour: int) -> tuple[Floats, Floats, Floats]:
        """Return counts, means and variances from the hours `starts` to `hour`."""
        rows = np.arange(len(starts))
        return self.between(rows, starts, np.full(len(starts), hour))

    def between(
        self, rows: Ints, starts: Ints, ends: Ints
    ) -> tuple[Floats, Floats, Floats]:
        """Return counts, means and variances of `rows`, by the level before `starts`.

        The hours `ends` are included.
        """
        level = self.baseline.level[rows, starts]
        unknown = self.baseline.level_unknown[rows, starts]
        counted = self.counts[rows, ends + 1] - self.counts[rows, starts]
        base = self.base[rows, ends + 1] - self.base[rows, starts]
        squares = self.squares[rows, ends + 1] - self.squares[rows, starts]
        mean = np.maximum(level * base, LEAST_MEAN)
        variance = mean + level * level * squares + unknown * mean * mean
        return counted, mean, variance


class Scale:
    """The running robust deviation of scores among peers: 1 where the model is right.

    Never below 1. Hours that hang together, or levels that drift, make long windows vary
    more than the model says; their scores are divided by what is seen.
    """

    LEAST_PEERS = 20
    KEPT = 0.7

    def __init__(self) -> None:
        self.seen = 1.0

    def learn(self, scores: Floats) -> float:
        """Take in the scores of one hour and return what to divide them by."""
        if len(scores) >= self.LEAST_PEERS:
            spread = float(np.median(np.abs(scores))) / special.ndtri(0.75)
            self.seen = self.KEPT * self.seen + (1 - self.KEPT) * spread
        return max(1.0, self.seen)


def _judged(panel: Panel, baseline: Baseline, windows: tuple[int, ...]) -> Flow:
    rows, hours = panel.counts.shape
    sums = Sums(baseline)
    # Written hour by hour, as the sums are read.
    shape = (len(windows), hours, rows)
    scores, counted, expected, variances = (
        np.full(shape, np.nan).swapaxes(1, 2) for _ in range(4)
    )
    scale = np.ones((len(windows), hours))
    scales, night_scale = [Scale() for _ in windows], Scale()
    night_p = np.full((hours, rows), np.nan).T
    for hour in range(hours):
        age = hour - panel.opens
        for place, window in enumerate(windows):
            chosen = baseline.is_judged[:, hour] & (age + 1 >= window)
            starts = np.full(rows, max(0, hour + 1 - window))
            figures = _scored(sums, starts, hour, chosen, scales[place])
            scores[place, :, hour], scale[place, hour] = figures.scores, figures.scale
            counted[place, :, hour] = figures.counted
            expected[place, :, hour] = figures.mean
            variances[place, :, hour] = figures.variance
        clock = (panel.first_clock + hour) % 24
        chosen = baseline.is_judged[:, hour] & (clock < NIGHT_HOURS) & (age > clock)
        starts = np.maximum(0, hour - clock)
        night = _scored(sums, starts, hour, chosen, night_scale)
        night_p[:, hour] = two_sided(night.scores)
    mean, variance = _single_hours(baseline)
    return Flow(
        windows=windows,
        mean=mean,
        variance=variance,
        scores=scores,
        counted=counted,
        expected=expected,
        variances=variances,
        p=cauchy_combination(two_sided(scores)),
        night_p=night_p,
        dispersion=np.where(baseline.is_judged, baseline.shocks, np.nan),
        scale=scale,
        sums=sums,
    )


@dataclass(frozen=True, slots=True)
class _Scored:
    scores: Floats
    scale: float
    counted: Floats
    mean: Floats
    variance: Floats


def _scored(
    sums: Sums, starts: Ints, hour: int, chosen: Truths, scale: Scale
) -> _Scored:
    """Return the scores of one window of the `chosen`, NaN elsewhere."""
    counted, mean, variance = sums.over(starts, hour)
    scores = np.full(len(starts), np.nan)
    scores[chosen] = negative_binomial_score(
        counted[chosen], mean=mean[chosen], variance=variance[chosen]
    )
    divisor = scale.learn(scores[chosen & (mean >= TELLING_MEAN)])
    return _Scored(scores / divisor, divisor, counted, mean, variance)


def _single_hours(baseline: Baseline) -> tuple[Floats, Floats]:
    mean = baseline.level * baseline.base
    spread = baseline.shocks + baseline.rate_unknown + baseline.level_unknown
    variance = mean + spread * mean * mean
    is_judged = baseline.is_judged
    return (
        np.where(is_judged, mean, np.nan),
        np.where(is_judged, variance, np.nan),
    )


def two_sided(scores: ArrayLike) -> Floats:
    """Return the probability of a normal score at least as far from 0, on either side."""
    found: Floats = 2 * special.ndtr(-np.abs(np.asarray(scores, float)))
    return found
