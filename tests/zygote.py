"""A warm process that forks one child per command line, so that an end-to-end test costs a fork and not a start.

Reads one JSON request a line: `argv`, `env`, `cwd`, `out`, `err`. Answers with the exit status (negative: signal).
"""

import importlib
import json
import os
import sys
import traceback

HEAVY = (
    "touchline.cli", "touchline.wiring", "touchline.app.imports", "touchline.app.runs", "touchline.app.outbox",
    "touchline.app.journey", "touchline.app.leads", "touchline.app.funnel", "touchline.app.doctor",
    "touchline.adapters.campaign_file", "touchline.adapters.exports", "touchline.adapters.starter",
    "touchline.adapters.sources.manual", "touchline.stages.harvest", "touchline.logs", "rich.console", "rich.table",
    "sqlglot", "sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql.psycopg", "holidays", "uvicorn",
)  # fmt: skip


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


def main() -> None:
    for name in HEAVY:
        importlib.import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(request)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
