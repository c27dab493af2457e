"""The terms of a contract, from the transaction that creates it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from transactions.formats.columns import ContractTerms
from transactions.formats.entries import Entries, value_of
from transactions.formats.rows import digest
from transactions.formats.times import is_of_this_century

_DATE_FORMAT = "%d-%m-%Y %H:%M:%S"


def contract_terms(tx_id: str, params: Entries, diff: Entries) -> ContractTerms:
    """Return what createContract says; what it leaves out or garbles is None.

    What the contract wrote (VOTING_BASE) is asked first, what was sent second. Where no
    start of issuing is told, ballots are issued from the start of the vote: the contract
    checks nothing else. When issuing stops is never derived, only told.
    """
    told = _teller(params, diff)
    return ContractTerms(
        tx_id=tx_id,
        # Federal contracts block revoting by default.
        revoting_allowed=_is_false(told("isRevoteBlocked")),
        registrar=_registrar(diff),
        issue_opens_at=_moment(told("startDateIssueBallots"))
        or _moment(told("dateStart")),
        issue_closes_at=_moment(told("stopDateIssueBallots")),
        voting_closes_at=_moment(told("dateEnd")),
    )


def _teller(params: Entries, diff: Entries) -> Callable[[str], object]:
    base = _voting_base(diff)

    def told(name: str) -> object:
        written = base.get(name)
        return value_of(params, name) if written is None else written

    return told


def _voting_base(diff: Entries) -> dict[str, Any]:
    try:
        base = orjson.loads(str(value_of(diff, "VOTING_BASE")))
    except orjson.JSONDecodeError:
        return {}
    return base if isinstance(base, dict) else {}


def _is_false(value: object) -> bool:
    # bool is an int: 0 and False are the same answer here.
    return value == 0 or (isinstance(value, str) and value.strip().lower() == "false")


def _registrar(diff: Entries) -> bytes | None:
    key = value_of(diff, "BLINDSIG_ISSUE_REGISTRATOR")
    return digest(key.encode()) if key and isinstance(key, str) else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.strptime(str(value), _DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None
    # Absurd ones tell nothing, as those of transactions do not.
    return moment if is_of_this_century(moment) else None
