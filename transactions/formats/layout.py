"""What folders tell: region, election and constituency of a contract.

Two layouts are known. The published tree,

    90 - Пермский край/<election>/<constituency>/<contract id>/<stem>/<stem>.csv

is recognised by the region's code and dash, also inside zip archives and above the
folder that is imported. The crawl layout,

    <region>/<election id>/<district id>/<contract id>/<hour>.zip

carries ids, since two in five names are longer than a file system allows. A file
`manifest.json` beside or above its regions names them; without one, ids serve as names:

    {"regions":   {"<region>": {"code": "90", "name": "Пермский край"}},
     "elections": {"<election id>": "<name>"},
     "districts": {"<district id>": "<name>"}}

A region may be given by its name alone if its folder is its code. A district id that is
unique only within its election is written "<election id>/<district id>".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from transactions.formats.errors import UnreadableFile
from transactions.formats.names import is_contract_id
from transactions.formats.reasons import FileReason, clean

MANIFEST_NAME = "manifest.json"
# A country has some 460 elections and 1,700 districts with names of up to 450 bytes: 1 MB.
MAX_MANIFEST_BYTES = 32 << 20

_REGION = re.compile(r"\s*(\d{1,3})\s*[-–—]\s*([^\W\d_].*)", re.DOTALL)
_CODE = re.compile(r"\d{1,3}", re.ASCII)
_UNSAFE = re.compile(r"|\.\.?|[A-Za-z]:", re.ASCII)


@dataclass(frozen=True, slots=True)
class Layout:
    """Names as published, to be compared by `elections.names.normalise`; None where nothing tells."""

    region_code: str | None = None
    region_name: str | None = None
    election: str | None = None
    constituency: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The names behind the folders of a crawl."""

    regions: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)
    elections: Mapping[str, str] = field(default_factory=dict)
    districts: Mapping[str, str] = field(default_factory=dict)

    def layout(self, region: str, election: str, district: str) -> Layout:
        """Return the names of three folders; a folder that is not named is its name."""
        code, name = self.regions.get(region) or _region(region)
        by_election = self.districts.get(f"{election}/{district}")
        return Layout(
            region_code=code,
            region_name=name,
            election=self.elections.get(election, election),
            constituency=by_election or self.districts.get(district, district) or None,
        )


NO_MANIFEST = Manifest()


def parse_manifest(content: bytes) -> Manifest:
    """Return the manifest that `content` holds; entries of another form are ignored.

    Raises:
        UnreadableFile: it is no JSON object.
    """
    try:
        told = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise UnreadableFile(FileReason.MANIFEST_UNREADABLE, error=error) from None
    if not isinstance(told, dict):
        raise UnreadableFile(
            FileReason.MANIFEST_UNREADABLE, error="it is something else"
        )
    return Manifest(
        regions=_regions(told.get("regions")),
        elections=_texts(told.get("elections")),
        districts=_texts(told.get("districts")),
    )


def layout_of(
    folders: Sequence[str],
    contract_id: str,
    *,
    trusted_from: int = 0,
    manifest: Manifest | None = None,
) -> Layout:
    """Return what the folders above a file of `contract_id` tell, outermost first.

    Folders before `trusted_from` lie above what is imported: a region among them is
    believed, for its form, bare ids are not. Names that try to climb tell nothing.
    """
    if any(_UNSAFE.fullmatch(folder) for folder in folders):
        return Layout()
    above = folders[: _contract_level(folders, contract_id)]
    names = manifest or NO_MANIFEST
    if (start := _region_level(above)) is not None:
        # A "/" in a constituency's name splits it in two in a zip archive.
        region, election, *district = above[start:]
        return names.layout(region, election, "/".join(district))
    is_crawl = len(folders) > len(above) and is_contract_id(folders[len(above)])
    if (is_crawl or manifest) and len(above) - trusted_from >= 3:
        return names.layout(*above[-3:])
    return Layout()


def _contract_level(folders: Sequence[str], contract_id: str) -> int:
    """Return the level of the first folder named for the contract, else the depth."""
    for level, folder in enumerate(folders):
        if folder == contract_id or folder.startswith(f"{contract_id}_"):
            return level
    return len(folders)


def _region_level(above: Sequence[str]) -> int | None:
    """Return the level of the region's folder: the lowest with two more below it."""
    levels = [level for level, name in enumerate(above) if _REGION.fullmatch(name)]
    for below in (2, 1):
        for level in reversed(levels):
            if len(above) - level > below:
                return level
    return None


def _region(folder: str) -> tuple[str | None, str]:
    if match := _REGION.fullmatch(folder):
        return match[1], match[2]
    return (folder if _CODE.fullmatch(folder) else None), folder


def _regions(told: Any) -> dict[str, tuple[str | None, str]]:
    if not isinstance(told, dict):
        return {}
    return {folder: _named_region(folder, value) for folder, value in told.items()}


def _named_region(folder: str, value: Any) -> tuple[str | None, str]:
    code, name = _region(folder)
    if isinstance(value, str):
        return code, clean(value)
    if not isinstance(value, dict):
        return code, name
    told_code, told_name = value.get("code"), value.get("name")
    return (
        clean(str(told_code)) if isinstance(told_code, str | int) else code,
        clean(told_name) if isinstance(told_name, str) else name,
    )


def _texts(told: Any) -> dict[str, str]:
    if not isinstance(told, dict):
        return {}
    return {key: clean(name) for key, name in told.items() if isinstance(name, str)}
