"""A warm process that forks workers which live until they are killed, so that a crew of them starts at once."""

import importlib
import json
import os
import signal
import socket
import sys
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from touchline import wiring
from touchline.adapters.clock import SystemClock
from zygote import child

HEAVY = (
    "touchline.cli.work",
    "touchline.worker",
    "touchline.engine",
    "touchline.app.work",
    "touchline.stages.harvest",
    "touchline.web.site",
    "uvicorn",
    "apprise",
)


class MovedClock(SystemClock):
    """The machine's clock, ahead by the seconds that stand in a file at each look.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=float(self.path.read_text("utf-8")))


def main() -> None:
    """One JSON request a line, as the zygote reads them, and `ahead`, the file of a `MovedClock`, and `host`, what it takes its name for.

    Answers with the number of the child.
    """
    for name in HEAVY:
        importlib.import_module(name)
    # Nobody waits for the children, so none of them stays behind as a zombie that looks alive.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setpgid(0, 0)
            if request["ahead"] is not None:
                wiring.SystemClock = partial(MovedClock, Path(request["ahead"]))
            if request["host"] is not None:
                socket.gethostname = partial(str, request["host"])
            child(request)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
