"""What is expected of each constituency and hour, for S01: rates, levels, dispersion."""

from dataclasses import dataclass, field

import numpy as np
from scipy import special

from anomalies.rules.counts import Floats
from anomalies.rules.panels import Panel, Truths

# A count below this says little about shocks: chance is all of its variance.
TELLING_MEAN = 5.0
LEAST_MEAN = 1e-9
# Peers must have half as many ballots as are expected of a constituency, or five: what a
# handful of small ones do says nothing about a large one.
PEERS_SHARE, PEERS_ENOUGH = 0.5, 10.0


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is taken for granted until the peers of the day have told better."""

    # Relative variance of an hour's shock, after the opening hour and in it: districts
    # differ in how many come at once when the doors open.
    dispersion: float = 0.03
    opening_dispersion: float = 0.17
    # Constituencies whose word the two figures above are worth.
    dispersion_weight: float = 20.0
    # Hours after which half of what was learnt of the dispersion is forgotten.
    dispersion_memory: float = 24.0
    # Relative variance of a level before its first hour; and where nobody knows the
    # register, so that the level has to be learnt from the hours alone.
    level_variance: float = 0.02
    unknown_level_variance: float = 2.0
    # Hours after which half of a level is forgotten: levels that drift are followed.
    level_memory: float = 48.0
    # Ballots that the rate of the hour before is worth, so that an hour without any among
    # few peers does not make the first one a wonder.
    rate_weight: float = 1.0
    # Deviations beyond which a count teaches neither rate nor level more.
    trim: float = 2.5


@dataclass(slots=True)
class Dispersion:
    """The relative variance of shocks, found from how far the peers are from expectation.

    The root of Σ w (min(r², trim²) − κ), where r is a standardised residual and w how much
    of its variance are shocks: constituencies in which chance rules have no say.
    """

    value: float
    weight: float
    memory: float
    trim: float
    _sums: Floats = field(init=False)
    _prior: Floats = field(init=False)

    GRID = np.geomspace(0.001, 1.0, 40)

    def __post_init__(self) -> None:
        self._prior = (
            self.weight * cut_square_mean(self.trim) * np.log(self.value / self.GRID)
        )
        self._sums = self._prior.copy()

    def learn(
        self, counts: Floats, mean: Floats, *, unknown: Floats, weights: Floats
    ) -> None:
        """Take in one hour; `unknown` is the relative variance of the means themselves."""
        shocks = self.GRID[:, None] * mean * mean
        variance = mean + shocks + unknown * mean * mean
        squares = np.minimum((counts - mean) ** 2 / variance, self.trim**2)
        says = weights * (shocks / variance) ** 2
        kept = 0.5 ** (1 / self.memory)
        told = (says * (squares - cut_square_mean(self.trim))).sum(axis=1)
        self._sums = kept * self._sums + (1 - kept) * self._prior + told
        self.value = self._root()

    def _root(self) -> float:
        # The sums fall as the dispersion grows.
        place = int(np.count_nonzero(self._sums > 0))
        if place == 0:
            return float(self.GRID[0])
        if place == len(self.GRID):
            return float(self.GRID[-1])
        above, below = self._sums[place - 1], self._sums[place]
        part = above / (above - below)
        low, high = np.log(self.GRID[place - 1 : place + 1])
        return float(np.exp(low + part * (high - low)))


def cut_square_mean(cut: float) -> float:
    """Return κ, the mean of min(z², cut²) of a normal score z."""
    inside = special.erf(cut / np.sqrt(2))
    density = np.exp(-cut * cut / 2) / np.sqrt(2 * np.pi)
    return float(inside - 2 * cut * density + cut * cut * (1 - inside))


@dataclass(slots=True)
class Levels:
    """How much more than its peers each constituency gets, per voter, so far."""

    counted: Floats
    exposed: Floats
    variance: Floats
    memory: float

    @classmethod
    def before_the_vote(cls, voters: Floats, assumptions: Assumptions) -> "Levels":
        """Return levels of 1, worth what the register says."""
        spread = np.where(
            np.isnan(voters),
            assumptions.unknown_level_variance,
            assumptions.level_variance,
        )
        return cls(1 / spread, 1 / spread, 1 / spread, assumptions.level_memory)

    @property
    def values(self) -> Floats:
        """Return the levels; 1 is that of the peers."""
        return self.counted / self.exposed

    @property
    def unknown(self) -> Floats:
        """Return the relative variances of the levels."""
        return self.variance / self.counted**2

    def learn(self, counts: Floats, base: Floats, weights: Floats) -> None:
        """Take in one hour: `base` is what a level of 1 would have expected."""
        kept = 0.5 ** (1 / self.memory)
        is_told = weights > 0
        self.counted = np.where(
            is_told, kept * self.counted + weights * counts, self.counted
        )
        self.exposed = np.where(
            is_told, kept * self.exposed + weights * base, self.exposed
        )
        self.variance = np.where(
            is_told, kept * kept * self.variance + weights * counts, self.variance
        )


class Baseline:
    """What is expected of each hour, from the hours before it and from the peers in it."""

    def __init__(self, panel: Panel, assumptions: Assumptions) -> None:
        shape = panel.counts.shape
        self.panel, self.assumptions = panel, assumptions
        self.counts, self.is_open = panel.known_counts, panel.is_open
        self.voters = exposures(panel)
        self.levels = Levels.before_the_vote(panel.voters, assumptions)
        _, self.group = np.unique(panel.groups, return_inverse=True)
        _, self.electorate, sizes = np.unique(
            panel.electorates, return_inverse=True, return_counts=True
        )
        # Ballots of the same people are one observation, not several.
        self.say = 1 / sizes[self.electorate]
        self.last_rate = np.full(int(self.group.max(initial=-1)) + 1, np.nan)
        self.dispersions = {
            True: self._dispersion(assumptions.opening_dispersion),
            False: self._dispersion(assumptions.dispersion),
        }
        # Per constituency and hour: the level before it and its relative variance; what a
        # level of 1 would get; the relative variance of shocks and rate.
        # Hour by hour in memory, as they are written and read.
        self.level = np.ones(shape, order="F")
        self.level_unknown = np.ones(shape, order="F")
        self.base = np.zeros(shape, order="F")
        self.rate_unknown = np.zeros(shape, order="F")
        self.shocks = np.zeros(shape, order="F")
        self.is_judged = np.zeros(shape, bool, order="F")

    def _dispersion(self, value: float) -> Dispersion:
        given = self.assumptions
        return Dispersion(
            value, given.dispersion_weight, given.dispersion_memory, given.trim
        )

    def advance(self, hour: int) -> None:
        """Find what the hour was to bring, then learn from what it brought."""
        counts, is_open = self.counts[:, hour], self.is_open[:, hour]
        is_opening = self.panel.opens == hour
        self.level[:, hour] = level = self.levels.values
        self.level_unknown[:, hour] = level_unknown = self.levels.unknown
        rate, told, is_usual = self._rates(hour, counts, is_open, level_unknown)
        rate_unknown = self._rate_unknown(told)
        mean = np.maximum(np.nan_to_num(rate) * level * self.voters, LEAST_MEAN)
        is_judged = is_open & (told >= PEERS_SHARE * np.minimum(mean, PEERS_ENOUGH))
        base = np.where(is_judged, rate * self.voters, 0.0)
        self._learn_dispersions(
            counts, mean, level_unknown + rate_unknown, is_judged, is_opening
        )
        self.base[:, hour] = base
        self.rate_unknown[:, hour] = np.where(is_judged, rate_unknown, 0.0)
        self.shocks[:, hour] = shocks = self._shocks(is_opening)
        self.is_judged[:, hour] = is_judged
        self._learn_levels(
            counts, mean, base, is_judged, shocks + rate_unknown, level_unknown
        )
        self._keep_rates(rate, is_usual & is_judged)

    def _shocks(self, is_opening: Truths) -> Floats:
        opening, later = self.dispersions[True].value, self.dispersions[False].value
        return np.where(is_opening, opening, later)

    def _rates(
        self, hour: int, counts: Floats, is_open: Truths, level_unknown: Floats
    ) -> tuple[Floats, Floats, Truths]:
        """Return each constituency's rate per voter in the hour, by its peers.

        Without its own electorate; how many ballots of peers say so, less where shocks
        make them worth less; and whose counts are usual.
        """
        spread = self._shocks(self.panel.opens == hour) + level_unknown
        exposure = self.levels.values * self.voters
        usual, rate = is_open, np.full(len(counts), np.nan)
        weights = np.where(is_open, self.say, 0.0)
        told = np.zeros(len(counts))
        for _ in range(4):
            rate, told = self._pooled(counts, exposure, weights * usual)
            mean = np.maximum(np.nan_to_num(rate) * exposure, LEAST_MEAN)
            unknown = spread + self._rate_unknown(told)
            # Anscombe residual: a plain one trims small counts on one side only.
            residual = 2 * (np.sqrt(counts + 0.375) - np.sqrt(mean + 0.375))
            limit = self.assumptions.trim * np.sqrt(1 + unknown * mean)
            usual = is_open & (np.abs(residual) < limit)
            weights = np.where(is_open, self.say / (1 + spread * mean), 0.0)
        return rate, told, usual

    def _rate_unknown(self, told: Floats) -> Floats:
        """Return the relative variance of the rates: with few peers they say little."""
        last = np.where(np.isnan(self.last_rate[self.group]), 0.0, self.rate_weight)
        return np.minimum(1 / np.maximum(told + last, LEAST_MEAN), 1.0)

    @property
    def rate_weight(self) -> float:
        """Return how many ballots the rate of the hour before is worth."""
        return self.assumptions.rate_weight

    def _pooled(
        self, counts: Floats, exposure: Floats, weights: Floats
    ) -> tuple[Floats, Floats]:
        """Return the rate of each constituency's peers, and how many ballots say so."""
        counted = self._of_peers(weights * counts)
        exposed = self._of_peers(weights * exposure)
        # 0: there is none.
        last = np.nan_to_num(self.last_rate[self.group])
        # Worth one ballot at the larger of both rates: after hours without any ballot it
        # would else outweigh the peers, and whoever goes on as usual would be a stranger.
        now = np.divide(counted, exposed, out=np.zeros_like(counted), where=exposed > 0)
        worth = np.where(last > 0, self.rate_weight, 0.0)
        known_by = worth / np.where(last > 0, np.maximum(last, now), 1.0)
        all_exposed = exposed + known_by
        rate = np.where(
            all_exposed > 0,
            (counted + known_by * last) / np.maximum(all_exposed, 1e-12),
            np.nan,
        )
        return rate, np.nan_to_num(rate) * exposed

    def _of_peers(self, values: Floats) -> Floats:
        """Return the sum over the peers of each constituency, less its own electorate."""
        groups = np.bincount(self.group, values, len(self.last_rate))
        own = np.bincount(self.electorate, values)
        rest = groups[self.group] - own[self.electorate]
        # Summed in another order, nothing left is not quite nothing.
        remaining: Floats = np.maximum(rest, 0.0)
        return remaining

    def _learn_dispersions(
        self,
        counts: Floats,
        mean: Floats,
        unknown: Floats,
        is_judged: Truths,
        is_opening: Truths,
    ) -> None:
        tells = is_judged & (mean >= TELLING_MEAN)
        for kind, dispersion in self.dispersions.items():
            chosen = tells & (is_opening == kind)
            if chosen.any():
                dispersion.learn(
                    counts[chosen],
                    mean[chosen],
                    unknown=unknown[chosen],
                    weights=self.say[chosen],
                )

    def _learn_levels(
        self,
        counts: Floats,
        mean: Floats,
        base: Floats,
        is_judged: Truths,
        spread: Floats,
        level_unknown: Floats,
    ) -> None:
        reach = self.assumptions.trim * np.sqrt(
            mean + (spread + level_unknown) * mean * mean
        )
        weights = np.where(is_judged, 1 / (1 + spread * mean), 0.0)
        self.levels.learn(np.clip(counts, mean - reach, mean + reach), base, weights)

    def _keep_rates(self, rate: Floats, usual: Truths) -> None:
        groups = len(self.last_rate)
        summed = np.bincount(self.group, np.where(usual, rate, 0.0), groups)
        members = np.bincount(self.group, usual.astype(float), groups)
        mean = summed / np.maximum(members, 1)
        self.last_rate = np.where(mean > 0, mean, self.last_rate)


def exposures(panel: Panel) -> Floats:
    """Return the register of each constituency, its peers' median where it has none."""
    usual = np.nanmedian(panel.voters) if not np.isnan(panel.voters).all() else 1.0
    return np.where(np.isnan(panel.voters), usual, panel.voters)
