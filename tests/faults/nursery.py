"""A warm process that forks workers which live until they are killed, so that a crew of them starts at once."""

import importlib
import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from zygote import child

HEAVY = ("touchline.cli.work", "touchline.worker", "touchline.engine", "touchline.app.work", "touchline.stages.harvest")


def main() -> None:
    """One JSON request a line, as the zygote reads them; answers with the child's process number."""
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
            child(request)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
