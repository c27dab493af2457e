"""Reads of what the logical rules judge, one statement each.

Hours that restrict a read are instants; an hour of a constituency belongs to them by the
UTC hour in which it begins, since zones with half hours begin theirs in between.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.db import connection

from anomalies.rules.logical import (
    IDS_SHOWN,
    ISSUERS_SHOWN,
    Acts,
    Conflict,
    Feed,
    FileVersion,
    FurtherVote,
    Issue,
    Issuer,
    Issuers,
    Some,
    Window,
)
from anomalies.rules.logical.feed import GRACE
from anomalies.rules.logical.times import LATE_VOTES
from anomalies.sql import statements
from elections.models import Constituency
from transactions.operations import Operation
from transactions.positions import INTERVAL_BITS, ORDINAL_BITS
from transactions.row_hashes import HASH_BYTES, row_hashes

ONE_HOUR = timedelta(hours=1)
# The ledger holds no other times.
EVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)

Hours = Collection[datetime] | None
PlaceHour = tuple[int, datetime]


@dataclass(frozen=True, slots=True)
class Terms:
    """What is known of one constituency."""

    constituency: int
    registered_voters: int | None
    revoting_allowed: bool | None
    window: Window
    has_ballots: bool


@dataclass(frozen=True, slots=True)
class FeedState:
    """How far the ledger of one constituency goes, and what is missing before."""

    constituency: int
    is_fed_by_files: bool
    # End of the newest hour file.
    fed_until: datetime | None
    # Newest ledger time of the election.
    as_of: datetime | None
    closes_at: datetime | None
    # Of the hours that must have a file by now; None where nobody knows the window.
    first_hour: datetime | None
    end_hour: datetime | None
    missing: Sequence[datetime]

    @property
    def expected(self) -> Feed | None:
        """Return the files that had to come, None where it gets none."""
        if not self.is_fed_by_files or not self.first_hour or not self.end_hour:
            return None
        return Feed(self.constituency, self.first_hour, self.end_hour, self.missing)

    def is_closed(self, *, now: datetime) -> bool:
        """Tell whether the ledger reaches the close of the voting."""
        if self.closes_at is None or self.closes_at > now:
            return False
        if self.fed_until is not None:
            return self.fed_until >= self.closes_at
        # Rows come to the second, so the last one is a while before the close.
        return self.as_of is not None and self.as_of >= self.closes_at - ONE_HOUR

    def last_hour(self, *, now: datetime) -> datetime | None:
        """Return the latest start of an hour whose totals are complete."""
        if self.fed_until is not None:
            return min(self.fed_until, now) - ONE_HOUR
        return self.as_of and min(self.as_of, now - ONE_HOUR)


def terms_of(election_id: int) -> dict[int, Terms]:
    """Return what is known of the constituencies of an election, by id."""
    rows = Constituency.objects.filter(election=election_id).order_by("id")
    columns = (
        *("id", "registered_voters", "revoting_allowed", "bulletins_issued"),
        *("votes_cast", "issue_opens_at", "issue_closes_at", "voting_closes_at"),
    )
    return {row[0]: _terms(*row) for row in rows.values_list(*columns)}


def _terms(
    pk: int,
    registered: int | None,
    revoting_allowed: bool | None,
    issued: int,
    cast: int,
    *window: datetime | None,
) -> Terms:
    opens, stops, closes = window
    return Terms(
        constituency=pk,
        registered_voters=registered,
        revoting_allowed=revoting_allowed,
        window=Window(
            issue_opens_at=opens, issue_closes_at=stops, voting_closes_at=closes
        ),
        has_ballots=bool(issued or cast),
    )


def feed_states(election_id: int, *, now: datetime) -> dict[int, FeedState]:
    """Return how far each constituency of an election is fed, by id."""
    rows = _rows(
        "hour_feeds",
        election_id=election_id,
        now=now,
        grace=GRACE,
        late_votes=LATE_VOTES,
    )
    return {row[0]: FeedState(*row) for row in rows}


def exceeding_totals(
    election_id: int,
) -> dict[int, tuple[list[datetime], list[int], list[int]]]:
    """Return hours, issued and cast of constituencies where a total ever was too large."""
    rows = _rows("exceeding_totals", election_id=election_id)
    return {place: (hours, issued, cast) for place, hours, issued, cast in rows}


def highest_registers(constituency_ids: Collection[int]) -> dict[int, int]:
    """Return the largest register each constituency has had, by lists on the ledger."""
    return dict(_rows("highest_registers", constituency_ids=list(constituency_ids)))


def acts_outside(
    election_id: int, windows: dict[int, Window], *, hours: Hours
) -> dict[PlaceHour, dict[Operation, Acts]]:
    """Return accepted issues and votes outside their windows, per hour."""
    spans = [
        (place, operation, span)
        for place, window in windows.items()
        for operation, span in (
            (Operation.BULLETIN_ISSUED, window.issuing),
            (Operation.VOTE_CAST, window.voting),
        )
    ]
    rows = _rows(
        "acts_outside_window",
        election_id=election_id,
        constituency_ids=[place for place, _, _ in spans],
        operations=[int(operation) for _, operation, _ in spans],
        opens_at=[span.opens_at for _, _, span in spans],
        closes_at=[span.closes_at for _, _, span in spans],
        shown=IDS_SHOWN,
        **_touched(hours),
    )
    found: dict[PlaceHour, dict[Operation, Acts]] = defaultdict(dict)
    for place, hour, operation, *acts in rows:
        found[place, hour][Operation(operation)] = Acts(*acts)
    return found


def rewritten_transactions(election_id: int) -> dict[PlaceHour, Some[Conflict]]:
    """Return the transactions that came with two contents, per hour."""
    rows = _rows("rewritten_transactions", election_id=election_id, shown=IDS_SHOWN)
    return {
        (place, hour): Some(json.loads(shown), count)
        for place, hour, count, shown in rows
    }


def further_votes(
    election_id: int, *, hours: Hours
) -> dict[PlaceHour, Some[FurtherVote]]:
    """Return second votes per hour, where nobody knows them to be allowed."""
    rows = _rows(
        "further_votes",
        election_id=election_id,
        shown=IDS_SHOWN,
        **_touched(hours),
    )
    return {
        (place, hour): Some([FurtherVote(**vote) for vote in json.loads(votes)], count)
        for place, hour, count, votes in rows
    }


def repeated_issues(election_id: int, *, hours: Hours) -> dict[int, list[Issue]]:
    """Return the issues to whoever was given more than one bulletin, by contract.

    Those of a contract are complete, but contracts are left out where none of the
    repeated bulletins was issued about `hours`: the first one may be days older.
    """
    places = _contracts_with_repeats(election_id)
    if not places:
        return {}
    found: dict[int, list[Issue]] = defaultdict(list)
    rows = _rows("repeated_bulletins", constituency_ids=places)
    for place, tx_id, at, hour, recipient in rows:
        found[place].append(Issue(tx_id, at, hour, bytes(recipient)))
    period = _touched(hours)
    return {
        place: issues
        for place, issues in found.items()
        if any(period["since"] <= issue.at < period["until"] for issue in issues)
    }


def _contracts_with_repeats(election_id: int) -> list[int]:
    """Return the contracts that seem to have given a recipient more than one bulletin.

    None that did is left out; one that did not is there by an accident of its digests.
    """
    with connection.cursor() as cursor, connection.wrap_database_errors:
        # One contract at a time: all recipients of a country would be 200 MB.
        rows = cursor.stream(
            statements["recipients_of_contracts"], {"election_id": election_id}
        )
        return sorted(place for place, recipients in rows if _seem_repeated(recipients))


def _seem_repeated(recipients: bytes) -> bool:
    """Tell whether two digests begin with the same half, which is sorted as a number."""
    halves = np.sort(np.frombuffer(recipients, np.uint64)[::2])
    return bool((halves[1:] == halves[:-1]).any())


@dataclass(frozen=True, slots=True)
class ForeignIssues:
    """Who issued in one hour beside the registrar."""

    registrar: bytes
    # Else it is the contract's busiest issuer.
    is_known: bool
    # The busiest, and all of them together.
    issuers: list[Issuer]
    total: Issuers


def foreign_issues(election_id: int, *, hours: Hours) -> dict[PlaceHour, ForeignIssues]:
    """Return the issues by other keys than the registrar's, per hour."""
    rows = _rows(
        "foreign_issues",
        election_id=election_id,
        keys=ISSUERS_SHOWN,
        shown=ISSUERS_SHOWN,
        **_touched(hours),
    )
    found: dict[PlaceHour, ForeignIssues] = {}
    for place, hour, registrar, is_known, keys, count, bulletins, *issuer in rows:
        total = Issuers(keys, count, bulletins)
        issues = found.setdefault(
            (place, hour), ForeignIssues(bytes(registrar), is_known, [], total)
        )
        key, *counts = issuer
        issues.issuers.append(Issuer(bytes(key), *counts))
    return found


def file_versions(election_id: int) -> dict[PlaceHour, list[FileVersion]]:
    """Return the later versions of hour files, per constituency and hour of the name."""
    rows = _rows(
        "file_versions",
        election_id=election_id,
        shown=IDS_SHOWN,
        ordinal_bits=ORDINAL_BITS,
        interval_bits=INTERVAL_BITS,
    )
    found: dict[PlaceHour, list[FileVersion]] = defaultdict(list)
    for place, hour, *row in rows:
        found[place, hour].append(_version(*row))
    return found


def _version(
    version: int,
    file: str,
    sha256: str,
    earlier_file: str,
    earlier_sha256: str,
    later_rows: bytes,
    earlier_rows: bytes,
    rewritten: list[str],
    turned: list[str],
    vanished_count: int,
    vanished: list[str],
) -> FileVersion:
    before, after = _hashes(earlier_rows), _hashes(later_rows)
    # A state that the version before said nothing of is a new row, not a changed one.
    known = (tx_id for tx_id in turned if row_hashes([tx_id]) in before)
    return FileVersion(
        version=version,
        file=file,
        sha256=sha256,
        earlier_file=earlier_file,
        earlier_sha256=earlier_sha256,
        new_count=len(after - before),
        changed=Some.of(sorted({*rewritten, *known})),
        vanished=Some(vanished, vanished_count),
    )


def _hashes(rows: bytes) -> set[bytes]:
    joined = bytes(rows)
    starts = range(0, len(joined), HASH_BYTES)
    return {joined[start : start + HASH_BYTES] for start in starts}


def _touched(hours: Hours) -> dict[str, Any]:
    """Return the UTC hours as parameters, and a period with all that belongs to them."""
    if hours is None:
        since, until = EVER
        return {"hours": None, "since": since, "until": until}
    utc = {hour.astimezone(UTC) for hour in hours}
    starts = sorted({h.replace(minute=0, second=0, microsecond=0) for h in utc})
    # A constituency's hour begins within the UTC hour that it belongs to.
    since, until = min(starts, default=EVER[0]), max(starts, default=EVER[0])
    return {"hours": starts, "since": since, "until": until + 2 * ONE_HOUR}


def _rows(name: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statements[name], parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
