"""The two ways in which reading fails: one line, or the whole file."""

from transactions.formats.reasons import FileReason, Reason


class UnreadableFile(ValueError):
    """A file, or the rest of it, cannot be read; `code` and the message say why."""

    def __init__(self, reason: FileReason, **details: object) -> None:
        super().__init__(reason.sentence(**details))
        self.code = reason.code


class RowRefused(Exception):
    """A line cannot be read. Never leaves this package: it becomes a Rejection.

    No ValueError, or the guard around a conversion would swallow it.
    """

    def __init__(self, reason: Reason, **details: object) -> None:
        super().__init__(reason.sentence(**details))
        self.code = reason.code
