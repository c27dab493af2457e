"""P03: the shape of turnout and share over all stations, after Klimek."""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from anomalies.rules.counts import Floats
from anomalies.rules.stations import SMALLEST_STATION, Stations

# Modes below are small villages and spoilt data.
LEAST_MODE = 0.3
# Of the highest density: the tail below the mode of 2018 ripples.
LEAST_HEIGHT = 0.25
GRID = 0.001
BLOCK = 50
LEAST_STATIONS = 100
# Width of the extreme stations below a turnout of 100 %. Source: Klimek.
EXTREME_WIDTH = 0.075
# Cells a side of the picture that the model is fitted to.
SIDE = 50
# Drawn stations: four times as many move f_i by less than .005.
DRAWS = 100_000
SEED = 2012
# Published fits lie between 1.5 and 2.5; larger ones take ordinary stations for shifted.
ALPHAS = (1.0, 1.5, 2.0, 2.5)


@dataclass(frozen=True, slots=True)
class Shape:
    """Where most stations lie and how far the others spread; all fractions."""

    # Turnout and share of most stations.
    tau: float
    nu: float
    # Spread below, where nothing was added.
    sigma_tau: float
    sigma_nu: float
    # Width of what would have been added.
    theta: float


@dataclass(frozen=True, slots=True)
class Mixture:
    """The mixture of ordinary and shifted stations that looks most alike.

    Right to ± .1 at best, and other mixtures look as much alike.
    """

    # Shares of stations shifted a little, and shifted to nearly 100 %.
    f_i: float
    f_e: float
    alpha: float


@dataclass(frozen=True, slots=True)
class Moments:
    """Skewness and kurtosis of the logit of votes for the leader, per voter."""

    skewness: float
    # 3 for a normal distribution; 3.0 to 6.0 in clean elections.
    kurtosis: float


def shape(stations: Stations) -> Shape | None:
    """Return the shape; None where there are few stations, or no mode above .3.

    Spreads are one-sided second moments, that of turnout over stations below both modes.
    Source: Klimek, Yegorov, Hanel and Thurner, PNAS 109 (2012), p. 16469, and its appendix.
    """
    counted = stations.counted()
    if counted.size < LEAST_STATIONS:
        return None
    tau, nu = first_mode(counted.turnout), first_mode(counted.share)
    if tau is None or nu is None:
        return None
    turnout, share = counted.turnout - tau, counted.share - nu
    return Shape(
        tau=tau,
        nu=nu,
        sigma_tau=_root_mean_square(turnout[(turnout < 0) & (share < 0)]),
        sigma_nu=_root_mean_square(share[share < 0]),
        # Twice the root: the appendix says so.
        theta=float(np.sqrt(_root_mean_square(share[share > 0]))),
    )


def first_mode(values: Floats) -> float | None:
    """Return the first large maximum above .3 of a kernel density, on a grid of .001.

    None where there is none between .3 and 1, or all values are equal.
    """
    if np.ptp(values) == 0:
        return None
    density = stats.gaussian_kde(values)
    counts, _ = np.histogram(np.clip(values, 0, 1), bins=20, density=True)
    least = LEAST_HEIGHT * counts.max()
    grid = np.arange(round(LEAST_MODE / GRID) + 1, round(1 / GRID)) * GRID
    has_risen = False
    # In blocks: the density of 95,000 stations takes 2 ms per point, and most are not needed.
    for start in range(0, grid.size - 1, BLOCK):
        points = grid[start : start + BLOCK + 1]
        heights = density(points)
        slopes = np.diff(heights)
        for point, height, slope in zip(points, heights, slopes, strict=False):
            if has_risen and slope < 0 and height >= least:
                return round(float(point), 3)
            has_risen = bool(slope > 0)
    return None


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt((values * values).mean())) if values.size else 0.0


def mixture(stations: Stations, found: Shape) -> Mixture:
    """Return the mixture whose picture is nearest by least squares.

    The picture is linear in f_i and f_e, so no search is needed but that over alpha. Seeded:
    the same stations give the same answer.
    """
    counted = stations.counted()
    observed = picture(counted.turnout, counted.share)
    drawn = _Drawn(found)
    ordinary = drawn.picture(np.zeros(drawn.turnout.size), alpha=1.0)
    fits = (
        (*_fit(observed - ordinary, drawn.shifts(ordinary, alpha=alpha)), alpha)
        for alpha in ALPHAS
    )
    (f_i, f_e), _, alpha = min(fits, key=lambda fit: fit[1])
    total = max(f_i + f_e, 1.0)
    return Mixture(float(f_i / total), float(f_e / total), float(alpha))


def _fit(difference: Floats, shifts: Floats) -> tuple[Floats, float]:
    weights, distance = optimize.nnls(shifts, difference)
    return weights, float(distance)


def picture(turnout: Floats, share: Floats, *, side: int = SIDE) -> Floats:
    """Return the fraction of stations in each cell, turnout by share, as one row."""
    cells = (np.clip(each, 0, 1) * side for each in (turnout, share))
    row, column = (np.minimum(cell.astype(np.int64), side - 1) for cell in cells)
    return np.bincount(row * side + column, minlength=side * side) / turnout.size


class _Drawn:
    """Stations drawn from the model: the same ones, shifted in different ways."""

    def __init__(self, found: Shape) -> None:
        rng = np.random.default_rng(SEED)
        places = rng.uniform(size=(4, DRAWS))
        self.turnout = _normal_within(places[0], found.tau, found.sigma_tau)
        self.share = _normal_within(places[1], found.nu, found.sigma_nu)
        self.little = _half_normal(places[2], found.theta)
        self.extreme = 1 - _half_normal(places[3], EXTREME_WIDTH)

    def picture(self, shift: Floats, *, alpha: float) -> Floats:
        """Return the picture after `shift`, the fraction of absent voters that is added."""
        turnout = self.turnout + shift * (1 - self.turnout)
        moved = shift**alpha * (1 - self.share) * self.turnout
        leader = self.turnout * self.share + (turnout - self.turnout) + moved
        return picture(turnout, leader / np.maximum(turnout, 1e-9))

    def shifts(self, ordinary: Floats, *, alpha: float) -> Floats:
        """Return what each kind of shift changes in the picture, a column each."""
        kinds = (self.little, self.extreme)
        pictures = [self.picture(kind, alpha=alpha) - ordinary for kind in kinds]
        return np.stack(pictures, axis=1)


def _normal_within(places: Floats, mean: float, deviation: float) -> Floats:
    """Return normal values between 0 and 1, by their places among all."""
    if not deviation:
        return np.full(places.size, mean)
    low, high = special.ndtr([-mean / deviation, (1 - mean) / deviation])
    values: Floats = mean + deviation * special.ndtri(low + places * (high - low))
    return values.clip(0, 1)


def _half_normal(places: Floats, width: float) -> Floats:
    """Return |N(0, width)| below 1, by their places among all."""
    if not width:
        return np.zeros(places.size)
    high = special.ndtr(1 / width)
    values: Floats = width * special.ndtri(0.5 + places * (high - 0.5))
    return values.clip(0, 1)


def moments(stations: Stations) -> Moments | None:
    """Return the moments over stations of 100 voters; None where there are fewer than 100.

    Of ln((voters − leader) / leader), so without stations where that is no number.
    """
    counted = stations.counted(smallest=SMALLEST_STATION)
    inside = (counted.leader > 0) & (counted.leader < counted.voters)
    if inside.sum() < LEAST_STATIONS:
        return None
    leader, voters = counted.leader[inside], counted.voters[inside]
    away = np.log((voters - leader) / leader)
    away = away - away.mean()
    variance = float((away**2).mean())
    if variance < 1e-12:
        return None
    skewness = float((away**3).mean()) / variance**1.5
    return Moments(skewness, kurtosis=float((away**4).mean()) / variance**2)
