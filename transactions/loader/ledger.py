"""The statements that read and write the ledger. Every writer holds the locks."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import polars as pl
from django.db import connection

from transactions.loader.bulk import copy_records
from transactions.loader.settle import Settlement, Statement
from transactions.models import RollbackEvent
from transactions.sql import statements

Key = tuple[int, str]
Voter = tuple[int, bytes]

LEDGER_COLUMNS = [
    "constituency_id",
    "tx_id",
    "timestamp",
    "operation",
    "outcome",
    "quantity",
    "sender",
    "recipients",
    "polling_station",
    "payload",
    "batch_id",
    "position",
    "rolled_back",
    "counted",
]
# Rows written at once: the server stores one piece while the next is being written.
COPY_ROWS = 4_000
# Quoting every text keeps an id that reads "\N" from becoming a null.
COPY_LEDGER = 'COPY transactions_transaction ("{}") FROM STDIN {}'.format(
    '", "'.join(LEDGER_COLUMNS), "WITH (FORMAT csv, NULL '\\N')"
)


def copy_rows(rows: pl.DataFrame) -> None:
    """Append new transactions, in the order of the key: neighbours share index pages.

    Raises:
        IntegrityError: one of them is known, or its voter's vote counts already.
    """
    ordered = rows.sort("constituency_id", "tx_id").select(
        pl.from_epoch("timestamp_ms", time_unit="ms").alias("timestamp"),
        pl.exclude("sender", "recipients", "payload"),
        *(
            ("\\x" + pl.col(name).bin.encode("hex")).alias(name)
            for name in ("sender", "recipients", "payload")
        ),
    )
    # Django turns the driver's errors into its own for execute(), not for copy().
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(COPY_LEDGER) as copy,
    ):
        for piece in ordered.select(LEDGER_COLUMNS).iter_slices(COPY_ROWS):
            copy.write(_as_csv(piece))


def _as_csv(rows: pl.DataFrame) -> str:
    return rows.write_csv(
        include_header=False,
        null_value="\\N",
        quote_style="non_numeric",
        datetime_format="%Y-%m-%d %H:%M:%S%.3f+00",
    )


def find_known(keys: Sequence[Key]) -> dict[Key, Statement]:
    """Return what the ledger holds of these transactions."""
    if not keys:
        return {}
    rows = _fetch("find_known", **_arrays(keys, "constituency_ids", "tx_ids"))
    return {(row["constituency_id"], row["tx_id"]): _stored(row) for row in rows}


def find_voted_keys(voters: Sequence[Voter]) -> set[Voter]:
    """Return those of the given keys that have a vote that counts."""
    rows = _fetch("find_voted_keys", **_arrays(voters, "constituency_ids", "senders"))
    return {(row["constituency_id"], bytes(row["sender"])) for row in rows}


def write_states(settlements: Iterable[Settlement]) -> None:
    """Store which statement holds of known transactions; votes are elected afterwards."""
    changed = [settlement.holder for settlement in settlements]
    if not changed:
        return
    _execute(
        "set_state",
        constituency_ids=[row.constituency_id for row in changed],
        tx_ids=[row.tx_id for row in changed],
        rolled_back=[row.rolled_back for row in changed],
        positions=[row.position for row in changed],
        counted=[row.counted for row in changed],
    )


def record_flips(settlements: Iterable[Settlement], now: datetime) -> None:
    """Append every change of state, so that a past one can be rebuilt."""
    copy_records(
        [
            RollbackEvent(
                constituency_id=flip.constituency_id,
                tx_id=flip.tx_id,
                rolled_back=flip.rolled_back,
                position=flip.position,
                batch_id=flip.batch_id,
                recorded_at=now,
            )
            for settlement in settlements
            for flip in settlement.flips
        ]
    )


def elect_first_votes(voters: Sequence[Voter]) -> list[tuple[int, int, int]]:
    """Let the first vote of each key count, and no other.

    Returns the changes as (constituency, time stamp in ms, +1 counts now or −1 no more).
    """
    if not voters:
        return []
    rows = _tuples("find_first_votes", **_arrays(voters, "constituency_ids", "senders"))
    removed = [(row[0], row[3], row[4]) for row in rows if row[3] is not None]
    elected = [(row[0], row[1], row[2]) for row in rows if row[1] is not None]
    # First the old ones out: the index allows one counted vote per key at any moment.
    _set_counted(removed, counted=False)
    _set_counted(elected, counted=True)
    return [(place, time, -1) for place, _, time in removed] + [
        (place, time, +1) for place, _, time in elected
    ]


def refresh_terms(constituency_ids: Sequence[int]) -> None:
    """Tell constituencies what the ledger says of their rules and times."""
    _execute("refresh_terms", constituency_ids=list(constituency_ids))


def _set_counted(rows: Sequence[tuple[int, str, int]], *, counted: bool) -> None:
    if rows:
        keys = [(place, tx_id) for place, tx_id, _ in rows]
        _execute(
            "set_counted",
            counted=counted,
            **_arrays(keys, "constituency_ids", "tx_ids"),
        )


def _stored(row: dict[str, Any]) -> Statement:
    """Return a row of the ledger as the statement that holds."""
    for name in ("sender", "recipients", "payload"):
        row[name] = None if row[name] is None else bytes(row[name])
    return Statement(part=-1, line=0, is_placed=True, **row)


def _arrays(pairs: Sequence[tuple[Any, Any]], *names: str) -> dict[str, list[Any]]:
    first, second = names
    return {first: [pair[0] for pair in pairs], second: [pair[1] for pair in pairs]}


def _execute(name: str, **parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statements[name], parameters)


def _tuples(name: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statements[name], parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _fetch(name: str, **parameters: Any) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statements[name], parameters)
        columns = [column[0] for column in cursor.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
