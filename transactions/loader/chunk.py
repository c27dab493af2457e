"""What one database transaction loads: pieces of files, side by side, as columns."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, repeat
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from transactions.formats import Block, Statements
from transactions.loader.ordinals import Keys, OrdinalCounter
from transactions.models import ImportBatch
from transactions.positions import hour_base, interval_base

MS_PER_HOUR = 3_600_000

# The columns that come from the file as they are.
FILE_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "line": pl.Int32,
    "tx_id": pl.String,
    "timestamp_ms": pl.Int64,
    "operation": pl.Int16,
    "outcome": pl.Int16,
    "quantity": pl.Int32,
    "sender": pl.Binary,
    "recipients": pl.Binary,
    "polling_station": pl.String,
    "payload": pl.Binary,
    "rolled_back": pl.Boolean,
}


@dataclass(frozen=True, slots=True)
class Place:
    """A constituency as the loader needs it."""

    constituency_id: int
    election: str
    contract_id: str
    export_timezone: str


@dataclass(slots=True)
class OpenBatch:
    """A file on its way in: its row in the database, and what its end will need."""

    record: ImportBatch
    ordinals: OrdinalCounter = field(default_factory=OrdinalCounter)
    # Of hourly files only: eight bytes per line, to compare two versions.
    row_hashes: bytearray = field(default_factory=bytearray)
    # Some rows belong to contracts that nobody registered: where the content is kept.
    lacks_constituencies: bool = False
    kept_at: str = ""
    # Refused rows have no other copy, so all of them are kept whole.
    has_no_file: bool = False
    # What is committed so far.
    chunks: int = 0
    rejections: int = 0


@dataclass(slots=True)
class Part:
    """A piece of one file; each statement's constituency, or the one of all."""

    batch: OpenBatch
    block: Block
    constituency_ids: int | Sequence[int]
    is_last: bool

    def place_of(self, tx_id: str) -> int:
        """Return the constituency of a transaction of this part."""
        if isinstance(self.constituency_ids, int):
            return self.constituency_ids
        return self.constituency_ids[self.block.statements.tx_id.index(tx_id)]

    @property
    def is_first(self) -> bool:
        """Tell whether nothing of the file is committed yet."""
        return self.batch.chunks == 0

    def __len__(self) -> int:
        return len(self.block.statements)


@dataclass(slots=True)
class Chunk:
    """Pieces of files that are loaded together, in the order of loading."""

    parts: list[Part]
    places: dict[int, Place]
    now: datetime

    @property
    def batch_ids(self) -> list[int]:
        """Return the batch of each part."""
        return [part.batch.record.pk for part in self.parts]

    def frame(self) -> pl.DataFrame:
        """Return all statements as one frame, with `part`, place and position.

        The position is that of a first statement about its transaction in this piece of
        its file; `settle` counts on where there are several, unless the source states
        the position itself.
        """
        blocks = [part.block.statements for part in self.parts]
        columns = {name: _joined(blocks, name) for name in FILE_COLUMNS}
        frame = pl.DataFrame(columns, schema=FILE_COLUMNS).with_columns(
            pl.Series("part", self._per_row(range(len(self.parts))), dtype=pl.UInt16),
            pl.Series("batch_id", self._per_row(self.batch_ids), dtype=pl.Int64),
            pl.Series("constituency_id", self._constituency_ids(), dtype=pl.Int64),
            is_placed=self._stated().is_not_null(),
        )
        first = self._bases(frame) + 1 + self._met_before(frame)
        return frame.with_columns(position=self._stated().fill_null(first))

    def remember(self, frame: pl.DataFrame, conflicting: Sequence[int]) -> None:
        """Remember the statements of files that go on in the next chunk.

        Call it once the chunk is committed. Rows in conflict take no ordinal, so they
        are not remembered.
        """
        counted = np.ones(len(frame), dtype=bool)
        counted[list(conflicting)] = False
        for part, rows in self._parts_with_rows():
            if not part.is_last:
                piece = frame[rows].filter(pl.Series(counted[rows]))
                part.batch.ordinals.remember(_keys(piece))

    def _per_row(self, values: Iterable[int]) -> list[int]:
        """Repeat one value per part for each of its rows."""
        pairs = zip(values, self.parts, strict=True)
        return list(chain.from_iterable(repeat(v, len(part)) for v, part in pairs))

    def _parts_with_rows(self) -> Iterator[tuple[Part, slice]]:
        start = 0
        for part in self.parts:
            yield part, slice(start, start + len(part))
            start += len(part)

    def _constituency_ids(self) -> list[int]:
        return list(
            chain.from_iterable(
                repeat(part.constituency_ids, len(part))
                if isinstance(part.constituency_ids, int)
                else part.constituency_ids
                for part in self.parts
            )
        )

    def _stated(self) -> pl.Series:
        """Return the positions that sources give themselves, null where they do not."""
        blocks = (part.block.statements for part in self.parts)
        stated = (block.position or repeat(None, len(block)) for block in blocks)
        return pl.Series(list(chain.from_iterable(stated)), dtype=pl.Int64)

    def _bases(self, frame: pl.DataFrame) -> pl.Series:
        intervals = [part.batch.record.interval for part in self.parts]
        bases = [interval_base(hour) if hour else 0 for hour in intervals]
        stated = pl.Series(self._per_row(bases), dtype=pl.Int64)
        if 0 not in bases:
            return stated
        return stated.zip_with(stated > 0, hour_base(frame["timestamp_ms"]))

    def _met_before(self, frame: pl.DataFrame) -> pl.Series:
        """Count the statements about each transaction in earlier chunks of its file."""
        counts = np.zeros(len(frame), dtype=np.int64)
        for part, rows in self._parts_with_rows():
            if not part.is_first:
                counts[rows] = part.batch.ordinals.met_before(_keys(frame[rows]))
        return pl.Series(counts)

    def outside_interval(self, frame: pl.DataFrame) -> list[int]:
        """Return per part how many rows lie outside the hour of its file's name."""
        bounds = [self._label_hour(part) for part in self.parts]
        starts = pl.Series(self._per_row(bounds), dtype=pl.Int64)
        offset = frame["timestamp_ms"] - starts
        is_outside = (starts > 0) & ((offset < 0) | (offset >= MS_PER_HOUR))
        return self.per_part(frame.filter(is_outside))

    def _label_hour(self, part: Part) -> int:
        """Return the start of the hour in the file's name, as its election reads it."""
        label = part.batch.record.interval
        if label is None or not isinstance(part.constituency_ids, int):
            return 0
        zone = ZoneInfo(self.places[part.constituency_ids].export_timezone)
        local = label.astimezone(UTC).replace(tzinfo=zone)
        return int(local.timestamp()) * 1000

    def per_part(self, rows: pl.DataFrame) -> list[int]:
        """Return how many of `rows` belong to each part."""
        parts = rows["part"].to_numpy()
        counts: list[int] = np.bincount(parts, minlength=len(self.parts)).tolist()
        return counts


def _joined(blocks: Sequence[Statements], column: str) -> list[Any]:
    return list(chain.from_iterable(getattr(block, column) for block in blocks))


def _keys(rows: pl.DataFrame) -> Keys:
    """Return a number per transaction, good within this process only."""
    keys = rows.select(pl.struct("constituency_id", "tx_id")).to_series()
    return keys.hash(seed=0).to_numpy()
