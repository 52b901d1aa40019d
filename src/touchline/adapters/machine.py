"""This machine: whether a process lives, how much disk is left, and the named points at which a test may kill us."""

import os
import shutil
import signal
import socket
from pathlib import Path

FIRST_TABLE = 0xEFFFFFFC
"""Linux's number of the process table of a machine itself (include/linux/proc_ns.h, PROC_PID_INIT_INO)."""


def is_alive(pid: int) -> bool:
    """Whether a process with this number runs here; one that has ended and waits for its parent to notice does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # The state stands behind the name, which may hold anything (proc(5)).
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        # It has gone just now; or this is another kind of system, whose word above is all there is.
        return not Path("/proc/self").exists()


def host() -> str:
    """Where process numbers mean what they mean here: the host's name, and in a container also its process table's.

    Containers may share their host's name, and each has a process 7.
    """
    try:
        table = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # another kind of system
        table = FIRST_TABLE
    name = socket.gethostname()
    return name if table == FIRST_TABLE else f"{name}/{table}"


def this_process() -> str:
    """What this process is called in the store: `host:pid`."""
    return f"{host()}:{os.getpid()}"


def has_died(process: str) -> bool:
    """Whether a process that was called so ran here and is gone; of other hosts nobody here can tell."""
    where, _, pid = process.partition(":")
    return where == host() and not is_alive(int(pid.partition(":")[0]))


def free_bytes(folder: Path) -> int:
    """Space that is left on the folder's disk."""
    return shutil.disk_usage(folder).free


class NoProbe:
    """Passes every point."""

    def reached(self, point: str) -> None:
        """Do nothing."""


class KillAt:
    """Kills this process with SIGKILL at the n-th passing of a named point, so that tests see what a crash leaves.

    Args:
        where: `point` or `point:n`; the point `any` counts them all.
    """

    def __init__(self, where: str) -> None:
        self.point, _, count = where.partition(":")
        self.left = int(count or 1)

    def reached(self, point: str) -> None:
        """Count down, then die."""
        if self.point in (point, "any"):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
