"""`tests.chaos.loader WORLD SEED files|all`: deliver the same files again and again.

In random pieces that overlap with those of other loaders: as files, as files with other
bytes and the same rows, as rows posted to the API, with `all` as uploads too (one whose
message is lost is asked for again after a minute). Until it is killed.
"""

import random
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

import orjson
from django.core.files import File
from django.db import connection
from django.utils import timezone

from elections.database import is_away
from transactions.services import (
    ConstituencyGone,
    import_paths,
    load_rows,
    receive_upload,
)

# Where nothing is published yet, or the database is away.
PAUSE_SECONDS = 0.3
# Most files that come are new.
NEWEST = 40
MOST_FILES = 8
# Blank lines at the end give a file other bytes and the same rows.
MOST_BLANKS = 3


def main() -> None:
    """Do what the module says."""
    world, seed, ways = sys.argv[1:]
    loader = Loader(Path(world), random.Random(seed), uploads=ways == "all")
    while True:
        try:
            loader.deliver()
        except Exception as error:  # noqa: BLE001 - the run tells of it, and goes on
            if is_away(error) or isinstance(error, ConstituencyGone):
                print(f"Goes on after: {error}", flush=True)  # noqa: T201
            else:
                print(f"UNEXPECTED {traceback.format_exc()}", flush=True)  # noqa: T201
            connection.close()
            time.sleep(PAUSE_SECONDS)


class Loader:
    """Chooses what to deliver next, and how."""

    def __init__(self, world: Path, rng: random.Random, *, uploads: bool) -> None:
        self._world = world
        self._rng = rng
        self._weights = [12, 4, 4, int(uploads)]

    def deliver(self) -> None:
        ways = [self._import, self._import_other_bytes, self._post, self._upload]
        [way] = self._rng.choices(ways, weights=self._weights)
        way()

    def _import(self) -> None:
        if folders := self._chosen("published"):
            import_paths([str(folder) for folder in folders])

    def _import_other_bytes(self) -> None:
        with tempfile.TemporaryDirectory(dir=self._world) as scratch:
            for folder in self._chosen("published"):
                copy = Path(scratch, folder.name)
                shutil.copytree(folder, copy)
                for file in copy.iterdir():
                    blanks = b"\n" * self._rng.randint(1, MOST_BLANKS)
                    file.write_bytes(file.read_bytes() + blanks)
            import_paths([scratch])

    def _post(self) -> None:
        for file in self._chosen("posted")[:1]:
            load_rows(orjson.loads(file.read_bytes()), source="chaos")

    def _upload(self) -> None:
        for folder in self._chosen("published")[:1]:
            for file in folder.iterdir():
                with file.open("rb") as stream:
                    receive_upload(File(stream), name=file.name, now=timezone.now())

    def _chosen(self, folder: str) -> list[Path]:
        found = sorted(self._world.joinpath(folder).iterdir())
        if not found:
            time.sleep(PAUSE_SECONDS)
            return []
        pool = found[-NEWEST:] if self._rng.random() < 0.8 else found
        return self._rng.sample(pool, min(len(pool), self._rng.randint(1, MOST_FILES)))


if __name__ == "__main__":
    main()
