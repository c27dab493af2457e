"""Elections of numbers, for the rules that compare flows."""

import numpy as np

from anomalies.rules.panels import Panel

# Share of a constituency's ballots per hour, from an opening at 8.
_DAY = (19, 12, 10, 7, 5, 4, 4, 3, 3, 3, 3, 2, 2, 1, 1, 0.5)
_NIGHT = (0.2, 0.1, 0.1, 0.1, 0.1, 0.2, 0.4, 0.8)
_SECOND_DAY = (1, 1, 1.4, 1.6, 1.2, 1, 0.9, 0.8, 0.8, 0.7, 0.6, 0.6)
CURVE = np.array((*_DAY, *_NIGHT, *_SECOND_DAY))
CURVE = CURVE / CURVE.sum()
DISPERSION = 0.03


def election(
    *,
    constituencies=120,
    seed=1,
    voters=4000,
    twins=1,
    dispersion=DISPERSION,
):
    """Return a panel by chance: negative binomial hours around a common curve.

    With `twins` every so many constituencies have nearly the same people.
    """
    rng = np.random.default_rng(seed)
    districts = constituencies // twins
    sizes = np.full(districts, voters) * rng.lognormal(0, 0.3, districts)
    shocks = rng.gamma(1 / dispersion, dispersion, (districts, len(CURVE)))
    counts = rng.poisson(sizes[:, None] * 0.9 * CURVE * shocks)
    apart = rng.binomial(1, 0.02, (constituencies, len(CURVE)))
    return panel(
        np.repeat(counts, twins, axis=0) + (apart if twins > 1 else 0),
        voters=np.repeat(sizes.astype(int), twins),
        electorates=np.repeat(np.arange(districts), twins),
    )


def panel(
    counts,
    *,
    voters,
    electorates=None,
    groups=None,
    is_known=None,
    opens=None,
    closes=None,
):
    counts = np.asarray(counts)
    rows = len(counts)
    return Panel(
        counts=counts,
        is_known=np.ones(counts.shape, bool) if is_known is None else is_known,
        voters=np.asarray(voters, float),
        groups=np.zeros(rows, int) if groups is None else np.asarray(groups),
        electorates=np.arange(rows) if electorates is None else np.asarray(electorates),
        opens=np.zeros(rows, int) if opens is None else np.asarray(opens),
        closes=np.full(rows, counts.shape[1]) if closes is None else np.asarray(closes),
        first_clock=np.full(rows, 8),
    )


def changed(before, *, row, hour, by=0, to=None):
    """Return the panel with one count changed."""
    counts = before.counts.copy()
    counts[row, hour] = np.maximum(counts[row, hour] + by, 0) if to is None else to
    return panel(
        counts,
        voters=before.voters,
        electorates=before.electorates,
        groups=before.groups,
        is_known=before.is_known,
        opens=before.opens,
    )
