"""S16: bulletins are issued, and their votes do not arrive, anywhere.

A platform can fail to record votes for a while and deliver them later: in September 2026
5,382 bulletins and 279 votes in three hours, then 4,255 votes for 1,424 bulletins in the
next. Peers cannot tell, because it strikes all of them.
"""

from dataclasses import dataclass

import numpy as np

from anomalies.rules.counts import Floats

# Of the bulletins of an hour 94 % and more are cast within it, in the opening hour too.
USUAL_SHARE = 0.95
# Below this votes do not arrive; from this on they do again.
OUTAGE_SHARE, RESTORED_SHARE = 0.5, 0.8
# Fewer bulletins tell nothing of an hour.
LEAST_ISSUED = 100
# Later than in the hour after, the usual votes are too many to see the late ones among them.
RETURN_HOURS = 1


@dataclass(frozen=True, slots=True)
class CastOutage:
    """Hours in a row in which votes did not arrive; both ends included."""

    start: int
    end: int
    issued: float
    cast: float
    # Votes that should have come, and those of them that came in the hour after.
    missing: float
    returned: float
    # Whether votes arrive again.
    is_over: bool


def cast_outages(issued: Floats, cast: Floats) -> list[CastOutage]:
    """Return the outages among the totals of hours in a row."""
    share = cast / np.maximum(issued, 1)
    is_out = (issued >= LEAST_ISSUED) & (share < OUTAGE_SHARE)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_out.astype(int), [0]])))
    return [
        _outage(issued, cast, int(start), int(end) - 1)
        for start, end in zip(edges[::2], edges[1::2], strict=True)
    ]


def _outage(issued: Floats, cast: Floats, start: int, end: int) -> CastOutage:
    during, after = slice(start, end + 1), slice(end + 1, end + 1 + RETURN_HOURS)
    missing = USUAL_SHARE * issued[during].sum() - cast[during].sum()
    late = cast[after] - USUAL_SHARE * issued[after]
    restored = cast[after] >= RESTORED_SHARE * issued[after]
    return CastOutage(
        start=start,
        end=end,
        issued=float(issued[during].sum()),
        cast=float(cast[during].sum()),
        missing=float(missing),
        returned=float(min(np.maximum(late, 0).sum(), missing)),
        is_over=bool((restored & (cast[after] > 0)).any()),
    )
