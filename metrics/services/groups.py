"""Work through many constituencies in pieces that lock few of them for a short time."""

from collections.abc import Iterable, Iterator

from elections.models import Constituency

# Ledger rows read in one database transaction: about 0.1 s.
GROUP_ROWS = 200_000
# Enough for the rows of a group to be sorted without a temporary file.
WORK_MEMORY = "SET LOCAL work_mem = '64MB'"


def in_groups(constituencies: Iterable[Constituency]) -> Iterator[list[Constituency]]:
    """Group constituencies so that each group holds about `GROUP_ROWS` ledger rows."""
    group: list[Constituency] = []
    rows = 0
    for constituency in constituencies:
        group.append(constituency)
        rows += constituency.transaction_count
        if rows >= GROUP_ROWS:
            yield group
            group, rows = [], 0
    if group:
        yield group
