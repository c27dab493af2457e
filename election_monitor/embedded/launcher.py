"""Become an unprivileged account in a new session, then turn into a server.

Run as a script, by path and without the package: importing `election_monitor` would
read the settings, and a server started from them must not need them.

    python -I -S launcher.py UID GID CAPABILITY detach|stay COMMAND…

With `detach` the server is handed to init, its process id is printed and the launcher
returns at once; with `stay` the launcher itself becomes the command. CAPABILITY is the
number of the one capability the account keeps, or -1.
"""

import ctypes
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# Numbers of the kernel's interface: linux/capability.h, prctl.h, securebits.h.
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SETPCAP = 1, 2, 8
CAPABILITY_VERSION_3 = 0x20080522
PR_GET_SECUREBITS, PR_SET_SECUREBITS, PR_CAP_AMBIENT = 27, 28, 47
PR_CAP_AMBIENT_IS_SET, PR_CAP_AMBIENT_RAISE = 1, 2
SECBIT_NO_SETUID_FIXUP = 1 << 2


def keeps(capability: int) -> bool:
    """Return whether this process can hand `capability` on to another account.

    Not in a container without SETPCAP, nor where the kernel lacks ambient capabilities.
    """
    needed = 1 << capability | 1 << CAP_SETPCAP
    try:
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability)
    except OSError:
        return False
    return _effective_capabilities() & needed == needed


def main(arguments: Sequence[str]) -> None:
    """Do what the module says."""
    uid, gid, capability = (int(word) for word in arguments[:3])
    command = list(arguments[4:])
    if arguments[3] == "detach":
        if server := os.fork():
            sys.stdout.write(f"{server}\n")
            return
        os.setsid()
        os.dup2(2, 1)
    if uid != os.geteuid():
        _become(uid, gid, capability)
    os.execv(command[0], command)  # noqa: S606 the command is the caller's own


def _become(uid: int, gid: int, capability: int) -> None:
    """Change to the account for good, with at most one capability left."""
    if capability >= 0:
        # Without this bit access(2), by which PostgreSQL looks for its own program,
        # ignores the capabilities of everybody but root.
        _prctl(PR_SET_SECUREBITS, _prctl(PR_GET_SECUREBITS) | SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if capability >= 0:
        _keep_only(capability)


def _keep_only(capability: int) -> None:
    """Drop every capability but one, and let that one survive exec."""
    mask = 1 << capability
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    # Effective, permitted, inheritable: the low words, then the high ones.
    sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    _checked(libc.capset(header, sets))
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _prctl(option: int, second: int = 0, third: int = 0) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    words = (ctypes.c_ulong(word) for word in (second, third, 0, 0))
    return _checked(libc.prctl(option, *words))


def _checked(result: int) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


if __name__ == "__main__":
    main(sys.argv[1:])
