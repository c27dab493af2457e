"""P02: does the leader win more where more people vote?"""

from dataclasses import dataclass

import numpy as np

from anomalies.rules.stations import SMALLEST_STATION, Stations

# Of a region: a line through fewer stations says little.
LEAST_STATIONS = 50


@dataclass(frozen=True, slots=True)
class Correlation:
    """How the share of the leader goes with turnout. There is no honest p-value."""

    stations: int
    # Pearson's r.
    r: float
    # Points of share per point of turnout, by least squares.
    slope: float

    @property
    def is_strong(self) -> bool:
        """Tell whether it is stronger than different kinds of places explain alone.

        Within one region: in a whole country town and village differ.
        """
        return self.r > 0.5 and self.slope > 0.4

    @property
    def is_notable(self) -> bool:
        """Tell whether it is stronger than in the clean elections that were looked at."""
        return self.r > 0.3 and self.slope > 0.2


@dataclass(frozen=True, slots=True)
class RegionCorrelation:
    """P02 of one region."""

    name: str
    correlation: Correlation


def turnout_correlation(stations: Stations) -> Correlation | None:
    """Return r and slope over stations with at least 100 people on the register.

    None where fewer than three are left, or all are alike.
    """
    counted = stations.counted(smallest=SMALLEST_STATION)
    if counted.size < 3:
        return None
    turnout = counted.turnout - counted.turnout.mean()
    share = counted.share - counted.share.mean()
    squares = float(turnout @ turnout), float(share @ share)
    if min(squares) < 1e-12:
        return None
    product = float(turnout @ share)
    r = product / float(np.sqrt(squares[0] * squares[1]))
    return Correlation(counted.size, r=r, slope=product / squares[0])


def turnout_correlations(stations: Stations) -> tuple[RegionCorrelation, ...]:
    """Return the regions with 50 stations or more, the strongest correlation first."""
    if stations.regions is None:
        return ()
    regions = stations.regions
    found = (
        RegionCorrelation(name, correlation)
        for code, name in enumerate(regions.names)
        if (correlation := turnout_correlation(stations.take(regions.codes == code)))
        and correlation.stations >= LEAST_STATIONS
    )
    return tuple(sorted(found, key=lambda region: -region.correlation.r))
