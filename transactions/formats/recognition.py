"""Tells what one file or member is, from its name, its folders and its first bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from transactions.formats import names, plain
from transactions.formats.errors import UnreadableFile
from transactions.formats.export_file import Kind
from transactions.formats.layout import Layout, Manifest, layout_of
from transactions.formats.lines import BYTE_ORDER_MARK
from transactions.formats.reasons import FileReason

# Enough to hold a header; a portal line tells itself within its first 400 bytes.
PEEK_BYTES = 1 << 14

_TABLES = (".csv", ".tsv", ".txt")
_JSON_LINES = (".jsonl", ".ndjson")
_NAMELESS = names.FileName(None, None)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file was found: all that recognising it needs."""

    stem: str
    suffix: str
    # The folders above it, an archive among them, outermost first.
    folders: Sequence[str]
    # The first of `folders` that lies inside what is imported.
    trusted_from: int
    manifest: Manifest | None
    # Whether it is the only table of its folder, so that the folder's name is its own.
    is_alone: bool
    peek: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file is."""

    kind: Kind
    name: names.FileName
    layout: Layout


def is_table(name: str) -> bool:
    """Return whether `name` is one of a CSV file."""
    return name.lower().endswith(_TABLES)


def suffix_of(start: bytes) -> str:
    """Return the suffix that a file without a known one deserves by its first bytes."""
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return ".zip"
    return ".parquet" if start.startswith(b"PAR1") else ""


def recognise(place: Place) -> Recognised:
    """Return what the file at `place` is.

    Raises:
        UnreadableFile: it is of no known kind, or its name does not tell its contract.
    """
    if place.suffix == ".parquet":
        return Recognised(Kind.PLAIN_PARQUET, _NAMELESS, Layout())
    if place.suffix in _JSON_LINES:
        return Recognised(Kind.PLAIN_JSON_LINES, _NAMELESS, Layout())
    if place.suffix not in _TABLES:
        raise UnreadableFile(FileReason.UNKNOWN_KIND)
    return _table(place)


def _table(place: Place) -> Recognised:
    name = _name(place)
    # An hour's name is proof enough: a look into an archive costs 0.3 ms, times 360,000.
    if name and name.interval:
        return Recognised(Kind.PORTAL_HOUR, name, layout_at(place, name))
    header = _first_line(place.peek())
    if plain.is_header(header):
        return Recognised(Kind.PLAIN_CSV, _NAMELESS, Layout())
    if name:
        return Recognised(Kind.PORTAL_DUMP, name, layout_at(place, name))
    if header.strip() and not _is_portal_line(header):
        plain.check_header(header)
    raise UnreadableFile(FileReason.NAME_NOT_UNDERSTOOD)


def _name(place: Place) -> names.FileName | None:
    if name := names.parse(place.stem, place.folders):
        return name
    if place.is_alone and place.folders:
        return names.parse(place.folders[-1], place.folders[:-1])
    return None


def layout_at(place: Place, name: names.FileName) -> Layout:
    """Return what the folders of `place` tell of the contract in `name`."""
    return layout_of(
        place.folders,
        name.contract_id or "",
        trusted_from=place.trusted_from,
        manifest=place.manifest,
    )


def _first_line(start: bytes) -> bytes:
    return start.removeprefix(BYTE_ORDER_MARK).partition(b"\n")[0]


def _is_portal_line(line: bytes) -> bool:
    """Return whether `line`, perhaps cut, starts like a transaction of the portal."""
    fields = line.split(b";", 9)
    return len(fields) > 8 and fields[1].isdigit() and fields[4].isdigit()
