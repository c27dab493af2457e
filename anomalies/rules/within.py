"""S06 to S09 for all constituencies and hours at once: what lies inside the hours."""

from dataclasses import dataclass, fields

import numpy as np
from scipy import special

from anomalies.rules.combining import cauchy_combination
from anomalies.rules.counts import Floats, poisson_upper
from anomalies.rules.flow import Flow
from anomalies.rules.panels import Ints, Panel, Truths, running_sums
from anomalies.rules.regularity import SECONDS_OF_HOUR, equal_run_probability

# Ballots of an hour from which on anything is counted inside it. An outage that S09 can see
# leaves about so many of a flow of 20 an hour; S06 and S07 need more by themselves.
LEAST_BALLOTS = 10
# S06 compares the minutes of ten: what the flow does over the hour is no business of its.
# Below two a minute the χ² of so few ballots is a crude one.
BLOCK_MINUTES = 10
LEAST_BLOCK = 20
# Hours: of a bot that makes half of a flow one hour alone has a p of 4e-4.
EVEN_WINDOWS = (1, 3, 6)
# S07: equal hours and even gaps.
LEAST_RUN = 4
LEAST_RUN_MEAN = 20
LARGEST_RUN_P = 1e-4
LEAST_GAPS = 60
# S08: from half a ballot a minute on the rate around a second is known.
LEAST_BURST_ACTS = 30
# Above it time stamps are those of blocks, not of acts.
LARGEST_SHARED = 0.05
# S09: what one hour may have by chance, and what has to be expected of it.
LARGEST_GAP_NUMBER = 1e-4
LEAST_EXPECTED = 8
# So many silent at once, and half of all that are judged, are one outage of the platform.
LEAST_TOGETHER = 5


@dataclass(frozen=True, slots=True)
class Moments:
    """Of one series, one row per constituency and one column per hour; NaN where none.

    A ballot is one of HourlyStats, an act one transaction with any number of them.
    """

    ballots: Floats
    acts: Floats
    # Σ (x − mean)² / mean of the minutes, apart for each ten, and its degrees of freedom.
    dispersion: Floats
    freedom: Floats
    # The most surprising second: its acts, which it is, and acts per second around it.
    burst_acts: Floats
    burst_second: Floats
    burst_rate: Floats
    # Most acts of one millisecond, and acts whose time stamp another one has, too.
    in_moment: Floats
    shared: Floats
    # Standard deviation by mean of the gaps between acts.
    gap_variation: Floats
    # Longest time without an act, from the hour's start and to its end, too.
    longest_gap_ms: Floats
    longest_gap_start_ms: Floats


FIGURES = tuple(field.name for field in fields(Moments))


def shared_share(*series: Moments) -> float:
    """Return the share of acts whose time stamp another act of the contract has, too.

    Of true milliseconds less than a thousandth has by chance.
    """
    acts = sum(float(np.nansum(moments.acts)) for moments in series)
    shared = sum(float(np.nansum(moments.shared)) for moments in series)
    return shared / acts if acts else 0.0


@dataclass(frozen=True, slots=True)
class Evenness:
    """S06: minutes that are more alike than chance lets them be."""

    windows: tuple[int, ...]
    # D and its degrees of freedom by window (window, constituency, hour), the lower tail.
    dispersion: Floats
    freedom: Floats
    p_by_window: Floats
    # All windows together; NaN where the hour has no block to compare.
    p: Floats

    @property
    def strongest(self) -> Ints:
        """Return the place of the most surprising window."""
        place: Ints = np.nan_to_num(self.p_by_window, nan=2.0).argmin(axis=0)
        return place


def evenness(
    moments: Moments, panel: Panel, *, windows: tuple[int, ...] = EVEN_WINDOWS
) -> Evenness:
    """Compare the minutes of windows of hours with those of a Poisson flow, S06.

    D of several hours add up, and so do their degrees of freedom. Real flows vary more than
    a Poisson, so p is too large for them, never too small.
    """
    freedom = np.where(panel.is_open, np.nan_to_num(moments.freedom), 0.0)
    dispersion = np.where(freedom > 0, np.nan_to_num(moments.dispersion), 0.0)
    hours = np.arange(freedom.shape[1])
    starts = [np.maximum(0, hours + 1 - window) for window in windows]
    sums, frees = (
        np.stack([total[:, 1:] - total[:, start] for start in starts])
        for total in (running_sums(dispersion), running_sums(freedom))
    )
    # Sums of hours that took place and were subtracted again leave crumbs below zero.
    sums = np.maximum(sums, 0.0)
    p = np.where(freedom > 0, special.chdtr(np.maximum(frees, 1), sums), np.nan)
    return Evenness(windows, sums, frees, p, cauchy_combination(p))


def bursts(moments: Moments, panel: Panel) -> Floats:
    """Return P(any second of the hour holds so many), by the rate around it, S08."""
    is_tested = panel.is_open & (moments.acts >= LEAST_BURST_ACTS)
    of_bin = poisson_upper(
        np.where(is_tested, moments.burst_acts, 0),
        np.where(is_tested, moments.burst_rate, 1.0),
    )
    with np.errstate(divide="ignore"):
        of_hour = -np.expm1(SECONDS_OF_HOUR * np.log1p(-of_bin))
    return np.where(is_tested, of_hour, np.nan)


def gap_limits(moments: Moments) -> Floats:
    """Return the variation below which the gaps of an hour are too even; NaN below 60."""
    gaps = np.where(moments.acts > LEAST_GAPS, moments.acts - 1, np.nan)
    limits: Floats = 1 - 4 / np.sqrt(gaps)
    return limits


def even_gaps(moments: Moments, panel: Panel) -> Truths:
    """Tell in which hours acts follow one another too evenly, S07.

    Not where time stamps are shared: those of blocks are even by themselves.
    """
    is_own = moments.shared < LARGEST_SHARED * moments.acts
    is_even = moments.gap_variation < gap_limits(moments)
    return np.asarray(panel.is_open & is_own & is_even, bool)


@dataclass(frozen=True, slots=True)
class Run:
    """Hours in a row with one count; columns of the panel, both included."""

    row: int
    start: int
    end: int
    count: int
    # P(so many are equal) of a Poisson flow.
    p: float


def equal_runs(panel: Panel) -> list[Run]:
    """Return the runs of four and more equal hours that are rare enough, S07."""
    counts = np.where(panel.is_open, panel.counts, -1)
    is_start = np.ones(counts.shape, bool)
    is_start[:, 1:] = counts[:, 1:] != counts[:, :-1]
    rows, starts = np.nonzero(is_start)
    # The next start, or the end of the row.
    ends = np.append(starts[1:], 0)
    ends = np.where(ends == 0, counts.shape[1], ends) - 1
    values = counts[rows, starts]
    is_long = (ends - starts + 1 >= LEAST_RUN) & (values >= LEAST_RUN_MEAN)
    runs = [
        Run(row, start, end, count, equal_run_probability(end - start + 1, mean=count))
        for row, start, end, count in zip(
            *(column[is_long].tolist() for column in (rows, starts, ends, values)),
            strict=True,
        )
    ]
    return [run for run in runs if run.p <= LARGEST_RUN_P]


@dataclass(frozen=True, slots=True)
class Silences:
    """S09: the longest time without an act inside each hour; NaN where nothing is said."""

    # Acts that S01 let expect, and the relative variance of that beyond chance.
    expected: Floats
    spread: Floats
    # How many gaps at least so long such an hour has on average.
    number: Floats

    @property
    def is_flagged(self) -> Truths:
        """Tell where the gap is too long for chance."""
        return np.asarray(self.number <= LARGEST_GAP_NUMBER, bool)

    @property
    def is_of_all(self) -> Truths:
        """Tell in which hours it is so many that the platform was silent."""
        silent = np.count_nonzero(self.is_flagged, axis=0)
        judged = np.count_nonzero(~np.isnan(self.number), axis=0)
        return np.asarray((silent >= LEAST_TOGETHER) & (2 * silent >= judged), bool)


def silences(moments: Moments, flow: Flow, panel: Panel) -> Silences:
    """Compare the longest gap of each hour with the flow that S01 expects of it, S09.

    The rate is that of the hour among the peers, uncertain as S01 says: (1 + v r T)^(−1/v)
    for exp(−r T). Neither of the hours of opening and close, nor of one without enough
    acts: a silent hour is S01's. Where the close lies beyond the columns, or nobody tells
    it, a gap to the end of an hour counts only where ballots follow.
    """
    columns = np.arange(panel.counts.shape[1])
    is_full = (columns > panel.opens[:, None]) & (columns < panel.closes[:, None])
    ratio = moments.acts / np.where(moments.ballots > 0, moments.ballots, np.nan)
    expected = flow.mean * ratio
    spread = np.maximum(flow.variance - flow.mean, 0) / flow.mean**2
    is_judged = (
        is_full
        & panel.is_open
        & (moments.acts >= LEAST_BALLOTS)
        & (expected >= LEAST_EXPECTED)
        & ~_may_be_the_close(moments, panel)
    )
    arrivals = expected * moments.longest_gap_ms / 1000 / SECONDS_OF_HOUR
    safe = np.maximum(spread, 1e-6)
    number = (expected + 1) * np.exp(-np.log1p(safe * arrivals) / safe)
    return Silences(
        *(
            np.where(is_judged, figures, np.nan)
            for figures in (expected, spread, number)
        )
    )


def _may_be_the_close(moments: Moments, panel: Panel) -> Truths:
    """Tell where nothing follows the longest gap, and nobody knows a close yet."""
    ends_ms = moments.longest_gap_start_ms + moments.longest_gap_ms
    is_followed = np.zeros(panel.counts.shape, bool)
    is_followed[:, :-1] = panel.known_counts[:, 1:] > 0
    is_unknown = panel.closes[:, None] >= panel.counts.shape[1]
    return np.asarray(
        is_unknown & ~is_followed & (ends_ms >= 1000 * SECONDS_OF_HOUR), bool
    )
