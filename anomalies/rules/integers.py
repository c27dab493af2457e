"""P01: percentages of polling stations that are integers too often."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from anomalies.rules.combining import benjamini_hochberg
from anomalies.rules.counts import Floats
from anomalies.rules.stations import Counts, Stations, Truths

# A twentieth of a per cent: 64.95 to 65.05 is an integer.
PARTS = 20
# From this size on only counts near the one seen are added up: all of them are gigabytes
# where many stations share a large total, and 80 times slower at 170,000.
LARGE_TOTAL = 20_000
# So many deviations hold all but 1e-18.
DEVIATIONS = 9
# The 99.9th percentile of what chance makes; Kobak's threshold.
LARGEST_SCORE = 3.09
# Smaller stations lift the excess by themselves: fractions of small numbers are round.
LEAST_MEDIAN_BALLOTS = 300
# Of the regions that are named, this share is expected to be chance.
LARGEST_Q = 0.05

EITHER = "any"
KINDS = (EITHER, "leader", "turnout")


@dataclass(frozen=True, slots=True)
class IntegerExcess:
    """How many percentages are integers, and how many would be by chance."""

    stations: int
    observed: int
    expected: float
    # Standard deviation of the number by chance.
    deviation: float

    @property
    def excess(self) -> float:
        """Return how many more there are than expected."""
        return self.observed - self.expected

    @property
    def score(self) -> float:
        """Return the normal score of the excess; 0 where nothing can vary."""
        return self.excess / self.deviation if self.deviation else 0.0


@dataclass(frozen=True, slots=True)
class RegionExcess:
    """The excess of one region, of integer turnout or integer share."""

    name: str
    excess: IntegerExcess
    # Half of all stations gave out more ballots.
    median_ballots: float
    # Share of chance among the regions that stand out at least as much.
    q: float

    @property
    def is_flagged(self) -> bool:
        """Tell whether it stands out among all regions."""
        is_large = self.median_ballots >= LEAST_MEDIAN_BALLOTS
        return is_large and self.q <= LARGEST_Q


@dataclass(frozen=True, slots=True)
class IntegerFindings:
    """P01 of a whole election and of its regions."""

    national: dict[str, IntegerExcess]
    median_ballots: float
    regions: tuple[RegionExcess, ...]

    @property
    def is_flagged(self) -> bool:
        """Tell whether integers are more frequent than chance allows.

        Not where stations are small: there a clean election shows an excess too.
        """
        is_large = self.median_ballots >= LEAST_MEDIAN_BALLOTS
        return is_large and self.national[EITHER].score > LARGEST_SCORE


def is_integer(count: Counts, total: Counts) -> Truths:
    """Tell which counts are an integer percentage of their totals, to a twentieth.

    In whole numbers: a fraction on the edge would fall on either side by its last digit.
    """
    beyond = (100 * PARTS * count) % (PARTS * total)
    near: Truths = np.minimum(beyond, PARTS * total - beyond) <= total
    return near


def chances(count: Counts, total: Counts) -> Floats:
    """Return the probability of an integer percentage for each pair.

    Exact, under Kobak's null: the count is Binomial(total, count / total). The sum over
    all counts that are an integer percentage stands for his simulation. Source: Kobak,
    Shpilkin and Pshenichnikov, Annals of Applied Statistics 10 (2016), p. 54.
    """
    found = np.empty(total.size)
    order = np.argsort(total, kind="stable")
    totals, starts = np.unique(total[order], return_index=True)
    for each, chosen in zip(totals, np.split(order, starts)[1:], strict=True):
        counts, places = np.unique(count[chosen], return_inverse=True)
        found[chosen] = _chances_of_total(counts, int(each))[places]
    return found


def _chances_of_total(counts: Counts, total: int) -> Floats:
    if total > LARGE_TOTAL:
        return np.array([_chance_nearby(int(count), total) for count in counts])
    return _summed(counts, total, np.arange(total + 1))


def _chance_nearby(count: int, total: int) -> float:
    width = DEVIATIONS * np.sqrt(count * (total - count) / total) + DEVIATIONS
    first, last = max(0, int(count - width)), min(total, int(count + width))
    return float(_summed(np.array([count]), total, np.arange(first, last + 1))[0])


def _summed(counts: Counts, total: int, every: Counts) -> Floats:
    """Add up the binomial probabilities of those of `every` that are integer percentages."""
    hits = every[is_integer(every, np.full(every.size, total))]
    ways = (
        special.gammaln(total + 1)
        - special.gammaln(hits + 1)
        - special.gammaln(total - hits + 1)
    )
    rates = (counts / total)[:, None]
    logarithms = (
        ways + special.xlogy(hits, rates) + special.xlog1py(total - hits, -rates)
    )
    summed: Floats = np.exp(logarithms).sum(axis=1)
    return np.minimum(summed, 1.0)


@dataclass(frozen=True, slots=True)
class _Trials:
    """Whether each station has an integer percentage, and how probable that was."""

    hits: Truths
    p: Floats

    def excess(self) -> IntegerExcess:
        return IntegerExcess(
            stations=self.hits.size,
            observed=int(self.hits.sum()),
            expected=float(self.p.sum()),
            deviation=float(np.sqrt((self.p * (1 - self.p)).sum())),
        )


def _trials(usable: Stations) -> dict[str, _Trials]:
    pairs = {
        "leader": (usable.leader, usable.received),
        "turnout": (usable.given, usable.voters),
    }
    found = {
        name: _Trials(is_integer(count, total), chances(count, total))
        for name, (count, total) in pairs.items()
    }
    leader, turnout = found["leader"], found["turnout"]
    either = _Trials(leader.hits | turnout.hits, 1 - (1 - leader.p) * (1 - turnout.p))
    return {EITHER: either, **found}


def integer_excess(stations: Stations) -> dict[str, IntegerExcess]:
    """Return the excess of integer `turnout`, of integer share of the `leader`, of `any`."""
    return integer_findings(stations).national


def integer_findings(stations: Stations) -> IntegerFindings:
    """Return the excess of the election and, where they are known, of its regions."""
    usable = stations.usable()
    trials = _trials(usable)
    return IntegerFindings(
        national={name: trials[name].excess() for name in KINDS},
        median_ballots=float(np.median(usable.given)) if usable.size else 0.0,
        regions=_regions(usable, trials[EITHER]),
    )


def _regions(usable: Stations, trials: _Trials) -> tuple[RegionExcess, ...]:
    """Return the regions with usable stations, those that stand out most first."""
    if usable.regions is None or not usable.size:
        return ()
    chosen = [usable.regions.codes == code for code in np.unique(usable.regions.codes)]
    found = [_Trials(trials.hits[each], trials.p[each]).excess() for each in chosen]
    q = benjamini_hochberg(special.ndtr([-excess.score for excess in found]))
    regions = (
        RegionExcess(
            name=usable.regions.names[int(usable.regions.codes[each][0])],
            excess=excess,
            median_ballots=float(np.median(usable.given[each])),
            q=float(of_region),
        )
        for each, excess, of_region in zip(chosen, found, q, strict=True)
    )
    return tuple(sorted(regions, key=lambda region: (region.q, region.name)))
