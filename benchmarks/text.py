"""Random texts of the ledger's alphabets, made fast."""

import numpy as np

BASE58 = np.frombuffer(
    b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", dtype="S1"
)
BASE64 = np.frombuffer(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", dtype="S1"
)
HEX = np.frombuffer(b"0123456789abcdef", dtype="S1")
ID_LENGTH, KEY_LENGTH = 44, 88


def filler(rng: np.random.Generator, alphabet: np.ndarray, length: int) -> bytes:
    """Return one long text to cut pieces from."""
    return alphabet[rng.integers(0, len(alphabet), length)].tobytes()


def texts(
    rng: np.random.Generator, alphabet: np.ndarray, length: int, count: int
) -> list[bytes]:
    """Return `count` texts of one length."""
    joined = filler(rng, alphabet, length * count)
    return [joined[at : at + length] for at in range(0, len(joined), length)]
