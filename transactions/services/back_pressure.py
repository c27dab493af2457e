"""Asks whoever registered a check whether rows should come later.

What keeps up with the ledger stands above it, so it says by itself when it does not.
"""

from collections.abc import Callable

Check = Callable[[], int | None]

_checks: list[Check] = []


def register(check: Check) -> None:
    """Ask `check`, from now on, for how many seconds rows should wait; None for none."""
    if check not in _checks:
        _checks.append(check)


def unregister(check: Check) -> None:
    """Ask `check` no more."""
    _checks.remove(check)


def retry_after_seconds() -> int | None:
    """Return for how many seconds rows should wait, None where they may come."""
    waits = [wait for check in _checks if (wait := check())]
    return max(waits, default=None)
