"""The secret key of an installation that was given none."""

import os
import secrets
from pathlib import Path


def secret_key(var_dir: Path) -> str:
    """Return the random key kept below `var_dir`, making it at the first call."""
    path = var_dir / "secret_key"
    var_dir.mkdir(parents=True, exist_ok=True)
    try:
        # Created exclusively: of two processes starting at once, one makes the key.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text()
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(50))
    return path.read_text()
