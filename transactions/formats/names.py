"""The grammar of file names: which contract, and which hour, a name tells."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from transactions.formats.errors import UnreadableFile
from transactions.formats.reasons import FileReason
from transactions.formats.times import is_of_this_century

_CONTRACT = r"(?P<contract>[1-9A-HJ-NP-Za-km-z]{32,44})"
_HOURS = r"(?P<start>\d{4})-(?P<end>\d{4})"
_LABEL = rf"(?P<day>\d{{4}}-\d\d-\d\d)_{_HOURS}"

_CONTRACT_HOUR = re.compile(rf"{_CONTRACT}_{_LABEL}", re.ASCII)
_WHOLE_CONTRACT = re.compile(rf"{_CONTRACT}(_dump|_export.*)?", re.ASCII | re.DOTALL)
_CONTRACT_ID = re.compile(_CONTRACT, re.ASCII)
_DAY_AND_HOUR = re.compile(_LABEL, re.ASCII)
_HOUR = re.compile(_HOURS, re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class FileName:
    """What a name tells: the contract, and the start of the hour it stands for.

    The zone of the hour is published nowhere. `interval` is a label: the local reading
    of the clock in the name, written as if it were UTC. It orders the files of one
    contract and must not be compared with time stamps. None for a whole contract.
    """

    contract_id: str | None
    interval: datetime | None


def is_contract_id(name: str) -> bool:
    """Return whether `name` can be a contract's address: 32 to 44 Base58 characters."""
    return _CONTRACT_ID.fullmatch(name) is not None


def parse(stem: str, folders: Sequence[str] = ()) -> FileName | None:
    """Return what `stem`, a file's name without extension, tells, or None.

    `folders` are those above the file, outermost first: the crawl layout names its files
    `<YYYY-MM-DD>_<HHMM-HHMM>` inside a folder of the contract's id, or `<HHMM-HHMM>`
    inside a folder of the day inside that. Hours without any day tell no interval.

    Raises:
        UnreadableFile: the name has the form of an hour, but no hour is like that.
    """
    if match := _CONTRACT_HOUR.fullmatch(stem):
        return FileName(
            match["contract"], _interval(*match.group("day", "start", "end"))
        )
    if match := _WHOLE_CONTRACT.fullmatch(stem):
        return FileName(match["contract"], None)
    return _hour_of_folder(stem, folders)


def _hour_of_folder(stem: str, folders: Sequence[str]) -> FileName | None:
    parent, grandparent = (*reversed(folders), "", "")[:2]
    if (match := _DAY_AND_HOUR.fullmatch(stem)) and is_contract_id(parent):
        return FileName(parent, _interval(*match.group("day", "start", "end")))
    if not (match := _HOUR.fullmatch(stem)):
        return None
    if _DAY.fullmatch(parent) and is_contract_id(grandparent):
        return FileName(grandparent, _interval(parent, match["start"], match["end"]))
    return FileName(parent, None) if is_contract_id(parent) else None


# Hour files of all contracts share a few hundred labels: one object for each.
@lru_cache(maxsize=4096)
def _interval(day: str, start: str, end: str) -> datetime:
    try:
        opens = datetime.strptime(f"{day} {start}", "%Y-%m-%d %H%M").replace(tzinfo=UTC)
    except ValueError:
        opens = None
    is_possible = opens and is_of_this_century(opens) and _is_one_hour(opens, end)
    if opens is None or not is_possible:
        raise UnreadableFile(
            FileReason.INTERVAL_INCONSISTENT, label=f"{day}_{start}-{end}"
        )
    return opens


def _is_one_hour(opens: datetime, end: str) -> bool:
    closes = f"{(opens.hour + 1) % 24:02}{opens.minute:02}"
    # Midnight is published as 0000 and as 2400.
    return end == closes or (closes == "0000" and end == "2400")
