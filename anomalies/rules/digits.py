"""P05 to P07: digits that people prefer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from anomalies.rules.counts import Floats
from anomalies.rules.stations import Counts, Stations, Truths

# Last digits are even only where counts are large and differ. Source: Beber and Scacco,
# Political Analysis 20 (2012), p. 211.
LEAST_COUNT = 100
LEAST_DEVIATION = 100
# Benford's law for the second digit.
SECOND_DIGIT_MEAN = 4.18739
SECOND_DIGIT_VARIANCE = 8.25378
# Two of ten digits are 0 or 5.
ROUND_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Rounded:
    """How many numbers end in 0 or 5; by chance a fifth."""

    # Fraction; None where there are no numbers.
    share: float | None
    n: int

    @property
    def score(self) -> float:
        """Return the normal score of the share; 0 where there are no numbers."""
        if self.share is None:
            return 0.0
        deviation = np.sqrt(ROUND_SHARE * (1 - ROUND_SHARE) / self.n)
        return float((self.share - ROUND_SHARE) / deviation)


@dataclass(frozen=True, slots=True)
class LastDigits:
    """How unevenly the last digits are spread."""

    n: int
    # With nine degrees of freedom.
    chi2: float
    p: float
    rounded: Rounded

    @property
    def is_flagged(self) -> bool:
        """Tell whether chance is out of the question, in enough stations."""
        return self.p <= 1e-6 and self.n >= 1000


@dataclass(frozen=True, slots=True)
class SecondDigits:
    """The mean second digit and its score against Benford's law; None without numbers."""

    mean: float | None
    score: float | None
    n: int


def last_digits(counts: Counts) -> LastDigits | None:
    """Return P05 of the counts from 100 on; None where they hardly differ, or are few.

    For ballots, not for votes of small stations: counts just above 100 are cut off at 100,
    and that alone makes small digits frequent.
    """
    large = counts[counts >= LEAST_COUNT]
    # A hundred: ten of each digit are expected, as χ² wants.
    if large.size < 100 or large.std() < LEAST_DEVIATION:
        return None
    return even_digits(np.bincount(large % 10, minlength=10))


def even_digits(frequencies: ArrayLike) -> LastDigits:
    """Return how far ten frequencies, of the digits 0 to 9, are from being equal."""
    observed = np.asarray(frequencies, float)
    total = observed.sum()
    chi2 = float(((observed - total / 10) ** 2).sum() / (total / 10))
    share = float((observed[0] + observed[5]) / total)
    rounded = Rounded(share, int(total))
    return LastDigits(int(total), chi2, float(special.chdtrc(9, chi2)), rounded)


def second_digits(counts: Counts) -> SecondDigits:
    """Return P06 of the counts from 10 on.

    Weight 0 in any judgement: “essentially equivalent to a toss of a coin”. Source:
    Deckert, Myagkov and Ordeshook, Political Analysis 19 (2011), p. 245.
    """
    large = counts[counts >= 10]
    if not large.size:
        return SecondDigits(None, None, 0)
    while (large >= 100).any():
        large = np.where(large >= 100, large // 10, large)
    mean = float((large % 10).mean())
    deviation = np.sqrt(SECOND_DIGIT_VARIANCE / large.size)
    score = float((mean - SECOND_DIGIT_MEAN) / deviation)
    return SecondDigits(mean, score, int(large.size))


def rounded_turnout(stations: Stations) -> Rounded:
    """Return P07 of turnout in whole per cent, at most 100.

    Halves go to the even neighbour, so that a fifth of them ends in 0 or 5 as well.
    """
    chosen = stations.voters > 0
    percent: Floats = 100 * stations.given[chosen] / stations.voters[chosen]
    return _rounded(np.rint(np.minimum(percent, 100)) % 5 == 0)


def rounded_counts(counts: Counts) -> Rounded:
    """Return P07 of counts above zero: nothing given out is no round number."""
    return _rounded(counts[counts > 0] % 5 == 0)


def _rounded(is_round: Truths) -> Rounded:
    share = float(is_round.mean()) if is_round.size else None
    return Rounded(share, int(is_round.size))
