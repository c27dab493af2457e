"""One contract, hour by hour, as its files publish it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import numpy as np

from transactions.simulator.faults import apply_contract_faults, apply_row_faults
from transactions.simulator.flow import contract_flow
from transactions.simulator.injections import strike_flow, strike_ledger
from transactions.simulator.ledger import Ledger, open_ledger
from transactions.simulator.rows import written
from transactions.simulator.times import HOUR, LABEL_ZONE, to_datetime
from transactions.simulator.world import Contract, World


@dataclass(frozen=True, slots=True)
class HourRows:
    """What one hour file holds; `rows` are lines without their ends, in file order."""

    contract_id: str
    hour: datetime
    rows: tuple[bytes, ...]
    # 1 for the first publication of the hour.
    version: int = 1
    has_final_newline: bool = True
    # CR LF between the rows, and a blank line after the first.
    has_crlf: bool = False
    midnight: str = "0000"

    @property
    def stem(self) -> str:
        """Return the name of the file without its ending; its hour is a Moscow label."""
        start = self.hour.astimezone(LABEL_ZONE)
        end = f"{start.hour + 1:02d}00" if start.hour < 23 else self.midnight
        return f"{self.contract_id}_{start:%Y-%m-%d}_{start:%H}00-{end}"

    @property
    def content(self) -> bytes:
        """Return the bytes of the file."""
        end = b"\r\n" if self.has_crlf else b"\n"
        rows = self.rows
        if self.has_crlf and rows:
            rows = (rows[0], b"", *rows[1:])
        body = end.join(rows)
        return body + end if rows and self.has_final_newline else body


def contract_ledger(world: World, contract: Contract) -> Ledger:
    """Return everything that happens in one contract, before any of it is written.

    It depends on the world and the contract alone, whatever was made before.
    """
    flow = contract_flow(world, contract)
    applied = strike_flow(world, contract, flow)
    ledger = open_ledger(world, contract, flow)
    ledger.settle()
    apply_row_faults(world, ledger)
    ledger.injections.extend(applied + strike_ledger(world, ledger))
    apply_contract_faults(world, ledger)
    return ledger


def contract_hours(world: World, contract: Contract) -> Iterator[HourRows]:
    """Yield the hour files of one contract in order, then later versions of some.

    Every hour of the election has one, empty or not, unless it is missing; hours before
    and after have one where they hold rows.
    """
    yield from ledger_hours(world, contract_ledger(world, contract))


def ledger_hours(world: World, ledger: Ledger) -> Iterator[HourRows]:
    """Yield the hour files of a ledger that exists already."""
    hours = ledger.lines["at"] // HOUR * HOUR
    lines = written(ledger, ledger.lines)
    for hour, count in _hour_counts(world, hours).items():
        rows = tuple(islice(lines, count))
        if hour not in ledger.missing_hours:
            yield _hour(ledger, hour, rows)
    for version in ledger.republished:
        rows = tuple(written(ledger, version.lines))
        yield _hour(ledger, version.hour_ms, rows, version=2)


def _hour_counts(
    world: World, hours: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> dict[int, int]:
    """Return the number of lines of every published hour, in order."""
    starts, counts = np.unique(hours, return_counts=True)
    found = dict.fromkeys(
        range(world.first_hour_ms, world.last_hour_ms + HOUR, HOUR), 0
    )
    found.update(zip(starts.tolist(), counts.tolist(), strict=True))
    return dict(sorted(found.items()))


def _hour(
    ledger: Ledger, hour: int, rows: tuple[bytes, ...], version: int = 1
) -> HourRows:
    contract = ledger.contract
    return HourRows(
        contract_id=contract.contract_id,
        hour=to_datetime(hour),
        rows=rows,
        version=version,
        has_final_newline=hour not in ledger.unterminated_hours,
        has_crlf=hour in ledger.crlf_hours,
        # Both spellings of the last hour of a day are legal.
        midnight="2400" if contract.index % 2 else "0000",
    )
