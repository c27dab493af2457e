"""S11, S12 and H13: a share that is not that of the peers.

Of the bulletins issued some are never cast (S11), of the people on the register some vote
(S12), of the calls some are rejected (H13). Each share is compared with that of the other
constituencies of the group, as a beta-binomial: shares differ between districts by more
than chance, and with 100,000 trials chance alone would make every one of them a wonder.

Rate and overdispersion come from the peers without the constituency's own electorate, and
from those of them that are usual: no constituency can hide itself, nor a few each other.
The overdispersion is found by moments (Williams, Applied Statistics 31 (1982), p. 144),
with squares cut as for the dispersion of flows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike

from anomalies.rules import betabinomial
from anomalies.rules.baseline import cut_square_mean
from anomalies.rules.counts import Floats
from anomalies.rules.panels import Ints, Truths

# Fewer bulletins say nothing of a rate of 2 %.
LEAST_ISSUED = 200
# Of the time of voting: before, who comes early differs more than who comes at all.
LEAST_ELAPSED = 0.3
# Electorates; what fewer have in common is not known well enough to call another odd.
LEAST_PEERS = 5


@dataclass(frozen=True, slots=True)
class Habits:
    """What is taken for granted of shares until the peers have told better."""

    # Correlation of two trials of one constituency, and the constituencies this is worth.
    rho: float
    weight: float = 2.0
    # Deviations beyond which a constituency teaches nothing more.
    trim: float = 2.5


# Votes that had not arrived in the regions of 2024: .00048 in the west, .00066 in the east.
ABANDONMENT = Habits(rho=0.0005)
# Turnout of 28 regions in 2024: 94.39 % on average with a deviation of 1.05 points.
TURNOUT = Habits(rho=0.002)
# No figure is known; as for votes that do not arrive.
REJECTION = Habits(rho=0.0005)


@dataclass(frozen=True, slots=True)
class Shares:
    """Successes among trials of each constituency beside what its peers let expect.

    NaN where nothing can be said: too few trials or peers, figures that nobody knows.
    """

    successes: Floats
    trials: Floats
    # Of the peers, 0 to 1; and how far districts differ, the doubt about the rate included.
    rate: Floats
    rho: Floats
    # Probability of so few or fewer, so many or more, and of as rare a share on any side.
    lower: Floats
    upper: Floats
    p: Floats

    @property
    def excess(self) -> Floats:
        """Return the successes more (or fewer) than expected."""
        return self.successes - self.rate * self.trials

    @property
    def points(self) -> Floats:
        """Return the percentage points above the peers."""
        share: Floats = self.successes / np.where(self.trials > 0, self.trials, np.nan)
        return 100 * (share - self.rate)


def abandonment(
    *, issued: ArrayLike, cast: ArrayLike, groups: Ints, electorates: Ints
) -> Shares:
    """Compare how many of the bulletins issued so far are not cast, S11.

    Upper tail: votes that do not arrive. Lower tail: everybody votes. The votes of the last
    minutes are still on their way, for the peers as well: all must be counted up to the
    same moment. Votes beyond the issues are a matter of H01, here nothing is missing then.
    NaN stands for constituencies whose files are not complete.
    """
    handed_out = np.asarray(issued, float)
    missing = np.maximum(handed_out - np.asarray(cast, float), 0.0)
    found = compare(
        missing, handed_out, groups=groups, electorates=electorates, habits=ABANDONMENT
    )
    return _only(found, handed_out >= LEAST_ISSUED)


def turnout(
    *,
    cast: ArrayLike,
    voters: ArrayLike,
    groups: Ints,
    electorates: Ints,
    elapsed: ArrayLike = 1.0,
) -> Shares:
    """Compare how many people on the register have voted, S12.

    `elapsed` is the part of the time of voting that is over. Nothing is said where more
    people voted than the register knows: that is for H02, and no share. Nor where nobody
    has: contracts without a ballot are normal.
    """
    votes, register = np.asarray(cast, float), np.asarray(voters, float)
    register = np.where((votes > 0) & (votes <= register), register, np.nan)
    found = compare(
        votes, register, groups=groups, electorates=electorates, habits=TURNOUT
    )
    return _only(found, np.broadcast_to(elapsed, votes.shape) >= LEAST_ELAPSED)


def rejection_rate(
    *, rejected: ArrayLike, accepted: ArrayLike, groups: Ints, electorates: Ints
) -> Shares:
    """Compare how many calls of an hour were rejected, H13.

    Only too many are of interest: p is that of the upper tail.
    """
    failures = np.asarray(rejected, float)
    found = compare(
        failures,
        failures + np.asarray(accepted, float),
        groups=groups,
        electorates=electorates,
        habits=REJECTION,
    )
    return replace(found, p=found.upper)


def columns(found: Iterable[Shares]) -> Shares:
    """Return the shares of several hours side by side, one column each."""
    listed = list(found)
    names = (item.name for item in fields(Shares))
    return Shares(
        **{
            name: np.stack([getattr(item, name) for item in listed], axis=1)
            for name in names
        }
    )


def compare(
    successes: Floats,
    trials: Floats,
    *,
    groups: Ints,
    electorates: Ints,
    habits: Habits,
) -> Shares:
    """Compare each share with those of the group, without its own electorate."""
    is_told = (trials > 0) & ~np.isnan(successes)
    peers = _Peers(groups, electorates, is_told)
    k, n = np.where(is_told, successes, 0.0), np.where(is_told, trials, 1.0)
    rate, rho = _habits_of_peers(k, n, peers, habits)
    lower, upper = betabinomial.tails(k, n, rate=rate, rho=rho)
    p = np.minimum(2 * np.minimum(lower, upper), 1.0)
    found = Shares(successes, trials, rate, rho, lower, upper, p)
    return _only(found, is_told & (peers.number >= LEAST_PEERS))


class _Peers:
    """Who is compared with whom."""

    def __init__(self, groups: Ints, electorates: Ints, is_told: Truths) -> None:
        _, self.group = np.unique(groups, return_inverse=True)
        _, self.electorate = np.unique(electorates, return_inverse=True)
        sizes = np.bincount(self.electorate, is_told.astype(float))
        # Ballots of the same people are one observation, not several.
        shared = np.maximum(sizes[self.electorate], 1)
        self.say: Floats = np.where(is_told, 1 / shared, 0.0)
        # Halves and thirds do not add up to whole numbers.
        self.number = np.rint(self.without_own(self.say))

    def without_own(self, values: Floats) -> Floats:
        """Return the sum over each one's group, less its own electorate."""
        groups = np.bincount(self.group, values)
        own = np.bincount(self.electorate, values)
        return np.asarray(groups[self.group] - own[self.electorate], float)

    def elsewhere(self, values: Floats) -> Floats:
        """Return the sum over all groups, less each one's own electorate."""
        own = np.bincount(self.electorate, values)
        return np.asarray(values.sum() - own[self.electorate], float)


# Finer ones, or more rounds, change no probability that matters.
RHO_GRID = np.geomspace(1e-6, 0.3, 16)
# Of a squared normal score that is cut at 2.5 deviations.
CUT_SQUARE_VARIANCE = 1.7
# Usual constituencies, rate and overdispersion need one another.
ROUNDS = 3


def _habits_of_peers(
    k: Floats, n: Floats, peers: _Peers, habits: Habits
) -> tuple[Floats, Floats]:
    """Return rate and overdispersion to expect of each constituency, by its peers."""
    usual = peers.say > 0
    rho = np.full(len(k), habits.rho)
    rate, doubt = np.full(len(k), 0.5), np.ones(len(k))
    for _ in range(ROUNDS):
        weights = peers.say * usual / (1 + (n - 1) * rho)
        # Half a success among one trial more: a rate of 0 would make the first a wonder.
        known = np.maximum(peers.without_own(weights * n), 0) + 1
        rate = (np.maximum(peers.without_own(weights * k), 0) + 0.5) / known
        doubt = 1 / known
        rho = _overdispersion(k, n, rate, doubt, peers, habits)
        usual = (peers.say > 0) & _is_usual(k, n, rate, rho + doubt, habits.trim)
    return rate, np.minimum(rho + doubt, RHO_GRID[-1])


def _overdispersion(
    k: Floats, n: Floats, rate: Floats, doubt: Floats, peers: _Peers, habits: Habits
) -> Floats:
    """Return the rho at which the squared residuals of the peers are as large as they should.

    The root of Σ w (min(r², trim²) − κ), where w is how much of the variance of r is
    overdispersion: small constituencies, in which chance rules, have no say. What all
    groups have in common is the start for each of them, so that seven peers are enough.
    """
    usual_square = cut_square_mean(habits.trim)
    squares = (k - n * rate) ** 2 / (n * rate * (1 - rate))
    overall, grouped = (np.empty((len(RHO_GRID), len(k))) for _ in range(2))
    for place, rho in enumerate(RHO_GRID):
        variance = 1 + (n - 1) * (rho + doubt)
        cut = np.minimum(squares / variance, habits.trim**2)
        says = peers.say * ((n - 1) * rho / variance) ** 2
        excess = says * (cut - usual_square)
        overall[place] = _told(peers.elsewhere(excess), peers.elsewhere(says**2))
        grouped[place] = _told(peers.without_own(excess), peers.without_own(says**2))
    weight = habits.weight * usual_square
    common = _roots(overall + weight * np.log(habits.rho / RHO_GRID)[:, None])
    return _roots(grouped + weight * np.log(common / RHO_GRID[:, None]))


def _told(excess: Floats, squares: Floats) -> Floats:
    """Return the excess with one standard error added.

    Too small a rho raises false alarms, one too large only misses some. Without it clean
    shares among 28 peers fell below 1e-4 ten times as often as they should; with it 1.4.
    """
    found: Floats = excess + np.sqrt(CUT_SQUARE_VARIANCE * np.maximum(squares, 0))
    return found


def _roots(sums: Floats) -> Floats:
    """Return where the sums, which fall along the grid, pass 0."""
    place = np.clip(np.count_nonzero(sums > 0, axis=0), 1, len(RHO_GRID) - 1)
    columns = np.arange(sums.shape[1])
    above, below = sums[place - 1, columns], sums[place, columns]
    fall = np.where(above > below, above - below, 1.0)
    part = np.clip(above / fall, 0.0, 1.0)
    low, high = np.log(RHO_GRID[place - 1]), np.log(RHO_GRID[place])
    found: Floats = np.exp(low + part * (high - low))
    return found


def _is_usual(k: Floats, n: Floats, rate: Floats, rho: Floats, trim: float) -> Truths:
    # The arcsine of Anscombe (Biometrika 35 (1948), p. 246): a plain residual would trim
    # small counts on one side only.
    share = np.arcsin(np.sqrt((k + 0.375) / (n + 0.75)))
    residual = 2 * np.sqrt(n) * (share - np.arcsin(np.sqrt(rate)))
    return np.asarray(np.abs(residual) < trim * np.sqrt(1 + (n - 1) * rho), bool)


def _only(found: Shares, chosen: Truths) -> Shares:
    """Return the shares with NaN for all but the `chosen`."""
    names = ("rate", "rho", "lower", "upper", "p")
    kept = {name: np.where(chosen, getattr(found, name), np.nan) for name in names}
    return replace(found, **kept)
