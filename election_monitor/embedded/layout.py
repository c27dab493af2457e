"""Where the embedded servers keep their data, sockets and logs."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

# 108 bytes in struct sockaddr_un, the last of them zero.
SOCKET_PATH_BYTES = 107
# What needs no quoting in either URL, nor in PostgreSQL's comma-separated list.
PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")
# Not tempfile.gettempdir(): two shells with different TMPDIR have to find the same
# server, and TMPDIR may itself be too long. The directory's owner is checked.
SHORT_PARENT = Path("/tmp")  # noqa: S108


@dataclass(frozen=True, slots=True)
class Layout:
    """Every path the embedded servers of one VAR_DIR use; touches nothing."""

    var_dir: Path
    runtime: Path

    @classmethod
    def of(cls, var_dir: Path) -> "Layout":
        """Return the paths below `var_dir`, with sockets elsewhere if it is too long.

        Elsewhere is named by VAR_DIR and user: the same in every process of one user,
        different for two checkouts and for two users.
        """
        resolved = var_dir.resolve()
        inside = cls(var_dir=resolved, runtime=resolved / "embedded")
        if _fits_a_socket(inside.postgres_socket):
            return inside
        name = f"election-monitor-{os.geteuid()}-{inside.key}"
        return cls(var_dir=resolved, runtime=SHORT_PARENT / name)

    @property
    def key(self) -> str:
        """Return a short name of VAR_DIR that no other path shares."""
        return hashlib.sha256(os.fsencode(self.var_dir)).hexdigest()[:16]

    @property
    def home(self) -> Path:
        return self.var_dir / "embedded"

    @property
    def logs(self) -> Path:
        return self.var_dir / "log"

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    @property
    def postgres_data(self) -> Path:
        return self.home / "postgres"

    @property
    def redis_data(self) -> Path:
        return self.home / "redis"

    @property
    def sockets(self) -> Path:
        return self.runtime / "socket"

    @property
    def postgres_socket(self) -> Path:
        return self.sockets / ".s.PGSQL.5432"

    @property
    def redis_socket(self) -> Path:
        return self.sockets / "redis.sock"


def _fits_a_socket(path: Path) -> bool:
    return len(os.fsencode(path)) <= SOCKET_PATH_BYTES and bool(
        PLAIN_PATH.fullmatch(str(path))
    )
