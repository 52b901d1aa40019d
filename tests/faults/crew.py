"""Workers as processes of one installation: started warm, killed, frozen and stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from world import World

HERE = Path(__file__).parent
QUICK = {
    "TOUCHLINE_WORKER__TICK_SECONDS": "0.2",
    "TOUCHLINE_WORKER__BEAT_SECONDS": "0.2",
    "TOUCHLINE_WORKER__TAKE_OVER_SECONDS": "2",
    "TOUCHLINE_WORKER__STOP_SECONDS": "20",
    "TOUCHLINE_LOG__LEVEL": "info",
    # The machine's own clock.
    "TOUCHLINE_NOW": "",
}


class Crew:
    """Workers of one world.

    Args:
        world: The installation.
        settings: Environment of the workers, beside the world's.
    """

    def __init__(self, world: World, **settings: str) -> None:
        self.world, self.settings = world, QUICK | settings
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
        }
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(json.dumps(request) + "\n")
        self._nursery.stdin.flush()
        self.members.append(int(self._answer()))
        return self.members[-1]

    def kill(self, pid: int) -> None:
        """kill -9."""
        self.members.remove(pid)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not alive(pid), 10, "a killed process is still there")

    def stop(self, pid: int, seconds: float = 30) -> float:
        """SIGTERM; gives the seconds until the process has ended."""
        begun = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        until(lambda: not alive(pid), seconds, "a worker does not stop")
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


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: It did not come in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)
