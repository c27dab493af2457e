"""P09: the same small numbers again and again in one commission."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from anomalies.rules.counts import Floats
from anomalies.rules.stations import Counts, Stations

# More stations than that with exactly one vote, and with exactly two ...
MANY = 20
# ... and fewer than that with none: no mean makes 1 and 2 frequent and 0 rare in so many.
FEW = 10
# χ² wants so many in each cell.
LEAST_EXPECTED = 5.0


@dataclass(frozen=True, slots=True)
class Evenness:
    """How far the numbers of votes are from what chance repeats."""

    chi2: float
    freedom: int
    p: float


@dataclass(frozen=True, slots=True)
class IdenticalValues:
    """A commission in whose stations a party has one or two votes nearly everywhere."""

    commission: str
    party: str
    zeros: int
    ones: int
    twos: int
    evenness: Evenness | None


def repeated_values(votes: Counts, sizes: Counts) -> Evenness | None:
    """Compare how often each number of votes occurs with Poisson counts.

    The expectation of a station is its part of all ballots (`sizes`), so that stations of
    different size are no surprise. Numbers expected in fewer than five stations share a
    cell. None where fewer than two cells are left, so that nothing can be compared.
    """
    if not votes.sum() or not sizes.sum():
        return None
    means = votes.sum() * sizes / sizes.sum()
    values = np.arange(int(votes.max()) + 1)
    logarithms = special.xlogy(values, means[:, None]) - special.gammaln(values + 1)
    expected = np.exp(logarithms - means[:, None]).sum(axis=0)
    observed = np.bincount(votes, minlength=values.size).astype(float)
    # What is larger than anything seen was expected too.
    expected = np.append(expected, max(votes.size - expected.sum(), 0.0))
    return _chi2(np.append(observed, 0.0), expected)


def _chi2(observed: Floats, expected: Floats) -> Evenness | None:
    seen, due = _cells(observed, expected)
    # One is lost with the number of stations, one with the mean.
    freedom = len(due) - 2
    if freedom < 1:
        return None
    chi2 = sum((a - b) ** 2 / b for a, b in zip(seen, due, strict=True))
    return Evenness(float(chi2), freedom, float(special.chdtrc(freedom, chi2)))


def _cells(observed: Floats, expected: Floats) -> tuple[list[float], list[float]]:
    """Join neighbours until each cell expects enough; the last takes the rest."""
    seen, due = [0.0], [0.0]
    for a, b in zip(observed, expected, strict=True):
        if due[-1] >= LEAST_EXPECTED:
            seen.append(0.0)
            due.append(0.0)
        seen[-1] += float(a)
        due[-1] += float(b)
    if len(due) > 1 and due[-1] < LEAST_EXPECTED:
        rest_seen, rest_due = seen.pop(), due.pop()
        seen[-1] += rest_seen
        due[-1] += rest_due
    return seen, due


def identical_values(stations: Stations) -> tuple[IdenticalValues, ...] | None:
    """Return P09: the commissions and parties with ones and twos, but hardly a zero.

    None where the columns do not tell commissions and parties. Source: D. Kobak,
    elections/duma2021.ipynb, cell 28.
    """
    groups, parties = stations.commissions, stations.parties
    if groups is None or parties is None:
        return None
    many = len(groups.names)
    found = []
    for name, votes in zip(stations.party_names, parties.T, strict=True):
        zeros, ones, twos = (
            np.bincount(groups.codes[votes == value], minlength=many)
            for value in range(3)
        )
        for code in np.flatnonzero((ones > MANY) & (twos > MANY) & (zeros < FEW)):
            here = groups.codes == code
            evenness = repeated_values(votes[here], stations.received[here])
            numbers = int(zeros[code]), int(ones[code]), int(twos[code])
            found.append(IdenticalValues(groups.names[code], name, *numbers, evenness))
    return tuple(found)
