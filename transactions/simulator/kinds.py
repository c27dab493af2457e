"""The words of the simulator: what may be injected into an election, what may go wrong.

Injections are what a detector has to find. Faults are what real exports look like and
nobody should be alarmed by, except for a note to staff; most come with a legal twin,
which differs in one thing and is harmless.
"""

import math
from dataclasses import dataclass

# Kind -> what happens and what SIZE means. Percentages are written 3 or 3%.
INJECTION_KINDS = {
    "burst": "SIZE % of the register more, issued and cast, in one daytime hour",
    "night": "SIZE % of the register more, issued and cast, between 00 and 06 of one night",
    "slow": "SIZE % more than the usual flow, issued and cast, for 12 hours",
    "outage": "SIZE % of the issues and votes of 2 daytime hours never happen",
    "bot": "SIZE % of the flow of 8 hours happens at one exact spacing instead",
    "sync_region": "SIZE % more in one and the same hour in all of one region",
    "sync_peers": "SIZE % more in one and the same hour in 35 % of one time zone",
    "replay": "SIZE lines appear once more, unchanged",
    "rewrite": "SIZE transactions appear once more with the same id and another time",
    "double_vote": "SIZE keys vote a second time, accepted although revoting is blocked",
    "stuffing": "votes without an issue until votes exceed issues by SIZE % of the register",
    "suppression": "votes are missing so that SIZE % of the bulletins issued are not cast",
    "foreign_issuer": "SIZE accepted issues are sent by a key that is not the registrator",
    "out_of_window": "SIZE issues with their votes happen after the vote has closed",
    "rewritten_file": "SIZE hour files are published again, a row changed and a row gone",
}
COUNTED_KINDS = frozenset(
    {
        "replay",
        "rewrite",
        "double_vote",
        "foreign_issuer",
        "out_of_window",
        "rewritten_file",
    }
)
# Kinds whose size is a part of something and cannot exceed all of it.
PARTIAL_KINDS = frozenset({"outage", "bot", "suppression"})

# Fault -> what happens. "Twin of" names the fault that this one is the harmless side of.
FAULTS = {
    "fail": "0.1-1 % further calls that the contract refused",
    "rollback": "a line, then its -1; the call is sent again under another id",
    "rollback_return": "twin of rollback: line, -1, line, so the transaction counts",
    "rollback_first": "twin of rollback: the -1 stands before its line, which then holds",
    "late": "rows of an hour's last minutes stand in the next hour's file",
    "edge": "twin of late: votes in the last millisecond of an hour, in its own file",
    "same_ms": "two votes in one millisecond, with two ids",
    "int_as_string": "intValue is a string in a third of the rows",
    "batch_issue": "one blindSigIssue hands out two or three bulletins",
    "outage": "nobody's vote arrives for 90 minutes, all of them in the hour after",
    "revote": "contracts where revoting is allowed and 1.7 % of the keys vote again",
    "republished": "an hour file published again with rows its first version lacked",
    "republished_same": "twin of republished: the same content published again",
    "truncated": "the last line of an hour file is cut",
    "no_final_newline": "twin of truncated: the last line is whole but not terminated",
    "crlf": "lines end in CR LF and blank lines stand between",
    "missing_hour": "an hour file with rows is not published; its twin is an empty file",
    "missing_lists": "part of the voters' lists never reached the ledger: over 100 %",
    "full_turnout": "twin of missing_lists: everybody registered takes a bulletin",
    "long_names": "an election whose name no folder can bear, inside one zip archive",
    "unknown_contract": "files of a contract that no folder assigns to an election",
}
# Faults of single rows, spread thinly over all contracts.
ROW_FAULTS = (
    "fail",
    "rollback",
    "rollback_return",
    "rollback_first",
    "late",
    "edge",
    "same_ms",
    "int_as_string",
    "batch_issue",
)
# Faults that strike 2 % of the contracts (at least one), each its own.
CONTRACT_FAULTS = (
    "revote",
    "republished",
    "republished_same",
    "truncated",
    "no_final_newline",
    "crlf",
    "missing_hour",
    "missing_lists",
    "full_turnout",
    "long_names",
)
# What every real election shows: nothing here loses a row or needs a person.
DEFAULT_FAULTS = frozenset(ROW_FAULTS)


@dataclass(frozen=True, slots=True)
class Injection:
    """One kind of irregularity with its size; the table above says what a size means."""

    kind: str
    size: float

    def __str__(self) -> str:
        return f"{self.kind}:{self.size:g}"


def parse_injection(text: str) -> Injection:
    """Read "KIND:SIZE".

    Raises:
        ValueError: the kind is unknown or the size makes no sense; names what is legal.
    """
    kind, _, size = text.partition(":")
    if kind not in INJECTION_KINDS:
        raise ValueError(
            f"Unknown injection {text!r}. Kinds: {', '.join(INJECTION_KINDS)}."
        )
    return Injection(kind=kind, size=_size(kind=kind, text=size))


def _size(*, kind: str, text: str) -> float:
    meaning = f"{kind}:SIZE means {INJECTION_KINDS[kind]}"
    try:
        size = float(text.removesuffix("%"))
    except ValueError:
        raise ValueError(f"{text!r} is no size. {meaning}.") from None
    if not math.isfinite(size) or size <= 0:
        raise ValueError(f"The size must be above 0, not {text}. {meaning}.")
    if kind in PARTIAL_KINDS and size > 100:
        raise ValueError(f"The size must be at most 100, not {text}. {meaning}.")
    if kind in COUNTED_KINDS and size != int(size):
        raise ValueError(f"The size must be a whole number, not {text}. {meaning}.")
    return size


def parse_faults(text: str) -> frozenset[str]:
    """Read a comma-separated list of faults, or `none`, `default`, `all`.

    Raises:
        ValueError: a fault is unknown; lists the known ones.
    """
    words = {
        "none": frozenset[str](),
        "default": DEFAULT_FAULTS,
        "all": frozenset(FAULTS),
    }
    if text in words:
        return words[text]
    return checked_faults(frozenset(name.strip() for name in text.split(",")))


def checked_faults(names: frozenset[str]) -> frozenset[str]:
    """Return `names`, or raise ValueError where one is unknown."""
    unknown = sorted(names - set(FAULTS))
    if unknown:
        raise ValueError(
            f"Unknown faults {', '.join(unknown)}. Faults: {', '.join(FAULTS)}."
        )
    return names
