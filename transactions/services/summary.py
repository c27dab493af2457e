"""What an import did, in the words of its `--json` answer."""

from dataclasses import dataclass, field, fields
from typing import Any

from transactions.loader.records import PartCounts


@dataclass(slots=True)
class ImportSummary:
    """Counts of an import; summaries of workers add up."""

    files: int = 0
    files_unchanged: int = 0
    files_waiting: int = 0
    files_failed: int = 0
    rows_read: int = 0
    accepted: int = 0
    duplicate: int = 0
    conflicting: int = 0
    rejected: int = 0
    vanished: int = 0
    # What this import changed, so they can be negative.
    bulletins_issued: int = 0
    votes_cast: int = 0
    elections: set[str] = field(default_factory=set)
    constituencies: set[str] = field(default_factory=set)
    # A file and the sentence why it was not loaded.
    problems: list[tuple[str, str]] = field(default_factory=list)
    is_stopped: bool = False

    def __iadd__(self, other: "ImportSummary") -> "ImportSummary":
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            setattr(self, item.name, mine | theirs if _unites(mine) else mine + theirs)
        return self

    def add_counts(self, counts: PartCounts) -> None:
        """Add what became of the lines of one part."""
        self.rows_read += counts.rows_read
        self.accepted += counts.accepted
        self.duplicate += counts.duplicate
        self.conflicting += counts.conflicting
        self.rejected += counts.rejected
        self.vanished += counts.vanished

    @property
    def files_usable(self) -> int:
        """Return how many files were loaded, now or before."""
        return self.files - self.files_failed - self.files_waiting

    @property
    def needs_attention(self) -> bool:
        """Tell whether somebody should look at what was not simply loaded."""
        return bool(
            self.rejected
            or self.conflicting
            or self.vanished
            or self.files_waiting
            or self.files_failed
        )

    def as_json(self) -> dict[str, Any]:
        """Return the counts by name; elections and constituencies as numbers touched."""
        told = {item.name: getattr(self, item.name) for item in fields(self)}
        del told["problems"], told["is_stopped"]
        return told | {
            "elections": len(self.elections),
            "constituencies": len(self.constituencies),
        }


def _unites(value: object) -> bool:
    return isinstance(value, set | bool)
