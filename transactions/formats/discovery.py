"""Finds the export files in folders and archives, and says what cannot be used and why."""

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from transactions.formats import archive
from transactions.formats.errors import UnreadableFile
from transactions.formats.export_file import (
    ExportFile,
    Folder,
    UnusableFile,
    open_regular,
    split_name,
    unreadable,
)
from transactions.formats.layout import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    Layout,
    Manifest,
    parse_manifest,
)
from transactions.formats.reasons import FileReason, clean
from transactions.formats.recognition import (
    PEEK_BYTES,
    Place,
    Recognised,
    is_table,
    layout_at,
    recognise,
    suffix_of,
)

# Above what is imported: region, election, constituency, contract and stem can tell.
_LEVELS_ABOVE = 5
_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)
# Above this an archive's directory is walked twice rather than held.
_FEW_MEMBERS = 64
_SEPARATORS = re.compile(r"[/\\]")


@dataclass(slots=True)
class Discovery:
    """What was found: `files` by contract, interval and path; `unusable` by path."""

    files: list[ExportFile] = field(default_factory=list)
    unusable: list[UnusableFile] = field(default_factory=list)

    def refuse(self, path: object, error: UnreadableFile) -> None:
        """List `path` as unusable."""
        entry = UnusableFile(clean(str(path)), error.code, str(error))
        self.unusable.append(entry)


IsWanted = Callable[[str], bool]


def discover(
    paths: Iterable[str | os.PathLike[str]],
    *,
    is_wanted: IsWanted = lambda path: True,
) -> Discovery:
    """Return the export files at and below `paths`, always in the same order.

    Files in folders are looked into only where `is_wanted`.

    Never raises for what it finds: what cannot be used is listed, the rest goes on.
    Hidden files, manifests and __MACOSX are passed over. A symbolic link is followed
    only inside the path that was given, and only to what the walk would else not meet.
    """
    found = Discovery()
    layouts: dict[Layout, Layout] = {}
    for root in _outermost(paths, found):
        _Walk(root, found, layouts, is_wanted).run()
    # Two stable sorts instead of one by a tuple per file, which would double the
    # memory. The walk is in the order of paths and settles the ties.
    found.files.sort(key=lambda file: file.interval or _BEFORE_ALL)
    found.files.sort(key=lambda file: file.contract_id or "")
    found.unusable.sort(key=lambda file: (file.path, file.code))
    return found


def _outermost(paths: Iterable[str | os.PathLike[str]], found: Discovery) -> list[Path]:
    """Return the real paths in order, without those that lie inside another one."""
    real = set()
    for path in paths:
        try:
            real.add(Path(path).resolve())
        except (OSError, RuntimeError, ValueError) as error:
            found.refuse(path, unreadable(error))
    return [path for path in sorted(real) if real.isdisjoint(path.parents)]


@dataclass(frozen=True, slots=True)
class _Level:
    """A folder of the walk, and what it tells of the files in it."""

    folder: Folder
    path: str
    # Its name and those above it, as far as they can tell anything.
    names: list[str]
    # The nearest manifest, its own or one above it.
    manifest: Manifest | None = None
    has_one_table: bool = True

    def below(self, name: str) -> "_Level":
        """Return the level of the folder `name` in this one."""
        return _Level(
            Folder(self.folder, split_name(name)),
            f"{self.path.rstrip('/')}/{name}",
            [*self.names, clean(name)],
            self.manifest,
        )


class _Walk:
    """The walk through one path that was given."""

    def __init__(
        self,
        root: Path,
        found: Discovery,
        layouts: dict[Layout, Layout],
        is_wanted: IsWanted,
    ) -> None:
        self._root = root
        self._is_wanted = is_wanted
        self._found = found
        # Equal layouts are one object: a constituency has 69 files.
        self._layouts = layouts
        self._trusted_from = 0
        self._linked: set[str] = set()

    def run(self) -> None:
        """Add all that lies at and below the root."""
        try:
            mode = self._root.stat().st_mode
        except FileNotFoundError:
            self._found.refuse(self._root, UnreadableFile(FileReason.NOT_FOUND))
        except (OSError, ValueError) as error:
            self._found.refuse(self._root, unreadable(error))
        else:
            self._run(self._root, is_folder=stat.S_ISDIR(mode))

    def _run(self, root: Path, *, is_folder: bool) -> None:
        top = root if is_folder else root.parent
        above = [clean(name) for name in top.parts[1:][-_LEVELS_ABOVE:]]
        self._trusted_from = len(above)
        level = _Level(Folder(None, (str(top), "")), str(top), above)
        if not is_folder:
            self._file(level, root)
            return
        # A stack, not recursion: a tree can be deeper than Python's.
        waiting = [level]
        while waiting:
            waiting.extend(reversed(self._folder(waiting.pop())))

    def _folder(self, level: _Level) -> list[_Level]:
        """Add the files of one folder and return the folders in it, in order."""
        try:
            with os.scandir(level.path) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            self._found.refuse(level.path, unreadable(error))
            return []
        names = [entry.name for entry in entries]
        level = replace(
            level,
            manifest=self._manifest(level, names),
            has_one_table=sum(map(is_table, names)) == 1,
        )
        below = []
        for entry in entries:
            if _is_ignored(entry.name) or not self._is_welcome(entry):
                continue
            if _is_folder(entry):
                below.append(level.below(entry.name))
            elif self._is_wanted(entry.path):
                self._file(level, Path(entry.path))
        return below

    def _manifest(self, level: _Level, names: Sequence[str]) -> Manifest | None:
        """Return the manifest that lies in the folder, else the one above it."""
        if MANIFEST_NAME not in names:
            return level.manifest
        path = Path(level.path, MANIFEST_NAME)
        try:
            if path.is_symlink() or not path.is_file():
                raise UnreadableFile(FileReason.NOT_A_REGULAR_FILE)
            with open_regular(path) as file:
                return _read_manifest(file)
        except UnreadableFile as error:
            self._found.refuse(path, error)
            return level.manifest

    def _is_welcome(self, entry: os.DirEntry[str]) -> bool:
        """Return whether to look at `entry`: always, but for most symbolic links."""
        if not entry.is_symlink():
            return True
        target = Path(os.path.realpath(entry.path))
        if not target.is_relative_to(self._root):
            error = UnreadableFile(FileReason.LINK_LEAVES_ROOT)
            self._found.refuse(entry.path, error)
            return False
        inside = target.relative_to(self._root).parts
        # What is not hidden the walk meets by itself, and once is enough: no loops.
        if not any(map(_is_ignored, inside)) or str(target) in self._linked:
            return False
        self._linked.add(str(target))
        return True

    def _file(self, level: _Level, path: Path) -> None:
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                # Opening a pipe would wait for ever.
                raise UnreadableFile(FileReason.NOT_A_REGULAR_FILE)
            self._regular_file(level, path, status.st_size)
        except UnreadableFile as error:
            if path == self._root or not _is_foreign(error):
                self._found.refuse(path, error)
        except OSError as error:
            self._found.refuse(path, unreadable(error))

    def _regular_file(self, level: _Level, path: Path, size: int) -> None:
        suffix = path.suffix.lower()
        if suffix not in _SUFFIXES:
            suffix = suffix_of(_peek(path))
        if suffix == ".zip":
            self._archive(level, path)
            return
        place = Place(
            stem=path.stem,
            suffix=suffix,
            folders=level.names,
            trusted_from=self._trusted_from,
            manifest=level.manifest,
            is_alone=level.has_one_table,
            peek=lambda: _peek(path),
        )
        self._add(recognise(place), level, path, size)

    def _archive(self, level: _Level, path: Path) -> None:
        known = len(self._found.files) + len(self._found.unusable)
        with open_regular(path) as file:
            contents = _Contents(file, level.manifest)
            for name, error in contents.refused:
                self._found.refuse(f"{path}!{name}", error)
            for member in contents.members():
                try:
                    self._member(level, path, contents, member)
                except UnreadableFile as error:
                    if not _is_foreign(error):
                        self._found.refuse(f"{path}!{member.name}", error)
        if known == len(self._found.files) + len(self._found.unusable):
            raise UnreadableFile(FileReason.ZIP_WITHOUT_EXPORT)

    def _member(
        self, level: _Level, path: Path, contents: "_Contents", member: archive.Member
    ) -> None:
        archive.check(member)
        above, trusted_from = level.names, self._trusted_from
        found = recognise(contents.place(member, [*above, path.stem], trusted_from))
        if found.name.contract_id and found.layout == Layout():
            # The archive may be a level of its own in an otherwise known tree.
            without = contents.place(member, above, trusted_from)
            found = Recognised(found.kind, found.name, layout_at(without, found.name))
        self._add(found, level, path, member.size, member)

    def _add(
        self,
        found: Recognised,
        level: _Level,
        path: Path,
        size: int,
        member: archive.Member | None = None,
    ) -> None:
        self._found.files.append(
            ExportFile(
                kind=found.kind,
                contract_id=found.name.contract_id,
                interval=found.name.interval,
                layout=self._layouts.setdefault(found.layout, found.layout),
                size=size,
                folder=level.folder,
                file_name=split_name(path.name),
                member_name=split_name(member.name) if member else None,
                entry=member.entry if member else -1,
            )
        )


class _Contents:
    """The members of an archive, after a first look at its manifests and tables."""

    def __init__(self, file: BinaryIO, manifest: Manifest | None) -> None:
        self._file = file
        self._outer_manifest = manifest
        self._manifests: dict[tuple[str, ...], Manifest] = {}
        self.refused: list[tuple[str, UnreadableFile]] = []
        # The first members, and whether they are all: most archives hold one.
        self._first: list[archive.Member] = []
        self._is_small = True
        self._tables = 0
        for member in archive.members(file):
            self._look_at(member)

    def _look_at(self, member: archive.Member) -> None:
        *folders, name = _SEPARATORS.split(member.name)
        if name == MANIFEST_NAME:
            self._add_manifest(tuple(folders), member)
        if member.is_folder or _is_member_ignored([*folders, name]):
            return
        self._tables += is_table(name)
        self._is_small = len(self._first) < _FEW_MEMBERS
        if self._is_small:
            self._first.append(member)

    def _add_manifest(self, folders: tuple[str, ...], member: archive.Member) -> None:
        try:
            archive.check(member)
            stream = archive.open_member(self._file, member)
            self._manifests[folders] = _read_manifest(stream)
        except UnreadableFile as error:
            self.refused.append((member.name, error))

    def members(self) -> Iterator[archive.Member]:
        """Yield the members that may be exports, without ever holding many."""
        if self._is_small:
            yield from self._first
            return
        for member in archive.members(self._file):
            parts = _SEPARATORS.split(member.name)
            if not member.is_folder and not _is_member_ignored(parts):
                yield member

    def place(
        self,
        member: archive.Member,
        above: Sequence[str],
        trusted_from: int,
    ) -> Place:
        """Return the place of `member` in the archive, which lies below `above`."""
        *folders, name = _SEPARATORS.split(member.name)
        file_name = PurePosixPath(name)
        return Place(
            stem=file_name.stem,
            suffix=_member_suffix(file_name.suffix.lower()),
            folders=[*above, *folders],
            trusted_from=trusted_from,
            manifest=self._manifest_above(tuple(folders)),
            is_alone=self._tables == 1,
            peek=lambda: archive.open_member(self._file, member).read(PEEK_BYTES),
        )

    def _manifest_above(self, folders: tuple[str, ...]) -> Manifest | None:
        for depth in range(len(folders), -1, -1):
            if manifest := self._manifests.get(folders[:depth]):
                return manifest
        return self._outer_manifest


_SUFFIXES = {".zip", ".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet"}


def _member_suffix(suffix: str) -> str:
    if suffix == ".zip":
        raise UnreadableFile(FileReason.ZIP_IN_ZIP)
    if suffix == ".parquet":
        raise UnreadableFile(FileReason.PARQUET_IN_ZIP)
    return suffix


def _is_foreign(error: UnreadableFile) -> bool:
    """Return whether it is a read-me, a picture, …: among exports nobody minds them."""
    return error.code == FileReason.UNKNOWN_KIND.code


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name in (MANIFEST_NAME, "__MACOSX")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # Treated as a file, it is listed with what the system says.
        return False


def _is_member_ignored(parts: Sequence[str]) -> bool:
    # "." and ".." are tricks, not hidden folders.
    return any(_is_ignored(part) and part not in (".", "..") for part in parts)


def _read_manifest(stream: BinaryIO) -> Manifest:
    content = stream.read(MAX_MANIFEST_BYTES + 1)
    if len(content) > MAX_MANIFEST_BYTES:
        raise UnreadableFile(FileReason.FILE_TOO_LARGE, limit=MAX_MANIFEST_BYTES)
    return parse_manifest(content)


def _peek(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read(PEEK_BYTES)
