"""The secret key of an installation that was given none."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path


def secret_key(var_dir: Path) -> str:
    """Return the random key kept below `var_dir`, making it at the first call."""
    path = var_dir / "secret_key"
    if not path.exists():
        var_dir.mkdir(parents=True, exist_ok=True)
        _make(path)
    return path.read_text()


def _make(path: Path) -> None:
    """Write a key beside `path` and link it there: whole, or not at all."""
    # Readable by its owner alone from the start.
    descriptor, draft = tempfile.mkstemp(prefix=f"{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(50))
            file.flush()
            os.fsync(descriptor)
        # A link never replaces: of two processes starting at once, one makes the key.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()
