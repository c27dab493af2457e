"""Export files with rows of real size: issues of 1.8 kB, votes of 3 to 8 kB."""

import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from benchmarks.text import (
    BASE58,
    BASE64,
    HEX,
    ID_LENGTH,
    KEY_LENGTH,
    filler,
    texts,
)

OPENS = datetime(2026, 9, 18, 5, tzinfo=UTC)
HOURS = 69
HOUR_MS = 3_600_000
ROWS_PER_ZIP = 70
FILES_PER_CONTRACT = 2
POOL = 1 << 22
SIGNATURE, MASKED, BLIND = 88, 512, 344
VOTE_BYTES = (1_500, 6_300)

ISSUE = (
    b'%b;104;%b;4;%d;%b;0;;[{"key":"operation","stringValue":"blindSigIssue"},'
    b'{"key":"data","stringValue":"[{\\"userId\\":\\"%b\\",\\"maskedSig\\":\\"%b\\"}]"},'
    b'{"key":"primaryUikRegionCode","stringValue":"90"},'
    b'{"key":"primaryUikNumber","intValue":%d}];'
    b'[{"key":"BLINDSIG_%b","stringValue":"[{\\"userId\\":\\"%b\\",'
    b'\\"maskedSig\\":\\"%b\\"}]"}];{"contractVersion":1};\n'
)
VOTE = (
    b'%b;104;%b;4;%d;%b;0;;[{"key":"operation","stringValue":"vote"},'
    b'{"key":"vote","binaryValue":"%b"},{"key":"blindSig","binaryValue":"%b"}];'
    b'[{"key":"VOTE_%b","stringValue":"{\\"vote\\":\\"%b\\"}"}];'
    b'{"contractVersion":1};\n'
)


@dataclass(frozen=True, slots=True)
class Pools:
    """Filler to cut pieces from: cheap, and longer than what a compressor looks back."""

    base64: bytes
    hexadecimal: bytes
    server_key: bytes

    @classmethod
    def of(cls, rng: np.random.Generator) -> "Pools":
        base64 = filler(rng, BASE64, POOL)
        hexadecimal = filler(rng, HEX, POOL)
        return cls(base64, hexadecimal, filler(rng, BASE58, KEY_LENGTH))


class ExportWriter:
    """Writes exports of contracts nobody has seen before."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._pools = Pools.of(rng)

    def large(self, folder: Path, *, files: int, rows: int) -> int:
        """Write whole contracts as plain CSV files, some per contract; return the rows."""
        folder.mkdir(parents=True)
        contracts = self._contracts(-(-files // FILES_PER_CONTRACT))
        for index in range(files):
            contract = contracts[index // FILES_PER_CONTRACT]
            part = index % FILES_PER_CONTRACT
            path = folder / f"{contract}_export{part}.csv"
            path.write_bytes(b"".join(self._lines(rows, OPENS, HOURS * HOUR_MS)))
        return files * rows

    def one(self, path: Path, *, size: int) -> None:
        """Write one contract's export of about `size` bytes; the name is completed."""
        contract = self._contracts(1)[0]
        with path.with_name(f"{contract}_dump.csv").open("wb") as file:
            while file.tell() < size:
                file.write(b"".join(self._lines(1_000, OPENS, HOURS * HOUR_MS)))

    def zips(self, folder: Path, *, files: int) -> int:
        """Write hour files in zips, all hours of a contract; return the rows."""
        folder.mkdir(parents=True)
        contracts = self._contracts(-(-files // HOURS))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            done = []
            for index in range(files):
                opens = OPENS + timedelta(hours=index % HOURS)
                stem = f"{contracts[index // HOURS]}_{_label(opens)}"
                content = b"".join(self._lines(ROWS_PER_ZIP, opens, HOUR_MS))
                done.append(pool.submit(_zip, folder, stem, content))
            for task in done:
                task.result()
        return files * ROWS_PER_ZIP

    def _contracts(self, count: int) -> list[str]:
        return [text.decode() for text in texts(self._rng, BASE58, ID_LENGTH, count)]

    def _lines(self, count: int, opens: datetime, span_ms: int) -> Iterator[bytes]:
        rng, pools = self._rng, self._pools
        ids = texts(rng, BASE58, ID_LENGTH, count)
        keys = texts(rng, BASE58, KEY_LENGTH, count)
        start_ms = int(opens.timestamp()) * 1000
        times = np.sort(start_ms + rng.integers(0, span_ms, count)).tolist()
        at = rng.integers(0, POOL - VOTE_BYTES[1] - 1_024, (3, count)).tolist()
        # A multiple of four, so that it is valid base64.
        sizes = (rng.integers(*VOTE_BYTES, count) & ~3).tolist()
        is_vote = (rng.random(count) < 0.5).tolist()
        for tx_id, key, ms, a, b, c, size, vote in zip(
            ids, keys, times, *at, sizes, is_vote, strict=True
        ):
            signature = pools.base64[a : a + SIGNATURE].translate(NO_SIGNS)
            if vote:
                ballot = pools.base64[b : b + size]
                blind = pools.base64[c : c + BLIND]
                yield VOTE % (tx_id, signature, ms, key, ballot, blind, key, blind)
            else:
                user = pools.hexadecimal[b : b + 64]
                masked = pools.hexadecimal[c : c + MASKED]
                head = (tx_id, signature, ms, pools.server_key, user, masked)
                yield ISSUE % (*head, 1_000 + a % 50, tx_id, user, masked)


NO_SIGNS = bytes.maketrans(b"+/0OIl", b"ABCDEF")


def _label(opens: datetime) -> str:
    closes = opens + timedelta(hours=1)
    return f"{opens:%Y-%m-%d_%H%M}-{closes:%H%M}"


def _zip(folder: Path, stem: str, content: bytes) -> None:
    path = folder / f"{stem}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{stem}.csv", content)
