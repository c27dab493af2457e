"""What the readers share: checks of single fields, and the building of blocks."""

from collections.abc import Callable, Iterable
from hashlib import blake2b

from transactions.formats.columns import (
    Block,
    Blocks,
    ContractTerms,
    Rejection,
    Statements,
)
from transactions.formats.errors import RowRefused
from transactions.formats.reasons import Reason, excerpt

# Addresses and ids have 42 to 88 characters; other ledgers may need a little more.
LONGEST_ID = 128
# A vote takes up to 14 kB and a list of 300 voters 20 kB. This leaves room for lists many
# times longer, while the parsed JSON of one line still fits in memory.
MAX_LINE_BYTES = 16 << 20
# 2000-01-01 and 2100-01-01, in milliseconds since 1970.
EARLIEST_MS = 946_684_800_000
END_OF_TIME_MS = 4_102_444_800_000
# One transaction of a list holds 300 voters; a country's register fits in a hundred lists.
LARGEST_QUANTITY = 1_000_000
# A polling station is a region code and a number; this leaves room for other countries.
_LONGEST_STATION = 64
# Refused lines and recipients can be many times larger than plain rows: a block ends
# early rather than hold a gigabyte of them.
_HEAVY_BLOCK_BYTES = 64 << 20

# line, tx id, ms, operation, outcome, quantity, sender, recipients, polling station,
# payload, rolled back: the columns of Statements without the contract.
Row = tuple[
    int,
    str,
    int,
    int,
    int,
    int,
    bytes | None,
    bytes | None,
    str,
    bytes | None,
    bool,
]


class BlockBuilder:
    """Collects rows, rejections and terms until they make a block.

    A row is one tuple until then, so a line refused half-way leaves no uneven columns.
    """

    def __init__(self, block_rows: int) -> None:
        self._block_rows = block_rows
        self._clear()

    def _clear(self) -> None:
        self.rows: list[Row] = []
        self.contracts: list[str] = []
        # Of formats only that let a row state its position; one for each row.
        self.positions: list[int | None] = []
        self.terms: list[ContractTerms] = []
        self._rejections: list[Rejection] = []
        self.heavy_bytes = 0

    @property
    def is_full(self) -> bool:
        return (
            len(self.rows) + len(self._rejections) >= self._block_rows
            or self.heavy_bytes > _HEAVY_BLOCK_BYTES
        )

    def reject(self, line: int, refused: RowRefused, raw: bytes) -> None:
        """Account for a line that could not be read."""
        text, is_cut = excerpt(raw)
        rejection = Rejection(line, refused.code, str(refused), text, is_cut)
        self._rejections.append(rejection)
        self.heavy_bytes += 4 * len(text)

    def take(self) -> Block:
        """Return what has been collected and start anew."""
        block = Block(_columns(self.rows, self.contracts), self._rejections, self.terms)
        block.statements.position = self.positions
        self._clear()
        return block

    def take_rest(self) -> Blocks:
        """Yield the last block, unless nothing is left for it."""
        if self.rows or self._rejections:
            yield self.take()


def _columns(rows: list[Row], contracts: list[str]) -> Statements:
    if not rows:
        return Statements()
    line, *others = map(list, zip(*rows, strict=True))
    return Statements(line, contracts, *others)


def collect(
    lines: Iterable[bytes],
    parse: Callable[[int, bytes, BlockBuilder], None],
    *,
    block_rows: int,
    max_line_bytes: int,
    first_line: int = 1,
) -> Blocks:
    """Yield blocks of what `parse` makes of `lines`; a line that it refuses is a rejection.

    `parse` adds at most one row per line, and none for a blank one.
    """
    builder = BlockBuilder(block_rows)
    for number, line in enumerate(lines, start=first_line):
        try:
            if len(line) > max_line_bytes:
                raise RowRefused(Reason.LINE_TOO_LONG, limit=max_line_bytes)
            parse(number, line, builder)
        except RowRefused as refused:
            builder.reject(number, refused, line)
        if builder.is_full:
            yield builder.take()
    yield from builder.take_rest()


def digest(data: bytes) -> bytes:
    """Return the 16 bytes that stand for `data` in the ledger."""
    return blake2b(data, digest_size=16).digest()


def checked_id(text: str, field: str) -> str:
    """Return `text` if it can be an id.

    Raises:
        RowRefused: it is empty, too long, or holds a NUL, which PostgreSQL cannot store.
    """
    if not text:
        raise RowRefused(Reason.EMPTY_ID, field=field)
    if len(text) > LONGEST_ID:
        raise RowRefused(Reason.ID_TOO_LONG, field=field, limit=LONGEST_ID)
    if "\0" in text:
        raise RowRefused(Reason.ID_WITH_NUL, field=field)
    return text


def checked_ms(milliseconds: int) -> int:
    """Return `milliseconds` if they lie in this century.

    Raises:
        RowRefused: they do not.
    """
    if EARLIEST_MS <= milliseconds < END_OF_TIME_MS:
        return milliseconds
    raise RowRefused(Reason.TIMESTAMP_OUT_OF_RANGE)


def station_text(value: object) -> str:
    """Return the part of a polling station's code that `value` tells, "" for none.

    A number or a short printable text; anything else tells nothing. It does not refuse
    the row, since no figure depends on the polling station.
    """
    if type(value) is int:
        return str(value)
    if type(value) is not str:
        return ""
    text = value.strip()
    return text if len(text) <= _LONGEST_STATION and text.isprintable() else ""
