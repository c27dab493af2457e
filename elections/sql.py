"""SQL kept in files: one statement per file, called by name."""

from functools import cache
from pathlib import Path


class SqlFolder:
    """The statements below one app's `sql` folder."""

    def __init__(self, module_file: str) -> None:
        self.folder = Path(module_file).parent

    def __getitem__(self, name: str) -> str:
        """Return the text of the statement `name`; values travel as parameters."""
        return _read(self.folder / f"{name}.sql")


@cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
