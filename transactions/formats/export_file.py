"""Export files as found: what they are, and how to read them."""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from transactions.formats import archive
from transactions.formats.errors import UnreadableFile
from transactions.formats.layout import Layout
from transactions.formats.reasons import FileReason, clean

# Up to here hash and parser share the bytes in memory: 2,400 rows, far above an hour's 70.
SMALL_BYTES = 8 << 20


# A name cut before its first "_". Names are a contract's id and an hour's label: of each
# half there are a few thousand, of whole names 360,000.
SplitName = tuple[str, str]


def split_name(name: str) -> SplitName:
    """Return the two parts of `name`, each stored once for all files that share it."""
    head, underscore, tail = name.partition("_")
    return sys.intern(head), sys.intern(underscore + tail)


class Kind(Enum):
    """How an export file is read."""

    PORTAL_HOUR = "portal_hour"
    PORTAL_DUMP = "portal_dump"
    PLAIN_CSV = "plain_csv"
    PLAIN_JSON_LINES = "plain_json_lines"
    PLAIN_PARQUET = "plain_parquet"
    # No file: rows posted to the API, and kept where they were refused.
    API_ROWS = "api"


@dataclass(frozen=True, slots=True, eq=False)
class Folder:
    """A folder met on the way: files share it instead of holding their whole path."""

    parent: "Folder | None"
    split_name: SplitName

    @property
    def path(self) -> Path:
        """Return the folder's path; the topmost carries the path to itself."""
        return Path(*self.names)

    @property
    def names(self) -> list[str]:
        """Return the names from the topmost folder down to this one."""
        names = []
        folder: Folder | None = self
        while folder is not None:
            names.append("".join(folder.split_name))
            folder = folder.parent
        return names[::-1]


@dataclass(frozen=True, slots=True, eq=False)
class ExportFile:
    """One readable file: a file on disk, or the member of a zip archive at `entry`.

    Compact, since an election has 360,000 of them: below 400 bytes each, folder included.
    """

    kind: Kind
    # None for plain columns, which name the contract in every row.
    contract_id: str | None
    # The label of the hour in the name (`names.FileName`); None for whole contracts.
    interval: datetime | None
    layout: Layout
    # Bytes of the content, unpacked, as declared.
    size: int
    folder: Folder
    file_name: SplitName
    member_name: SplitName | None = None
    entry: int = -1

    @property
    def path(self) -> Path:
        """Return the file on disk: the export itself, or the archive that holds it."""
        return self.folder.path / "".join(self.file_name)

    @property
    def name(self) -> str:
        """Return the name to show: the file's, with "!" and the member's for a zip."""
        name = "".join(self.file_name)
        if self.member_name is not None:
            name = f"{name}!{''.join(self.member_name)}"
        return clean(name)

    @property
    def is_small(self) -> bool:
        """Return whether `read_all` is allowed."""
        return self.size <= SMALL_BYTES

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the content for reading; an archive is read in place.

        Raises:
            UnreadableFile: it cannot be opened; or, while it is read, an archive's
                member is damaged or unpacks to more than it declares.
        """
        with open_regular(self.path) as file:
            if self.member_name is None:
                yield file
            else:
                yield archive.open_member(file, archive.member_at(file, self.entry))

    def read_all(self) -> bytes:
        """Return the content of a small file, for hash and parser to share.

        Raises:
            UnreadableFile: as `open`, and where the content is not small.
        """
        with open_regular(self.path) as file:
            content = self._content(file)
        if len(content) > SMALL_BYTES:
            raise UnreadableFile(FileReason.FILE_TOO_LARGE, limit=SMALL_BYTES)
        return content

    def _content(self, file: BinaryIO) -> bytes:
        if self.member_name is None:
            return file.read(SMALL_BYTES + 1)
        member = archive.member_at(file, self.entry)
        if member.size > SMALL_BYTES:
            raise UnreadableFile(FileReason.FILE_TOO_LARGE, limit=SMALL_BYTES)
        return archive.read_member(file, member)

    def sha256(self) -> bytes:
        """Return the digest of the content; packed or not makes no difference.

        Raises:
            UnreadableFile: as `open`.
        """
        digest = hashlib.sha256()
        with self.open() as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
        return digest.digest()


@dataclass(frozen=True, slots=True)
class UnusableFile:
    """A file that cannot be used: where, why as a code, why as a sentence.

    `path` names a member of an archive after a "!".
    """

    path: str
    code: str
    message: str


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading.

    Raises:
        UnreadableFile: the system refuses, or it is larger than any export.
    """
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise unreadable(error) from error
    with file:
        try:
            yield file
        except OSError as error:
            # A disk or a network folder can fail in mid-file.
            raise unreadable(error) from error


def unreadable(error: Exception) -> UnreadableFile:
    """Return the system's error as ours, without the path that it repeats."""
    said = getattr(error, "strerror", None) or str(error)
    return UnreadableFile(FileReason.NOT_READABLE, error=said)
