"""Who runs the servers, and the directories that account may enter.

PostgreSQL refuses to run as root, so root hands the servers to an unprivileged account.
Where that account cannot reach the programs or the data (a clone below a directory of
mode 0700), it keeps one capability. Whoever can connect to such a server can read files
as root can, so the directory around its socket is then closed to everybody but root.
"""

import os
import pwd
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from election_monitor.embedded import launcher
from election_monitor.embedded.errors import EmbeddedServiceError
from election_monitor.embedded.layout import Layout

UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs the servers; `capability` is a number of linux/capability.h or None."""

    uid: int
    gid: int
    capability: int | None

    def launch_words(self) -> list[str]:
        """Return the words by which the launcher becomes this account."""
        capability = -1 if self.capability is None else self.capability
        return [str(self.uid), str(self.gid), str(capability)]


def prepare(layout: Layout, programs: Sequence[Path]) -> Account:
    """Make the directories and return the account that runs `programs` in them.

    Raises:
        EmbeddedServiceError: a directory belongs to somebody else, or root finds no
            account that can reach the programs and the data.
    """
    uid, gid = _owner(layout)
    layout.var_dir.mkdir(parents=True, exist_ok=True)
    layout.logs.mkdir(exist_ok=True)
    capability = _capability(uid, [*programs, _innermost_existing(layout.home)])
    mode = 0o711 if uid != os.geteuid() and capability is None else 0o700
    make_private(layout.home, owners={os.geteuid(), uid}, mode=mode)
    # Below the shared temporary directory only the caller itself is trusted: a daemon
    # may run under the same unprivileged account and make the directory first.
    if layout.runtime != layout.home:
        make_private(layout.runtime, owners={os.geteuid()}, mode=mode)
    account = Account(uid=uid, gid=gid, capability=capability)
    give(layout.sockets, account)
    return account


def make_private(path: Path, *, owners: set[int], mode: int) -> None:
    """Make a directory that nobody else can list or write.

    Raises:
        EmbeddedServiceError: it exists and is a link, or belongs to none of `owners`.
    """
    try:
        path.mkdir(mode=mode)
        path.chmod(mode)  # mkdir subtracts the umask
        return
    except FileExistsError:
        found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
        raise EmbeddedServiceError(
            f"{path} exists but belongs to another account (uid {found.st_uid}): "
            "remove it, or set VAR_DIR to a directory of your own."
        )
    if found.st_mode & 0o066:
        path.chmod(mode)


def give(path: Path, account: Account) -> None:
    """Make a directory, if missing, that only `account` (and root) can enter."""
    make_private(path, owners={os.geteuid(), account.uid}, mode=0o700)
    if path.stat().st_uid != account.uid:
        os.chown(path, account.uid, account.gid)


def _owner(layout: Layout) -> tuple[int, int]:
    """Return uid and gid of the account that runs the servers of this VAR_DIR."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    for data in (layout.postgres_data, layout.redis_data):
        if data.exists() and data.stat().st_uid != 0:
            return data.stat().st_uid, data.stat().st_gid
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise EmbeddedServiceError(
        "PostgreSQL refuses to run as root and there is no account "
        f"{' or '.join(UNPRIVILEGED)} to run it: start as an ordinary user, "
        "or set DATABASE_URL and REDIS_URL."
    )


def _capability(uid: int, paths: Iterable[Path]) -> int | None:
    """Return the weakest capability `uid` needs to reach `paths`; None if it needs none."""
    closed = [path for path in paths if not _everybody_enters(path)]
    if uid == os.geteuid() or not closed:
        return None
    # Searching and reading is not enough for a program file without permission to run.
    runnable = all(
        path.stat().st_mode & stat.S_IXOTH for path in closed if path.is_file()
    )
    if runnable and launcher.keeps(launcher.CAP_DAC_READ_SEARCH):
        return launcher.CAP_DAC_READ_SEARCH
    if launcher.keeps(launcher.CAP_DAC_OVERRIDE):
        return launcher.CAP_DAC_OVERRIDE
    raise EmbeddedServiceError(
        f"PostgreSQL refuses to run as root, and the account with uid {uid} that should "
        f"run it cannot reach {closed[0]}: make the directories above it searchable "
        "(chmod o+x), start as an ordinary user, or set DATABASE_URL and REDIS_URL."
    )


def _everybody_enters(path: Path) -> bool:
    return all(
        step.stat().st_mode & stat.S_IXOTH for step in (path, *path.resolve().parents)
    )


def _innermost_existing(path: Path) -> Path:
    return next(step for step in (path, *path.parents) if step.exists())
