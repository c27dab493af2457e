"""Sort the statements of a chunk: what is new, what is known, what needs a decision.

Nearly all lines of a live feed are new, so the first attempt asks the database only about
those that smell of a second statement, and lets the unique indexes object to the rest. A
look-up of every id and voter would halve the load rate.
"""

from collections import defaultdict
from dataclasses import dataclass, replace

import polars as pl

from transactions.loader import ledger
from transactions.loader.chunk import FILE_COLUMNS
from transactions.loader.settle import Settlement, Statement, settle
from transactions.operations import Operation, Outcome

KEY = ["constituency_id", "tx_id"]
VOTER = ["constituency_id", "sender"]
STATEMENT_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "part": pl.UInt16,
    "batch_id": pl.Int64,
    "constituency_id": pl.Int64,
    **FILE_COLUMNS,
    "position": pl.Int64,
    "is_placed": pl.Boolean,
}
STATEMENT_COLUMNS = list(STATEMENT_SCHEMA)
IS_LIVE_VOTE = (
    (pl.col("operation") == Operation.VOTE_CAST)
    & (pl.col("outcome") == Outcome.ACCEPTED)
    & ~pl.col("rolled_back")
)
IS_LIVE_ISSUE = (
    (pl.col("operation") == Operation.BULLETIN_ISSUED)
    & (pl.col("outcome") == Outcome.ACCEPTED)
    & ~pl.col("rolled_back")
)
HAS_VOTER = pl.col("sender").is_not_null()


@dataclass(slots=True)
class Plan:
    """What a chunk will do to the ledger."""

    # New transactions as they will be stored, with `counted`.
    new: pl.DataFrame
    # Rows of the chunk that are new and stand alone: accepted as they are.
    plain: pl.DataFrame
    settlements: list[Settlement]
    # Voters whose first vote has to be found again after the rows are written.
    contested: set[ledger.Voter]
    # Rows were known, or voters had voted, although nothing in the chunk hinted at it.
    has_surprises: bool

    @property
    def flipped(self) -> list[Settlement]:
        """Return the known transactions whose state changes."""
        return [
            settlement
            for settlement in self.settlements
            if settlement.stored is not None
            and settlement.stored.rolled_back != settlement.holder.rolled_back
        ]

    @property
    def restated(self) -> list[Settlement]:
        """Return the known transactions that another statement decides now."""
        return [
            settlement
            for settlement in self.settlements
            if settlement.stored is not None
            and settlement.holder.outranks(settlement.stored)
        ]


def make_plan(frame: pl.DataFrame, *, ask_about_all: bool) -> Plan:
    """Decide what each statement does; look up all ids and voters, or only suspects."""
    marked = frame.with_columns(is_repeated=pl.len().over(KEY) > 1)
    suspects = marked.filter(pl.col("is_repeated") | pl.col("rolled_back"))
    asked = marked if ask_about_all else suspects
    known = ledger.find_known(asked.select(KEY).unique().rows())
    open_rows = _rows_to_settle(marked, known)
    settlements = _settle_all(open_rows, known)
    plain = frame.select(STATEMENT_COLUMNS)
    if settlements:
        plain = plain.join(open_rows, on=KEY, how="anti")
    new = pl.concat([plain, _settled_as_new(settlements)])
    voted = ledger.find_voted_keys(_voters(new)) if ask_about_all else set()
    contested = _voters_of_flipped_votes(settlements) | voted
    return Plan(
        new=_with_counted(new, contested),
        plain=plain,
        settlements=settlements,
        contested=contested,
        has_surprises=bool(voted or known.keys() - set(suspects.select(KEY).rows())),
    )


def _voters(rows: pl.DataFrame) -> list[ledger.Voter]:
    """Return the keys whose votes are among these rows."""
    return rows.filter(IS_LIVE_VOTE & HAS_VOTER).select(VOTER).unique().rows()


def _rows_to_settle(
    marked: pl.DataFrame, known: dict[ledger.Key, Statement]
) -> pl.DataFrame:
    keys = pl.DataFrame(
        list(known), schema={name: marked.schema[name] for name in KEY}, orient="row"
    )
    is_known = marked.join(keys, on=KEY, how="semi", maintain_order="left")
    repeated = marked.filter("is_repeated")
    rows = pl.concat([is_known, repeated]).unique(["part", "line"], maintain_order=True)
    return rows.sort("part", "line").select(STATEMENT_COLUMNS)


def _settle_all(
    rows: pl.DataFrame, known: dict[ledger.Key, Statement]
) -> list[Settlement]:
    by_key: dict[ledger.Key, list[Statement]] = defaultdict(list)
    for values in rows.iter_rows(named=True):
        statement = Statement(**values)
        by_key[statement.constituency_id, statement.tx_id].append(statement)
    settlements = [settle(known.get(key), lines) for key, lines in by_key.items()]
    for settlement in settlements:
        settlement.final = _with_state_counted(settlement)
    return settlements


def _with_state_counted(settlement: Settlement) -> Statement:
    """Let a flipped transaction count, or not; voters with a key are elected later."""
    holder, stored = settlement.holder, settlement.stored
    if stored is None or stored.rolled_back == holder.rolled_back:
        return holder
    counts = (
        not holder.rolled_back
        and holder.outcome == Outcome.ACCEPTED
        and (
            holder.operation == Operation.BULLETIN_ISSUED
            or (holder.operation == Operation.VOTE_CAST and holder.sender is None)
        )
    )
    return replace(holder, counted=counts)


def _settled_as_new(settlements: list[Settlement]) -> pl.DataFrame:
    rows = [s.holder for s in settlements if s.stored is None]
    values = [{name: getattr(row, name) for name in STATEMENT_COLUMNS} for row in rows]
    return pl.DataFrame(values, schema=STATEMENT_SCHEMA)


def _voters_of_flipped_votes(settlements: list[Settlement]) -> set[ledger.Voter]:
    return {
        (s.holder.constituency_id, s.holder.sender)
        for s in settlements
        if s.stored is not None
        and s.stored.rolled_back != s.holder.rolled_back
        and s.holder.operation == Operation.VOTE_CAST
        and s.holder.outcome == Outcome.ACCEPTED
        and s.holder.sender is not None
    }


def _with_counted(new: pl.DataFrame, contested: set[ledger.Voter]) -> pl.DataFrame:
    """Let issues count, and of each uncontested voter's votes the first."""
    counts = IS_LIVE_ISSUE | (IS_LIVE_VOTE & ~pl.col("is_beaten"))
    beaten = _beaten_votes(new, contested)
    if beaten.is_empty():
        marked = new.with_columns(is_beaten=pl.lit(value=False))
    else:
        marked = new.join(
            beaten.with_columns(is_beaten=pl.lit(value=True)), on=KEY, how="left"
        ).with_columns(pl.col("is_beaten").fill_null(value=False))
    return marked.select(*STATEMENT_COLUMNS, counted=counts)


def _beaten_votes(new: pl.DataFrame, contested: set[ledger.Voter]) -> pl.DataFrame:
    """Return the keys of votes that do not count, or not before they are elected."""
    votes = new.filter(IS_LIVE_VOTE & HAS_VOTER).select(*KEY, "sender", "timestamp_ms")
    repeated = votes.filter(pl.len().over(VOTER) > 1).sort("timestamp_ms", "tx_id")
    beaten = repeated.filter(~pl.struct(VOTER).is_first_distinct()).select(KEY)
    if not contested:
        return beaten
    voters = pl.DataFrame(
        sorted(contested), schema={n: new.schema[n] for n in VOTER}, orient="row"
    )
    waiting = votes.join(voters, on=VOTER, how="semi").select(KEY)
    return pl.concat([beaten, waiting]).unique()
