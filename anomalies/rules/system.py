"""S03 to S05: what strikes many constituencies at once.

The peers of a constituency cannot tell what strikes all of them: S01 takes it for the rate
of the hour. Here the hour is compared with the hours before it, or a region with the rest.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from anomalies.rules.baseline import TELLING_MEAN, exposures
from anomalies.rules.counts import Floats
from anomalies.rules.flow import Flow, Scale, two_sided
from anomalies.rules.panels import Ints, Panel, Truths

DAY = 24
# Median of the absolute value of a normal score.
QUARTILE = 0.6745


@dataclass(frozen=True, slots=True)
class TotalFlow:
    """All constituencies together, per hour; NaN where there is nothing to compare."""

    # Ballots of the constituencies that can be compared, and how many were to be expected.
    counted: Floats
    expected: Floats
    # Logarithm of the ratio to the day before, less its median over the hours before.
    residual: Floats
    # Robust deviations of the residual among the last 18.
    z: Floats

    # Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993). Of clean hours of one
    # zone .3 % are beyond.
    LIMIT: ClassVar[float] = 3.5

    @property
    def is_flagged(self) -> Truths:
        """Tell which hours are surprising."""
        return np.asarray(np.abs(self.z) > self.LIMIT, bool)


# Hours over which the running median of the ratios is taken, and the fewest for it.
MEDIAN_HOURS = 6
LEAST_MEDIAN_HOURS = 3
# A deviation that fewer hours have shown is none to rely on.
LEAST_HOURS = 12
# Earlier hours are no measure: a first day begins with a rush, and beside it the ratios of
# the second morning swing. With all of them a vote twice as large is found in 1 of 24 hours
# of a third day, with the last 18 in 10 to 14.
SCALE_HOURS = 18
# Of the people who could vote: the total of fewer is that of a few constituencies.
LEAST_COVERAGE = 0.5


def total_flow(panel: Panel) -> TotalFlow:
    """Compare the total of each hour with the hour a day before, S03.

    Only constituencies are added up that could vote and were told in both hours, so that
    neither an opening, nor a close, nor a gap in the feed looks like a change; the hour of
    a close is not one of them, as often only minutes of it are left. Nothing is said of the
    first three hours of a day of voting, nor once those that still vote are less than half
    of all.
    """
    counted, ratio, chance = _beside_the_day_before(panel)
    residual, z = _running_scores(ratio, chance, opening=_opening(panel))
    expected = np.maximum((counted + 0.5) * np.exp(-residual) - 0.5, 0)
    return TotalFlow(counted, expected, residual, z)


def _opening(panel: Panel) -> int:
    """Return the hour in which the first constituency opens."""
    return int(panel.opens.min()) if len(panel.opens) else 0


def _beside_the_day_before(panel: Panel) -> tuple[Floats, Floats, Floats]:
    """Return totals, logarithms of their ratios, and what chance lets those deviate."""
    hours = np.arange(panel.counts.shape[1])
    could_vote = hours >= panel.opens[:, None] + DAY
    is_known = panel.is_known.copy()
    is_known[:, DAY:] &= panel.is_known[:, :-DAY]
    chosen = could_vote & (hours < panel.closes[:, None]) & is_known
    before = np.zeros_like(panel.known_counts)
    before[:, DAY:] = panel.known_counts[:, :-DAY]
    counted = _total(panel.known_counts, chosen)
    # Half a ballot: an hour without any is a drop, and its logarithm a number.
    here, there = counted + 0.5, _total(before, chosen) + 0.5
    is_told = coverage(panel, chosen, could_vote) >= LEAST_COVERAGE
    ratio = np.where(is_told, np.log(here / there), np.nan)
    return np.where(is_told, counted, np.nan), ratio, np.sqrt(1 / here + 1 / there)


def _total(values: Floats, chosen: Truths) -> Floats:
    total: Floats = np.where(chosen, values, 0.0).sum(axis=0)
    return total


def coverage(panel: Panel, chosen: Truths, of: Truths) -> Floats:
    """Return which part of the registers is chosen, per hour."""
    voters = exposures(panel)
    whole = voters @ of
    covered: Floats = (voters @ chosen) / np.where(whole > 0, whole, np.inf)
    return covered


def _running_scores(
    ratio: Floats, chance: Floats, *, opening: int
) -> tuple[Floats, Floats]:
    """Return residuals, and robust scores of each among the last ones until it.

    Where the hour a day before was surprising, what was to be expected of it takes its
    place, or one spike would be a drop a day later.
    """
    ratio = ratio.copy()
    residual, z = np.full_like(ratio, np.nan), np.full_like(ratio, np.nan)
    for hour in range(len(ratio)):
        start = max(0, hour - MEDIAN_HOURS)
        if hour >= opening + DAY:
            # The second day brings .37 of the first, the third .70 of the second: the
            # first hours of a day are no measure of it, but those of another are a wrong one.
            start = max(start, hour - (hour - opening) % DAY)
            if abs(z[hour - DAY]) > TotalFlow.LIMIT:
                ratio[hour] += residual[hour - DAY]
        before = _told(ratio[start:hour])
        if len(before) >= LEAST_MEDIAN_HOURS:
            residual[hour] = ratio[hour] - np.median(before)
        if not np.isnan(residual[hour]):
            recent = np.flatnonzero(~np.isnan(residual))[-SCALE_HOURS:]
            z[hour] = robust_score(residual[recent], chance[recent])
    return residual, z


def robust_score(values: Floats, chance: Floats | None = None) -> float:
    """Return how many robust deviations the last value is from the median of all.

    NaN stands for an unknown value. With `chance`, the standard deviations that the counts
    behind the values have by chance, an hour of few ballots may deviate more than others;
    and hours that were equal by luck do not make the next one a wonder.

    Returns NaN where fewer than 12 values are known, the last is not, or all are equal.
    """
    told = _told(values)
    if len(told) < LEAST_HOURS or np.isnan(values[-1]):
        return float("nan")
    middle = np.median(told)
    variance = float(np.median(np.abs(told - middle)) / QUARTILE) ** 2
    if chance is not None:
        squares = chance[~np.isnan(values)] ** 2
        variance = max(variance - float(np.median(squares)), 0.0) + float(squares[-1])
    return float((told[-1] - middle) / np.sqrt(variance)) if variance else float("nan")


def _told(values: Floats) -> Floats:
    found: Floats = values[~np.isnan(values)]
    return found


@dataclass(frozen=True, slots=True)
class RegionalSync:
    """Each region (or other group) and hour; NaN where fewer than two can be added up."""

    # The numbers of the regions, as the rows below are ordered.
    regions: Ints
    # Electorates that were added up.
    members: Floats
    # What the sum of their scores varies by: 1 where regions have no shocks of their own.
    scale: Floats
    z: Floats

    LIMIT: ClassVar[float] = 4.0

    @property
    def p(self) -> Floats:
        """Return the two-sided probability of so large a score."""
        return two_sided(self.z)

    @property
    def is_flagged(self) -> Truths:
        """Tell where so many moved together; by chance in 6 of 100,000 hours of a region."""
        return np.asarray(np.abs(self.z) > self.LIMIT, bool)


# Below, the scores of counts are skewed, and hundreds of them add up to a lean.
LEAST_SUMMED_MEAN = 1.0
# A single member is S01's.
LEAST_MEMBERS = 2


def regional_sync(flow: Flow, panel: Panel, *, regions: Ints) -> RegionalSync:
    """Add up the scores of each region's constituencies in each single hour, S04.

    The contracts of one electorate are one observation, the mean of them: their ballots are
    handed out together. `regions` has one number per constituency.
    """
    labels, region = np.unique(regions, return_inverse=True)
    number = panel.electorates * max(len(labels), 1) + region
    _, first, number = np.unique(number, return_index=True, return_inverse=True)
    scores = _means(_single_hours(flow, LEAST_SUMMED_MEAN), number)
    of = region[first]
    members = _sums(~np.isnan(scores), of)
    root = np.sqrt(np.where(members >= LEAST_MEMBERS, members, np.nan))
    sums = _sums(scores, of) / root
    scale = _scales(sums)
    return RegionalSync(regions=labels, members=members, scale=scale, z=sums / scale)


def _single_hours(flow: Flow, least_mean: float) -> Floats:
    scores = flow.scores[flow.windows.index(1)]
    chosen: Floats = np.where(flow.mean >= least_mean, scores, np.nan)
    return chosen


def _sums(values: Floats | Truths, number: Ints) -> Floats:
    """Return the sums of rows with one number; NaN adds nothing."""
    columns = np.nan_to_num(np.asarray(values, float)).T
    rows = int(number.max(initial=-1)) + 1
    sums = np.zeros((rows, len(columns)))
    for place, column in enumerate(columns):
        sums[:, place] = np.bincount(number, column, rows)
    return sums


def _means(values: Floats, number: Ints) -> Floats:
    """Return the means of rows with one number, NaN where there is none."""
    told = _sums(~np.isnan(values), number)
    return _sums(values, number) / np.where(told > 0, told, np.nan)


def _scales(sums: Floats) -> Floats:
    """Return what to divide each region's sum by in each hour: 1 at least.

    What all regions of the last hours have shown, or the region itself since 12 hours: some
    have shocks of their own that are nothing new.
    """
    scale, shared = np.ones_like(sums), Scale()
    for hour in range(sums.shape[1]):
        scale[:, hour] = shared.learn(_told(sums[:, hour]))
        before = np.abs(sums[:, :hour])
        tells = np.count_nonzero(~np.isnan(before), axis=1) >= LEAST_HOURS
        own = np.nanmedian(before[tells], axis=1) / QUARTILE
        scale[tells, hour] = np.maximum(scale[tells, hour], own)
    return scale


@dataclass(frozen=True, slots=True)
class DispersionShock:
    """How far all constituencies are from expectation, per hour; NaN with too few."""

    # Electorates that were compared.
    compared: Floats
    # Robust deviation of their scores, 1 where the hour is like those before.
    spread: Floats
    z: Floats
    # Those above their own limit of 99 %, and P(so many or more).
    above: Floats
    above_p: Floats

    LIMIT: ClassVar[float] = 3.0

    @property
    def is_flagged(self) -> Truths:
        """Tell in which hours many moved, in whatever direction."""
        return np.asarray(self.z > self.LIMIT, bool)


# Standard deviation of a robust deviation, times the root of how many there are:
# 1 / (2 f) / .6745 with the density f = .6356 of |Z| at its median.
SPREAD_DEVIATION = 1.166
OWN_LIMIT = 0.01


def dispersion_shock(flow: Flow, panel: Panel) -> DispersionShock:
    """Compare how far the scores of an hour spread with how far they should, S05.

    The scale of the hour before is used: that of the hour itself has seen the shock.
    """
    scores = _means(_single_hours(flow, TELLING_MEAN), _numbers(panel.electorates))
    scale = flow.scale[flow.windows.index(1)]
    scores = scores * (scale / np.concatenate([[1.0], scale[:-1]]))
    compared = np.count_nonzero(~np.isnan(scores), axis=0).astype(float)
    enough = compared >= Scale.LEAST_PEERS
    spread = np.full(len(compared), np.nan)
    spread[enough] = np.nanmedian(np.abs(scores[:, enough]), axis=0) / QUARTILE
    above = np.count_nonzero(scores > -special.ndtri(OWN_LIMIT), axis=0).astype(float)
    return DispersionShock(
        compared=compared,
        spread=spread,
        z=(spread - 1) * np.sqrt(compared) / SPREAD_DEVIATION,
        above=above,
        above_p=np.where(enough, above_limit_probability(above, compared), np.nan),
    )


def _numbers(labels: Ints) -> Ints:
    _, number = np.unique(labels, return_inverse=True)
    return np.asarray(number, np.int64)


def above_limit_probability(above: ArrayLike, compared: ArrayLike) -> Floats:
    """Return P(so many or more are above their own limit of 99 %), by chance."""
    counted = np.asarray(above, float)
    rest = np.maximum(np.asarray(compared, float) - counted + 1, 1)
    found = special.betainc(np.maximum(counted, 1), rest, OWN_LIMIT)
    return np.where(counted > 0, found, 1.0)
