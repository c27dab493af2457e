"""What a reader needs to compute an alert of the rules of flow again, a year later.

Everything is a plain number or a text: it is stored as JSON, beside the alert.
"""

import math
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
from scipy import stats

from anomalies.rules.ballots import tails
from anomalies.rules.flow import Flow, two_sided
from anomalies.rules.verdicts import Series
from anomalies.services.panels import Panels

# Peers whose keys are written down; all are counted.
PEERS_SHOWN = 50
INTERVAL = 0.95
LIBRARIES = ("numpy", "scipy")


def number(value: float) -> float | None:
    """Return a figure that JSON can hold; None for what is none."""
    return float(value) if math.isfinite(value) else None


def storable(value: Any) -> Any:
    """Return evidence as PostgreSQL can hold it: no NaN or infinity, no NUL, plain types."""
    if isinstance(value, Mapping):
        return {str(name): storable(part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return [storable(part) for part in value]
    if isinstance(value, np.generic):
        return storable(value.item())
    if isinstance(value, float):
        return number(value)
    if value is None or isinstance(value, bool | int):
        return value
    # Half of a pair of UTF-16 is no text.
    text = str(value).encode("utf-8", "replace").decode()
    return text.replace("\0", "\\0")


@cache
def software() -> Mapping[str, str]:
    """Return what computed it; read from the disk once."""
    return {name: version(name) for name in LIBRARIES}


def interval(*, counted: float, mean: float, variance: float) -> list[float]:
    """Return the range of ballots too many (or too few) that chance leaves open."""
    spread = max(variance, mean * 1.0001)
    size, p = mean * mean / (spread - mean), mean / spread
    tail = (1 - INTERVAL) / 2
    low, high = stats.nbinom.ppf([tail, 1 - tail], size, p)
    return [float(counted - high), float(counted - low)]


def flow_evidence(
    panels: Panels, series: Series, name: str, row: int, hour: int
) -> dict[str, Any]:
    """Return what S01 compared in the hour that was the most surprising."""
    flow = series.flow
    windows = [
        _window(panels, flow, place, row, hour)
        for place in range(len(flow.windows))
        if not np.isnan(flow.scores[place, row, hour])
    ]
    return {
        "series": name,
        "method": "p of a window: two-sided from score = negative binomial mid-p as a "
        "normal score, divided by scale; p: Cauchy combination of the windows",
        "hour": panels.hour(hour).isoformat(),
        "windows": windows,
        "dispersion": number(flow.dispersion[row, hour]),
        **_peers(panels, series, row),
    }


def _window(
    panels: Panels, flow: Flow, place: int, row: int, hour: int
) -> dict[str, Any]:
    at = (place, row, hour)
    counted, mean, variance = (
        float(figures[at]) for figures in (flow.counted, flow.expected, flow.variances)
    )
    return {
        "hours": flow.windows[place],
        "from": panels.hour(hour + 1 - flow.windows[place]).isoformat(),
        "counted": counted,
        "expected": mean,
        "variance": variance,
        "scale": float(flow.scale[place, hour]),
        "score": float(flow.scores[at]),
        "p": float(two_sided(flow.scores[at])),
        "excess_interval": interval(counted=counted, mean=mean, variance=variance),
    }


def night_evidence(
    panels: Panels, series: Series, name: str, row: int, hour: int
) -> dict[str, Any]:
    """Return what S02 compared: the hours from midnight on."""
    clock = int(series.panel.first_clock[row] + hour) % 24
    start = max(0, hour - clock)
    sums = series.flow.sums
    counted, mean, variance = (
        float(figures[0])
        for figures in sums.between(
            np.array([row]), np.array([start]), np.array([hour])
        )
    )
    return {
        "series": name,
        "method": "two-sided p of the negative binomial mid-p of the hours from midnight",
        "from": panels.hour(start).isoformat(),
        "hour": panels.hour(hour).isoformat(),
        "counted": counted,
        "expected": mean,
        "variance": variance,
        "excess_interval": interval(counted=counted, mean=mean, variance=variance),
        **_peers(panels, series, row),
    }


def gap_evidence(
    panels: Panels, series: Series, name: str, row: int, hour: int
) -> dict[str, Any]:
    """Return what S15 compared: the ballots of the district's other contracts."""
    gaps = series.gaps
    members = series.panel.electorates
    twins = np.flatnonzero(members == members[row])
    return {
        "series": name,
        "method": "p of a window: twice the upper tail of a negative binomial of mean "
        "and variance, from the ballots apart, rounded up; p: Cauchy combination",
        "hour": panels.hour(hour).isoformat(),
        "twins": [int(panels.ids[twin]) for twin in twins if twin != row],
        "share_apart": float(gaps.share[hour]),
        "windows": [
            {
                "hours": gaps.windows[place],
                "apart": float(gaps.apart[place, row, hour]),
                "twins_had": float(gaps.twins[place, row, hour]),
                "mean": float(gaps.expected[place, row, hour]),
                "variance": float(gaps.variances[place, row, hour]),
                "p": float(
                    tails(
                        gaps.apart[place, row, hour],
                        gaps.expected[place, row, hour],
                        gaps.variances[place, row, hour],
                    )
                ),
            }
            for place in range(len(gaps.windows))
            if not np.isnan(gaps.apart[place, row, hour])
        ],
    }


def _peers(panels: Panels, series: Series, row: int) -> Mapping[str, Any]:
    panel = series.panel
    peers = np.flatnonzero(
        (panel.groups == panel.groups[row])
        & (panel.electorates != panel.electorates[row])
    )
    return {
        "voters": number(panel.voters[row]),
        "peer_count": len(peers),
        "peers": [int(panels.ids[peer]) for peer in peers[:PEERS_SHOWN]],
    }
