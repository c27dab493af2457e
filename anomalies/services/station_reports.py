"""Reports on files of polling stations, stored for an election."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction

from anomalies.models import StationReport
from anomalies.services.forensics import forensics
from anomalies.services.station_files import (
    Readable,
    at_most,
    parse_stations,
    read_bytes,
)
from elections.models import Election

# Longer names than file systems have; of those the end is kept, which tells the kind.
NAME_CHARACTERS = 255


class ElectionGone(Exception):
    """The election was deleted while its report was computed: nothing is stored."""


@dataclass(frozen=True, slots=True)
class StoredReport:
    """A report as it is stored."""

    report: StationReport
    # False: this file was there already.
    is_new: bool


def store_report(
    *,
    election: Election,
    source: Path | Readable,
    name: str,
    by: AbstractBaseUser | AnonymousUser | None,
    now: datetime,
) -> StoredReport:
    """Apply the post-vote rules to a file and store what they say.

    The same file for the same election again gives the report that is stored. Seconds of
    computing, during which no transaction is open.

    Raises:
        UnreadableStations: the file has no polling stations that can be read.
        ElectionGone: somebody deleted the election meanwhile.
    """
    if isinstance(source, Path):
        content = read_bytes(source)
    else:
        content = at_most(source, name=name)
    digest = sha256(content).digest()
    known = StationReport.objects.filter(election=election, sha256=digest).first()
    if known is not None:
        return StoredReport(known, is_new=False)
    stations = parse_stations(content, name=name)
    row = StationReport(
        election=election,
        file_name=_printable(name),
        sha256=digest,
        stations=stations.size,
        report=forensics(stations).as_json(),
        uploaded_by_id=by.pk if by is not None else None,
        created_at=now,
    )
    return _write(row)


def _printable(name: str) -> str:
    """Return a name that a database can store and a page can show."""
    shown = "".join(each if each.isprintable() else "\ufffd" for each in name)
    return shown[-NAME_CHARACTERS:]


def _write(row: StationReport) -> StoredReport:
    """Write the row, unless another process had the same file and was faster."""
    with transaction.atomic():
        # Held until the commit, so that its deletion finds the report.
        elections = Election.objects.select_for_update(no_key=True)
        if not elections.filter(pk=row.election_id).exists():
            raise ElectionGone("The election was deleted meanwhile: nothing is stored.")
        twins = StationReport.objects.filter(
            election=row.election_id, sha256=row.sha256
        )
        if (twin := twins.first()) is not None:
            return StoredReport(twin, is_new=False)
        row.save(force_insert=True)
    return StoredReport(row, is_new=True)
