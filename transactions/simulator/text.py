"""Identifiers and filler of the right alphabet and length, cheap to make.

Identifiers are drawn digit by digit rather than encoded: a Base58 text is a number, and
bounding its first digits keeps it within 32 or 64 bytes.
"""

from functools import cache

import numpy as np

from transactions.simulator.randomness import Ints, words

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_HEX = "0123456789abcdef"

# Number of places where a piece of filler can begin; the pool is longer by one piece.
POOL_PLACES = 1 << 20
LONGEST_PIECE = 1 << 14

# Length of the text, and how many digits may stand first so that the number still fits
# 32 or 64 bytes: 17 * 58**43 < 2**256 and 5 * 58**87 < 2**512.
_ID = (44, 17)
_PUBLIC_KEY = (88, 5)


def transaction_ids(*, key: int, serials: Ints) -> list[str]:
    """Return Base58 texts of 32 bytes, 43 or 44 characters."""
    return _base58(key=key, serials=serials, length=_ID[0], firsts=_ID[1])


def public_keys(*, key: int, serials: Ints) -> list[str]:
    """Return Base58 texts of 64 bytes, 87 or 88 characters."""
    length, firsts = _PUBLIC_KEY
    # The complement keeps a key apart from the id of the transaction with its number.
    return _base58(
        key=~key & (2**64 - 1), serials=serials, length=length, firsts=firsts
    )


def _base58(*, key: int, serials: Ints, length: int, firsts: int) -> list[str]:
    count = -(-length // 8)
    drawn = words(key=key, serials=serials, count=count).astype("<u8")
    raw = drawn.view(np.uint8).reshape(len(serials), 8 * count)[:, :length]
    digits = raw % 58
    digits[:, 0] = raw[:, 0] % firsts
    # Never a zero in the second place: where the first is one, it is dropped, and what
    # remains must still fill all of its bytes.
    digits[:, 1] = 4 + raw[:, 1] % 54
    joined = _alphabet()[digits].tobytes().decode("ascii")
    return [
        joined[at : at + length].lstrip("1") for at in range(0, len(joined), length)
    ]


@cache
def _alphabet() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(BASE58.encode("ascii"), dtype=np.uint8)


def hashes(*, key: int, serials: Ints) -> list[str]:
    """Return texts of 64 hexadecimal digits."""
    joined = words(key=key, serials=serials, count=4).astype("<u8").tobytes().hex()
    return [joined[at : at + 64] for at in range(0, len(joined), 64)]


def places(*, key: int, serials: Ints) -> list[int]:
    """Return where in a pool the filler of each serial begins."""
    drawn = words(key=key, serials=serials, count=1)[:, 0] % np.uint64(POOL_PLACES)
    return [int(place) for place in drawn.tolist()]


@cache
def pool(alphabet: str) -> str:
    """Return filler to cut pieces from, the same in every process."""
    letters = np.frombuffer(alphabet.encode("ascii"), dtype=np.uint8)
    size = POOL_PLACES + LONGEST_PIECE
    drawn = np.random.default_rng(len(alphabet)).integers(len(letters), size=size)
    return letters[drawn].tobytes().decode("ascii")


def base64_pool() -> str:
    """Return Base64 filler; every piece of a length divisible by four is valid."""
    return pool(BASE64)


def hex_pool() -> str:
    """Return hexadecimal filler."""
    return pool(_HEX)


def base58_pool() -> str:
    """Return Base58 filler for signatures and addresses."""
    return pool(BASE58)
