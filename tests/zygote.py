"""A warm process that forks one child per command line, so that an end-to-end test costs a fork and not a start.

Reads one JSON request a line: `argv`, `env`, `cwd`, `out`, `err`, and what shall befall the child, each perhaps null:
`killed_after` (seconds), `largest_file` (bytes), `unprivileged`. Answers with a JSON list: exit status (negative: signal),
seconds that it took, and most memory that it held (KiB).
"""

import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback

HEAVY = (
    "touchline.cli", "touchline.wiring", "touchline.app.imports", "touchline.app.runs", "touchline.app.outbox",
    "touchline.app.journey", "touchline.app.schedules", "touchline.app.leads", "touchline.app.funnel", "touchline.app.doctor",
    "touchline.adapters.campaign_file", "touchline.adapters.exports", "touchline.adapters.starter",
    "touchline.adapters.sources.manual", "touchline.stages.harvest", "touchline.logs", "rich.console", "rich.table",
    "sqlglot", "sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql.psycopg", "holidays.countries", "uvicorn",
    "alembic.command", "alembic.context", "alembic.ddl.sqlite", "alembic.ddl.postgresql", "mako.template", "dateutil.easter",
)  # fmt: skip

TABLES = (("touchline.stages.normalise.places", "_countries"), ("touchline.stages.normalise.company", "_suffixes"))
"""Tables of libraries that are read at their first use."""


def drop_privileges() -> None:
    """Give up every capability (see capset(2)): from here on root heeds the rights of files too."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    nothing = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(header, nothing):
        raise OSError(ctypes.get_errno(), "capset")


def child(request: dict[str, object]) -> None:
    """Become the command line that was asked for."""
    out = os.open(str(request["out"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    err = os.open(str(request["err"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[arg-type]
    os.chdir(str(request["cwd"]))
    sys.argv = ["touchline", *request["argv"]]  # type: ignore[misc]
    if request["unprivileged"]:
        drop_privileges()
    if request["largest_file"] is not None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest_file"], hard))  # type: ignore[arg-type]
    code = 0
    try:
        importlib.import_module("touchline.cli").main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001 - the child's last word, as Python itself would have it
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def outcome(pid: int, killed_after: float | None) -> tuple[int, int]:
    """Wait for a child, killing it when its time is up; gives its exit status and the most memory that it held (KiB)."""
    signal.signal(signal.SIGALRM, lambda *_: os.kill(pid, signal.SIGKILL))
    signal.setitimer(signal.ITIMER_REAL, killed_after or 0)
    # Its number is reaped only when no alarm can come any more: another process may have it by then.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    signal.setitimer(signal.ITIMER_REAL, 0)
    _, status, used = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), used.ru_maxrss


def main() -> None:
    for name in HEAVY:
        importlib.import_module(name)
    for module, table in TABLES:
        getattr(importlib.import_module(module), table)()
    # What a child never looks at it need not copy: a collection would touch, and so copy, every object there is.
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        start = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            child(request)
        code, peak = outcome(pid, request["killed_after"])
        print(json.dumps([code, time.perf_counter() - start, peak]), flush=True)


if __name__ == "__main__":
    main()
