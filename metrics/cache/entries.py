"""An answer as it lies in the cache: its content, and what it may be used for."""

import secrets
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

DIGEST_BYTES = 16
# Of entries of this form; another one is no entry.
MAGIC = b"e1"
# Magic, computed at, fresh until, digest of the versions, digest of the content.
HEADER = struct.Struct(f"!2sdd{DIGEST_BYTES}s{DIGEST_BYTES}s")
VERSION_RANDOM_BYTES = 12


@dataclass(frozen=True, slots=True)
class Entry:
    """A content, valid for the versions of its tags that were read before it was made."""

    content: bytes
    # Unix time before the versions were read: the content is not older than this.
    computed_at: float
    # Unix time from which on somebody should compute it anew.
    fresh_until: float
    versions: bytes
    etag: str

    @classmethod
    def of(
        cls,
        content: bytes,
        *,
        versions: bytes,
        computed_at: float,
        fresh_until: float,
    ) -> "Entry":
        """Return an entry of this content, with its ETag."""
        etag = _digest(content).hex()
        return cls(content, computed_at, fresh_until, versions, etag)

    def packed(self) -> bytes:
        """Return the bytes to keep."""
        header = HEADER.pack(
            MAGIC,
            self.computed_at,
            self.fresh_until,
            self.versions,
            bytes.fromhex(self.etag),
        )
        return header + self.content

    @classmethod
    def unpacked(cls, kept: object) -> "Entry | None":
        """Return the entry that was kept; None where this is none of ours."""
        if not isinstance(kept, bytes) or kept[: len(MAGIC)] != MAGIC:
            return None
        if len(kept) < HEADER.size:
            return None
        _, computed_at, fresh_until, versions, etag = HEADER.unpack_from(kept)
        content = kept[HEADER.size :]
        return cls(content, computed_at, fresh_until, versions, etag.hex())


def new_version(now: float) -> bytes:
    """Return a version that no tag ever had: it tells its time, and is random."""
    return b"v%016x" % int(now * 1_000) + secrets.token_bytes(VERSION_RANDOM_BYTES)


def time_of(version: bytes) -> float:
    """Return the Unix time at which a version was made."""
    return int(version[1:17], 16) / 1_000


def digest_of(server: bytes, versions: Iterable[bytes]) -> bytes:
    """Return what an entry keeps of the versions of its tags, on this run of the server."""
    return _digest(b"\0".join([server, *versions]))


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=DIGEST_BYTES).digest()
