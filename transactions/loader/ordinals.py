"""Ordinals in files that are too long for one chunk."""

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
NO_KEYS: Keys = np.empty(0, dtype=np.uint64)


class OrdinalCounter:
    """Remembers which statements of a file were met, in eight bytes each.

    A 2 GB export holds 600,000 lines, so this takes 5 MB.
    """

    def __init__(self) -> None:
        self._sorted = NO_KEYS

    def __len__(self) -> int:
        return len(self._sorted)

    def met_before(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Return how often each key was remembered so far."""
        first = np.searchsorted(self._sorted, keys, side="left")
        behind = np.searchsorted(self._sorted, keys, side="right")
        return behind - first

    def remember(self, keys: Keys) -> None:
        """Add the keys of one more piece of the file."""
        added = np.sort(keys)
        self._sorted = np.insert(
            self._sorted, np.searchsorted(self._sorted, added), added
        )
