"""`touchline serve`, `worker` and `runs`: let it run by itself, and see what it did."""

import os
import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from touchline.cli.context import LARGEST, Json, Limit, listening, person, plain, print_json, print_table, workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from touchline.app.ports import Row
    from touchline.wiring import Workspace

LAST_SECONDS = 4
"""What a process that is told to stop has beyond `worker.stop_seconds` to say that it leaves."""

runs = typer.Typer(help="What has run, what it did, and what to do about it.", no_args_is_help=True)
Run = Annotated[int, typer.Argument(min=1, max=LARGEST, help="Number of the run.")]


def worker(
    context: typer.Context,
    queues: Annotated[str, typer.Option(help="Queues to work on, of: batch,send,health.")] = "batch,send,health",
) -> None:
    """Start what is due and work on it, until told to stop (SIGTERM, Ctrl-C). On PostgreSQL any number may run at once."""
    from touchline.model.errors import InvalidInput
    from touchline.worker import QUEUES

    listen = [name.strip() for name in queues.split(",") if name.strip()]
    if not listen or not set(listen) <= set(QUEUES):
        raise InvalidInput(f"{queues!r} names no queues of ours.", hint=f"Choose of: {', '.join(QUEUES)}")
    _work(workspace(context), listen, lambda: print("working; stop with Ctrl-C", flush=True))


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on; else serve.host.")] = "",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on, 0 takes a free one; else serve.port.")
    ] = None,
) -> None:
    """Do everything in one process: the pages, the API, the opt-out, /metrics and /health, schedules, and the work itself."""
    import threading

    from touchline.app.access import claim_token
    from touchline.web.site import application
    from touchline.web.site import server as serving

    ws = workspace(context)
    settings = ws.settings.serve
    address = host or settings.host
    socket = listening(address, settings.port if port is None else port)
    server = serving(application(ws))
    pages = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, name="pages", daemon=True)

    def ready() -> None:
        pages.start()
        where = f"http://{address}:{socket.getsockname()[1]}"
        print(f"listening on {where}", flush=True)
        if token := claim_token(ws.store, ws.clock.now()):
            print(f"nobody owns this workspace yet; make yourself its owner: {where}/claim/{token}", flush=True)

    def ended() -> None:
        server.should_exit = True
        if pages.ident is not None:
            pages.join(timeout=5)

    _work(ws, ("batch", "send", "health"), ready, ended)


def _work(
    ws: "Workspace",
    listen: "list[str] | tuple[str, ...]",
    ready: "Callable[[], None]",
    ended: "Callable[[], None]" = lambda: None,
) -> None:
    """Work until a signal says to stop; `ended` is called then.

    Raises:
        Misconfigured: Nobody could be told when something is wrong.
    """
    import signal
    import threading

    from touchline.worker import Hung, Worker

    _ = ws.watch  # An address of an alert that cannot be used is told now, not when it is needed.
    stop, code = threading.Event(), 0

    def told(*_: object) -> None:
        stop.set()
        # Whatever stands still, such as a database that does not answer: the process ends in time.
        last = threading.Timer(ws.settings.worker.stop_seconds + LAST_SECONDS, os._exit, (0,))
        last.daemon = True
        last.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    worker = Worker(ws, listen)
    try:
        worker.run(stop, ready)
    except Hung as error:
        print(f"touchline: {error}", file=sys.stderr, flush=True)
        code = error.exit_code
    finally:
        ended()
    if worker.work.under_way():
        # An ordinary exit would wait for the thread of a batch that has had its time. Who comes next goes on with it.
        os._exit(code)
    if code:
        raise typer.Exit(code)


@runs.command(name="list")
def list_(
    context: typer.Context,
    campaign: Annotated[str | None, typer.Option("--campaign", "-c", help="Of one campaign only.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Those without a campaign too: health, retention.")] = False,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List runs, newest first."""
    from touchline.app.runs import history, took

    rows = history(workspace(context).outside, limit, campaign=campaign, every=all_)
    if json:
        print_json(rows)
        return
    print_table(
        ["run", "job", "campaign", "state", "queued", "took", "did", "error"],
        [[r["id"], r["job"], r["campaign"], _state(r), r["queued_at"], took(r), _did(r), r["error"]] for r in rows],
    )


def _state(row: "Row") -> str:
    return f"{row['state']}, late" if row["late"] else str(row["state"])


def _did(row: "Row") -> str:
    """The counts in a few words."""
    counts = row["counts"]
    # A run by hand keeps each of its imports, a worker's the sum.
    harvested = Counter(counts.get("harvest", {}))
    for one in counts.get("imports", ()):
        harvested.update(one["counts"])
    found = [f"{count} {what}" for what, count in harvested.items() if count]
    judged = counts.get("judge", {}).get("prospects") or (counts.get("judged") if row["job"] == "run" else None)
    if judged:
        found.append(f"{judged} judged")
    found += [
        f"{count} {what}" for what, count in {**counts.get("send", {}), **counts.get("sending", {})}.items() if count
    ]
    return ", ".join(found)


@runs.command()
def show(context: typer.Context, run: Run, json: Json = False) -> None:
    """Show one run with its batches: counts, seconds, errors."""
    from touchline.app.runs import shown

    row, batches = shown(workspace(context).outside, run)
    if json:
        print_json(row | {"batches": batches})
        return
    print(f"run {row['id']}: {plain(row['job'])} of {plain(row['campaign'] or 'the workspace')}, {_state(row)}")
    for name in ("schedule", "slot", "until", "stage", "worker", "error"):
        if row[name] is not None:
            print(f"  {name:<9} {plain(row[name])}")
    if row["payload"]:
        order, of = row["payload"]["order"], row["payload"]["selection"]
        print(f"  decision  {order['action']} {row['payload']['count']:,} leads, by {plain(order['by'])}")
        print(f"  where     {plain(of['where'] or 'all')}")
    if did := _did(row):
        print(f"  did       {plain(did)}")
    for name in ("queued_at", "started_at", "stop_at", "finished_at"):
        if row[name] is not None:
            print(f"  {name.removesuffix('_at'):<9} {plain(row[name])} UTC")
    parts = sorted(row["counts"].get("seconds", {}).items(), key=lambda part: -part[1])
    if parts:
        print("  seconds   " + ", ".join(f"{plain(name)} {seconds:.2f}" for name, seconds in parts))
    if not batches:
        return
    print_table(
        ["batch", "stage", "state", "seconds", "attempts", "counts", "error"],
        [
            [
                b["number"],
                b["stage"],
                b["state"],
                f"{b['seconds']:.2f}",
                b["attempts"],
                ", ".join(f"{count} {what}" for what, count in b["counts"].items()),
                b["error"],
            ]
            for b in batches
        ],
    )


@runs.command()
def cancel(context: typer.Context, run: Run, json: Json = False) -> None:
    """End a run before its next batch; what it has done stays."""
    from touchline.app import runs as app

    row = app.cancel(workspace(context).outside, run, person())
    if json:
        print_json(row)
    else:
        print(f"Run {run} is cancelled." if row["state"] == "cancelled" else f"Run {run} ends before its next batch.")


@runs.command()
def retry(context: typer.Context, run: Run, json: Json = False) -> None:
    """Queue a run's work again, batches that were set aside first. A worker does it."""
    from touchline.app import runs as app

    row, batches = app.retry(workspace(context).outside, run)
    if json:
        print_json(row | {"batches_again": batches})
    else:
        print(
            f"Run {row['id']} is queued"
            + (f"; it begins with {batches} batches that were set aside." if batches else ".")
        )
        print("A worker does it: touchline worker, or touchline serve.")


@runs.command()
def dismiss(context: typer.Context, run: Run, json: Json = False) -> None:
    """Let batches of a run that were set aside rest for good: health tells of them no more, and their rows stay rejected."""
    from touchline.app import runs as app

    batches = app.dismiss(workspace(context).outside, run)
    if json:
        print_json({"run": run, "dismissed": batches})
    else:
        print(f"Run {run}: {batches} {'batch rests' if batches == 1 else 'batches rest'} for good.")


COMMANDS = (worker, serve)
