"""Random numbers that depend on the seed and on a place, never on the order of work.

Two kinds: generators with a path of numbers, for what happens when; and a stateless mixer
of (key, serial), for texts. A row can therefore be written again anywhere, in another
hour, another process, byte for byte.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

# The finaliser and increments of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


class Stream(IntEnum):
    """First number of a generator's path: what it is for. Never renumber."""

    WORLD = 1
    SELECTION = 2
    DISTRICT = 3
    CONTRACT = 4
    SETUP = 5
    FAULT = 6
    INJECTION = 7


def generator(seed: int, stream: Stream, *path: int) -> np.random.Generator:
    """Return the generator at one place of the tree of `seed`."""
    return np.random.default_rng([seed, int(stream), *path])


def key_of(seed: int, stream: Stream, *path: int) -> int:
    """Return a 64-bit key for the texts of one place."""
    state = np.random.SeedSequence([seed, int(stream), *path])
    return int(state.generate_state(1, np.uint64)[0])


def mixed(values: Words) -> Words:
    """Return 64 well-stirred bits for each value."""
    values = (values ^ (values >> np.uint64(30))) * _MIX_1
    values = (values ^ (values >> np.uint64(27))) * _MIX_2
    return values ^ (values >> np.uint64(31))


def words(*, key: int, serials: Ints, count: int) -> Words:
    """Return `count` random words for each serial, one row per serial."""
    base = mixed(serials.astype(np.uint64) * _GOLDEN + np.uint64(key))
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    return mixed(base[:, None] + steps)
