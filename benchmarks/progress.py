"""Progress, apart from the table on standard output."""

import sys


def say(sentence: str) -> None:
    """Tell what happens, on standard error."""
    print(sentence, file=sys.stderr, flush=True)
