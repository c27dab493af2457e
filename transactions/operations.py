"""What a transaction did and how the contract answered: the words of the ledger.

The numbers are stored, so they never change; the names are those of the API.
"""

from enum import IntEnum


class Operation(IntEnum):
    """What a transaction asked of its contract."""

    OTHER = 0
    BULLETIN_ISSUED = 1
    VOTE_CAST = 2
    ADD_VOTERS_LIST = 3
    ADD_TO_VOTERS_LIST = 4
    REMOVE_FROM_VOTERS_LIST = 5
    CREATE_CONTRACT = 6
    ADD_MAIN_KEY = 7
    START_VOTING = 8
    FINISH_VOTING = 9
    START_ISSUING = 10
    STOP_ISSUING = 11
    UPDATE_SERVER_LIST = 12
    DECRYPTION = 13
    COMMISSION_DECRYPTION = 14
    RESULTS = 15

    @property
    def label(self) -> str:
        """Return the name that the API and plain-column files use."""
        return self.name.lower()


class Outcome(IntEnum):
    """How the contract answered."""

    ACCEPTED = 1
    FAILED = 2
    # An issue or vote that wrote neither its result nor a failure.
    OTHER = 3

    @property
    def label(self) -> str:
        """Return the name that the API and plain-column files use."""
        return self.name.lower()


# Operation names as the ledger spells them, in lower case.
LEDGER_NAMES = {
    "createcontract": Operation.CREATE_CONTRACT,
    "addvoterslist": Operation.ADD_VOTERS_LIST,
    "addtovoterslist": Operation.ADD_TO_VOTERS_LIST,
    "removefromvoterslist": Operation.REMOVE_FROM_VOTERS_LIST,
    "addmainkey": Operation.ADD_MAIN_KEY,
    "startvoting": Operation.START_VOTING,
    "finishvoting": Operation.FINISH_VOTING,
    "startissueballots": Operation.START_ISSUING,
    "stopissueballots": Operation.STOP_ISSUING,
    "updateserverlist": Operation.UPDATE_SERVER_LIST,
    "blindsigissue": Operation.BULLETIN_ISSUED,
    "vote": Operation.VOTE_CAST,
    "decryption": Operation.DECRYPTION,
    "commissiondecryption": Operation.COMMISSION_DECRYPTION,
    "results": Operation.RESULTS,
}


def operation_named(name: str) -> Operation:
    """Return the operation that the ledger, the API or a plain-column file calls `name`.

    An unknown name is `Operation.OTHER`: such rows are kept and counted only as
    transactions.
    """
    folded = name.strip().lower()
    return LEDGER_NAMES.get(folded) or _API_NAMES.get(folded, Operation.OTHER)


_API_NAMES = {operation.label: operation for operation in Operation}
