"""What rows of the ledger add to the statistics of their hours."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import starmap

import polars as pl

from transactions.deltas import HourDelta, MinuteDelta
from transactions.loader.chunk import MS_PER_HOUR
from transactions.loader.settle import Settlement, Statement
from transactions.operations import Operation, Outcome

COUNTS = [
    "bulletins_issued",
    "votes_cast",
    "revotes",
    "transaction_count",
    "failed_count",
    "registered_voters",
    "voters_lists",
]
LISTS = [Operation.ADD_VOTERS_LIST, Operation.ADD_TO_VOTERS_LIST]
# What is counted per minute: the register belongs to no minute.
MINUTE_COUNTS = COUNTS[:5]
MS_PER_MINUTE = 60_000
REGISTER_CHANGES = [*LISTS, Operation.REMOVE_FROM_VOTERS_LIST]
NUMBERS = dict.fromkeys(COUNTS, pl.Int64)
SCHEMA = {"constituency_id": pl.Int64, "timestamp_ms": pl.Int64, **NUMBERS}


def of_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return what each row counts for, by its state and whether it is `counted`."""
    holds = ~pl.col("rolled_back")
    accepted = holds & (pl.col("outcome") == Outcome.ACCEPTED)
    vote = accepted & (pl.col("operation") == Operation.VOTE_CAST)
    issue = accepted & (pl.col("operation") == Operation.BULLETIN_ISSUED)
    on_register = accepted & pl.col("operation").is_in(REGISTER_CHANGES)
    counts = {
        "bulletins_issued": issue * pl.col("quantity"),
        "votes_cast": vote & pl.col("counted"),
        "revotes": vote & ~pl.col("counted"),
        "transaction_count": holds,
        "failed_count": holds & (pl.col("outcome") == Outcome.FAILED),
        "registered_voters": on_register * pl.col("quantity"),
        "voters_lists": accepted & pl.col("operation").is_in(LISTS),
    }
    return rows.select(
        "constituency_id",
        "timestamp_ms",
        *(count.cast(pl.Int64).alias(name) for name, count in counts.items()),
    )


def of_flips(settlements: Sequence[Settlement]) -> pl.DataFrame:
    """Return what known transactions count for now, less what they counted for."""
    before = of_rows(_states(s.stored for s in settlements if s.stored))
    after = of_rows(_states(s.holder for s in settlements))
    return pl.concat([before.with_columns(-pl.col(COUNTS)), after])


def of_elections(changes: Sequence[tuple[int, int, int]]) -> pl.DataFrame:
    """Return what votes count for that took, or lost, the place of their key's first."""
    rows = [
        {
            "constituency_id": constituency_id,
            "timestamp_ms": timestamp_ms,
            "votes_cast": sign,
            "revotes": -sign,
        }
        for constituency_id, timestamp_ms, sign in changes
    ]
    return pl.DataFrame(rows, schema=SCHEMA).with_columns(pl.col(COUNTS).fill_null(0))


def hour_deltas(changes: pl.DataFrame, timezones: dict[int, str]) -> list[HourDelta]:
    """Sum the changes by constituency and hour, hours cut in the constituency's zone."""
    if changes.is_empty():
        return []
    hours = pl.concat(_with_hours(changes, timezones))
    sums = hours.group_by("constituency_id", "hour_ms").agg(
        pl.col(COUNTS).sum(), last_ms=pl.col("timestamp_ms").max()
    )
    return [_delta(row) for row in sums.sort("constituency_id", "hour_ms").to_dicts()]


def minute_deltas(changes: pl.DataFrame, *, since: datetime) -> list[MinuteDelta]:
    """Sum the changes by constituency and minute, of the minutes from `since` on."""
    since_ms = round(since.timestamp() * 1000)
    newest_ms = changes["timestamp_ms"].max()
    # Bulk loads of old elections end here.
    if not isinstance(newest_ms, int) or newest_ms < since_ms:
        return []
    minute_ms = pl.col("timestamp_ms") - pl.col("timestamp_ms") % MS_PER_MINUTE
    sums = (
        changes.filter(pl.col("timestamp_ms") >= since_ms)
        .group_by(
            "constituency_id",
            minute=pl.from_epoch(minute_ms, time_unit="ms").dt.replace_time_zone("UTC"),
        )
        .agg(pl.col(MINUTE_COUNTS).sum())
        .filter(pl.any_horizontal(pl.col(MINUTE_COUNTS) != 0))
        .sort("constituency_id", "minute")
    )
    return list(starmap(MinuteDelta, sums.iter_rows()))


def _states(rows: Iterable[Statement]) -> pl.DataFrame:
    columns = {
        "constituency_id": pl.Int64,
        "timestamp_ms": pl.Int64,
        "operation": pl.Int16,
        "outcome": pl.Int16,
        "quantity": pl.Int32,
        "rolled_back": pl.Boolean,
        "counted": pl.Boolean,
    }
    values = [{name: getattr(row, name) for name in columns} for row in rows]
    return pl.DataFrame(values, schema=columns)


def _with_hours(
    changes: pl.DataFrame, timezones: dict[int, str]
) -> Iterator[pl.DataFrame]:
    ids = changes["constituency_id"].unique().to_list()
    zones = pl.DataFrame(
        {"constituency_id": ids, "timezone": [timezones[i] for i in ids]},
        schema={"constituency_id": pl.Int64, "timezone": pl.String},
    )
    by_zone = changes.join(zones, on="constituency_id").partition_by(
        "timezone", as_dict=True, include_key=False
    )
    for (timezone,), rows in by_zone.items():
        yield rows.with_columns(hour_ms=_hour_start(str(timezone)))


def _hour_start(timezone: str) -> pl.Expr:
    """Cut time stamps at the full hour of a zone, which may lie at a half hour of UTC."""
    instant = pl.from_epoch("timestamp_ms", time_unit="ms").dt.replace_time_zone("UTC")
    local = instant.dt.convert_time_zone(timezone)
    offset = local.dt.base_utc_offset() + local.dt.dst_offset()
    into_hour = (pl.col("timestamp_ms") + offset.dt.total_milliseconds()) % MS_PER_HOUR
    return pl.col("timestamp_ms") - into_hour


def _delta(row: dict[str, int]) -> HourDelta:
    return HourDelta(
        constituency_id=row["constituency_id"],
        hour=datetime.fromtimestamp(row["hour_ms"] / 1000, tz=UTC),
        last_transaction_at=datetime.fromtimestamp(row["last_ms"] / 1000, tz=UTC),
        **{name: row[name] for name in COUNTS},
    )
