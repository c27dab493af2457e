"""Puts pieces of files together into chunks, and loads each chunk when it is full."""

from elections.clock import Clock
from transactions.loader import Chunk, Loader, OpenBatch, Part, Place
from transactions.services.summary import ImportSummary


class Assembly:
    """Collects parts until they make a chunk; small files share one."""

    def __init__(
        self,
        loader: Loader,
        *,
        chunk_rows: int,
        chunk_files: int,
        clock: Clock,
    ) -> None:
        self._loader = loader
        self._chunk_rows = chunk_rows
        self._chunk_files = chunk_files
        self._clock = clock
        self._parts: list[Part] = []
        self._places: dict[int, Place] = {}
        self._rows = 0
        self.summary = ImportSummary()

    def add(self, part: Part, places: dict[int, Place]) -> None:
        """Add a piece of a file; what is full is loaded first."""
        if self._holds(part.batch):
            # Whether a part is its file's first shows when the one before is committed.
            self.flush()
        self._parts.append(part)
        self._places |= places
        self._rows += part.block.rows_read
        if self._rows >= self._chunk_rows or len(self._parts) >= self._chunk_files:
            self.flush()

    def flush(self) -> None:
        """Load what was collected."""
        if not self._parts:
            return
        chunk = Chunk(parts=self._parts, places=self._places, now=self._clock())
        result = self._loader.load(chunk)
        for counts in result.counts:
            self.summary.add_counts(counts)
        self.summary.bulletins_issued += result.bulletins_issued
        self.summary.votes_cast += result.votes_cast
        places = self._places.values()
        self.summary.constituencies |= {place.contract_id for place in places}
        self.summary.elections |= {place.election for place in places}
        self._parts, self._places, self._rows = [], {}, 0

    def _holds(self, batch: OpenBatch) -> bool:
        return bool(self._parts) and self._parts[-1].batch is batch
