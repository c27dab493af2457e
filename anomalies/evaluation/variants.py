"""Elections that break one assumption each, to see what that does to false alarms.

Counts only: Poisson around the curve of the vote, with shocks. Sizes and shocks follow
ANOMALIES 5.3, which named them to try the reference detector.
"""

from collections.abc import Callable

import numpy as np

from anomalies.rules.counts import Floats
from anomalies.rules.panels import Panel
from transactions.simulator.flow import hourly_curve

DAYS = 3
TURNOUT = 0.88
# Shocks of the hour: of the constituency alone, and common to all.
OWN, COMMON = 0.02, 0.01
Rng = np.random.Generator


def _sizes(rng: Rng, constituencies: int) -> Floats:
    drawn = np.exp(rng.normal(np.log(5000), 0.9, constituencies))
    sizes: Floats = np.floor(np.clip(drawn, 300, 100_000))
    return sizes


def _gamma(rng: Rng, dispersion: float, shape: tuple[int, ...]) -> Floats:
    return rng.gamma(1 / dispersion, dispersion, shape)


def _shocked(
    rng: Rng, constituencies: int, own: float = OWN, common: float = COMMON
) -> tuple[Floats, Floats]:
    hours = len(hourly_curve(DAYS))
    shocks = _gamma(rng, own, (constituencies, hours)) * _gamma(rng, common, (hours,))
    return _sizes(rng, constituencies), shocks


def _plain(rng: Rng, constituencies: int = 200) -> tuple[Floats, Floats]:
    return _shocked(rng, constituencies)


def _wild(rng: Rng) -> tuple[Floats, Floats]:
    return _shocked(rng, 200, own=0.10)


def _calm(rng: Rng) -> tuple[Floats, Floats]:
    return _shocked(rng, 200, own=0.001, common=0.001)


def _tiny(rng: Rng) -> tuple[Floats, Floats]:
    _, shocks = _shocked(rng, 200)
    return rng.integers(100, 800, 200).astype(float), shocks


def _hanging_together(rng: Rng) -> tuple[Floats, Floats]:
    """Draw shocks of 17 % that go on: half of an hour's is left in the next."""
    voters, shocks = _shocked(rng, 200, own=1e-4)
    steps = rng.normal(0, 0.17 * np.sqrt(0.75), shocks.shape)
    course = np.zeros_like(shocks)
    for hour in range(shocks.shape[1]):
        before = course[:, hour - 1] if hour else 0.0
        course[:, hour] = 0.5 * before + steps[:, hour]
    return voters, shocks * np.exp(course - 0.17**2 / 2)


def _drifting(rng: Rng) -> tuple[Floats, Floats]:
    """Draw levels that walk at random, 4 % an hour."""
    voters, shocks = _shocked(rng, 200)
    return voters, shocks * np.exp(np.cumsum(rng.normal(0, 0.04, shocks.shape), axis=1))


VARIANTS: dict[str, Callable[[Rng], tuple[Floats, Floats]]] = {
    "as assumed": _plain,
    "20 constituencies": lambda rng: _plain(rng, 20),
    "50 constituencies": lambda rng: _plain(rng, 50),
    "shocks of .10 instead of .02": _wild,
    "hardly any shocks": _calm,
    "100 to 800 voters each": _tiny,
    "shocks that last (AR(1), .5)": _hanging_together,
    "levels that drift 4 % an hour": _drifting,
}


def variant(name: str, *, seed: int) -> Panel:
    """Return one election of the variant."""
    rng = np.random.default_rng(seed)
    voters, shocks = VARIANTS[name](rng)
    means = voters[:, None] * TURNOUT * hourly_curve(DAYS) * shocks
    rows = len(voters)
    return Panel(
        counts=rng.poisson(means),
        is_known=np.ones(means.shape, bool),
        voters=voters,
        groups=np.zeros(rows, dtype=np.int64),
        electorates=np.arange(rows),
        opens=np.zeros(rows, dtype=np.int64),
        closes=np.full(rows, means.shape[1]),
        first_clock=np.full(rows, 8),
    )
