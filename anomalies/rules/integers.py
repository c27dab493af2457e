"""P01: percentages of polling stations that are integers too often."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from anomalies.rules.counts import Floats

# A twentieth of a per cent: 64.95 to 65.05 is an integer.
PARTS = 20
# Smaller stations have few percentages to choose from.
SMALLEST_STATION = 100
# Where nearly everybody votes, or votes alike, the next integer is 100.
LARGEST_SHARE = 0.99

Counts = NDArray[np.int64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Stations:
    """Polling stations, one element of each array per station."""

    # People on the register.
    voters: Counts
    # Ballots given out.
    given: Counts
    # Ballots found in the boxes.
    received: Counts
    # Votes for whoever won the election as a whole.
    leader: Counts

    def usable(self) -> "Stations":
        """Return those whose percentages mean something."""
        share = self.leader / np.maximum(self.received, 1)
        turnout = self.given / np.maximum(self.voters, 1)
        chosen = (
            (self.voters >= SMALLEST_STATION)
            & (self.received > 0)
            & (turnout <= LARGEST_SHARE)
            & (share <= LARGEST_SHARE)
        )
        return Stations(
            self.voters[chosen],
            self.given[chosen],
            self.received[chosen],
            self.leader[chosen],
        )


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
    every = np.arange(total + 1)
    hits = every[is_integer(every, np.full(total + 1, total))]
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


def integer_excess(stations: Stations) -> dict[str, IntegerExcess]:
    """Return the excess of integer `turnout`, of integer share of the `leader`, of `any`."""
    usable = stations.usable()
    hits = {
        "turnout": is_integer(usable.given, usable.voters),
        "leader": is_integer(usable.leader, usable.received),
    }
    p = {
        "turnout": chances(usable.given, usable.voters),
        "leader": chances(usable.leader, usable.received),
    }
    hits["any"] = hits["turnout"] | hits["leader"]
    p["any"] = 1 - (1 - p["turnout"]) * (1 - p["leader"])
    return {
        name: IntegerExcess(
            stations=usable.voters.size,
            observed=int(hits[name].sum()),
            expected=float(p[name].sum()),
            deviation=float(np.sqrt((p[name] * (1 - p[name])).sum())),
        )
        for name in ("any", "leader", "turnout")
    }
