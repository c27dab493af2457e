"""Lines of a stream of any size, in bounded memory."""

from collections.abc import Iterator
from typing import BinaryIO

# Read at once: 64 kB to 1 MB cost the same 1.0 µs per row of 3.45 kB, 4 MB costs 1.1.
PIECE_BYTES = 1 << 20

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def bounded_lines(stream: BinaryIO, *, limit: int) -> Iterator[bytes]:
    r"""Yield each line of `stream` without its "\n".

    A line longer than `limit` bytes comes cut to `limit + 1` bytes, so that its length
    tells; the rest of it is skipped. A byte order mark at the start is dropped.
    """
    lines = _lines(stream, limit + 1)
    for first in lines:
        yield first.removeprefix(BYTE_ORDER_MARK)
        break
    yield from lines


def _lines(stream: BinaryIO, longest: int) -> Iterator[bytes]:
    # The start of a line that continues in the next piece.
    carried = bytearray()
    while piece := stream.read(PIECE_BYTES):
        start = 0
        # find() searches with memchr; split() would walk byte by byte, 3 µs per row.
        while (end := piece.find(b"\n", start)) >= 0:
            if carried:
                carried += piece[start:end]
                yield bytes(carried[:longest])
                carried.clear()
            else:
                yield piece[start:end][:longest]
            start = end + 1
        carried += piece[start:]
        del carried[longest:]
    if carried:
        yield bytes(carried)
