"""Files: large ones, small zips, and both once more; parse and commit included."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.db.models import Max

from benchmarks.files import ExportWriter
from benchmarks.measure import Figure, at_least, seconds
from benchmarks.plain_copy import PlainTable
from benchmarks.progress import say
from benchmarks.sizes import Sizes
from elections.models import Election
from transactions.models import BatchStatus, ImportBatch
from transactions.services import import_paths

CORES = os.cpu_count() or 1


@dataclass(slots=True)
class Figures:
    """What each round adds a pair to."""

    large: Figure
    alone: Figure
    small: Figure
    replay_large: Figure
    replay_small: Figure

    @classmethod
    def make(cls) -> "Figures":
        large = f"large files, {CORES} workers"
        return cls(
            Figure("large-files", large, "COPY", "rows/s", at_least(0.35)),
            Figure("large-files", "large files, 1 worker", "COPY", "rows/s", None),
            Figure("small-zips", "small zips", "large files", "rows/s", at_least(0.5)),
            Figure("replay", "large files again", "first load", "rows/s", at_least(2)),
            Figure("replay", "small zips again", "first load", "rows/s", at_least(2)),
        )

    def __iter__(self) -> Iterator[Figure]:
        yield from (
            self.large,
            self.alone,
            self.small,
            self.replay_large,
            self.replay_small,
        )


class ImportRounds:
    """Loads new files of every sort in each round, and the limits between them."""

    def __init__(self, sizes: Sizes, folder: Path) -> None:
        self._sizes = sizes
        self._folder = folder
        self._writer = ExportWriter(np.random.default_rng(2))
        self._plain = PlainTable()
        self._election = Election.objects.create(
            slug="files", name="files", timezone="UTC", is_simulated=True
        )

    def run(self) -> Figures:
        figures = Figures.make()
        thrown_away = Figures.make()
        for number in range(self._sizes.pairs + 1):
            kept = figures if number else thrown_away
            self._round(kept)
            rates = ", ".join(f"{f.name} {f.pairs[-1][0]:,.0f}" for f in kept)
            say(f"files {number}: {rates} rows/s, COPY {kept.large.pairs[-1][1]:,.0f}")
        return figures

    def _round(self, figures: Figures) -> None:
        before = _last_batch()
        large, alone, small = (self._folder / n for n in ("large", "alone", "small"))
        files, rows = self._sizes.large_files, self._sizes.large_file_rows
        large_rows = self._writer.large(large, files=files, rows=rows)
        alone_rows = self._writer.large(alone, files=-(-files // 2), rows=rows)
        small_rows = self._writer.zips(small, files=self._sizes.small_zips)

        large_rate = large_rows / self._import(large, large_rows)
        copied = [[pk] for pk in _loaded_since(before)]
        copy_rate = large_rows / self._plain.copy(copied)
        small_rate = small_rows / self._import(small, small_rows)
        alone_rate = alone_rows / self._import(alone, alone_rows, workers=1)
        large_again = large_rows / self._import(large, 0)
        small_again = small_rows / self._import(small, 0)
        self._plain.catch_up(after_batch=before)

        figures.large.add(large_rate, copy_rate)
        figures.alone.add(alone_rate, copy_rate)
        figures.small.add(small_rate, large_rate)
        figures.replay_large.add(large_again, large_rate)
        figures.replay_small.add(small_again, small_rate)
        for folder in (large, alone, small):
            shutil.rmtree(folder)

    def _import(self, folder: Path, accepted: int, *, workers: int = CORES) -> float:
        """Import a folder, make sure that all was loaded, and return the seconds."""
        summaries = []
        taken = seconds(
            lambda: summaries.append(
                import_paths([str(folder)], election=self._election, workers=workers)
            )
        )
        if summaries[0].accepted != accepted or summaries[0].problems:
            raise RuntimeError(f"Not loaded as expected: {summaries[0]}")
        return taken


def run(sizes: Sizes) -> Iterator[Figure]:
    folder = Path(tempfile.mkdtemp(prefix="files-", dir=os.environ["VAR_DIR"]))
    yield from ImportRounds(sizes, folder).run()
    shutil.rmtree(folder)


def _last_batch() -> int:
    return ImportBatch.objects.aggregate(last=Max("pk"))["last"] or 0


def _loaded_since(batch: int) -> list[int]:
    loaded = ImportBatch.objects.filter(pk__gt=batch, status=BatchStatus.LOADED)
    return list(loaded.order_by("pk").values_list("pk", flat=True))
