"""`touchline init`, `run`, `runs`, `stop`, `start`, `doctor` and `optout-server`: set up, work, and keep watch."""

from pathlib import Path
from typing import Annotated

import typer

from touchline.cli.context import CampaignName, Json, plain, print_json, print_table, workspace


def init(
    context: typer.Context,
    database_url: Annotated[str, typer.Option(help="sqlite:///touchline.db or postgresql://user@host/name")] = "",
    sender: Annotated[str, typer.Option(help="Your name, for the example campaign.")] = "",
    email: Annotated[str, typer.Option(help="The mailbox you send from.")] = "",
    postal_address: Annotated[str, typer.Option(help="Your postal address; the law wants it in every message.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
) -> None:
    """Write touchline.toml and an example campaign.toml, and set the database up. Existing files stay as they are."""
    import sys

    from touchline.adapters import starter
    from touchline.settings import load
    from touchline.wiring import Quiet, Workspace

    asking = sys.stdin.isatty() and not yes
    if asking:
        sender = sender or typer.prompt("Your name", default="", show_default=False)
        email = email or typer.prompt("The e-mail address you send from", default="", show_default=False)
        postal_address = postal_address or typer.prompt("Your postal address", default="", show_default=False)
    home = Path(context.obj.home or load().home)
    for path in starter.write(
        home, database_url=database_url, sender=sender, email=email, postal_address=postal_address
    ):
        print(f"wrote {path}")
    ws = Workspace(load(home), Quiet())
    before, after = ws.database.migrate()
    print(f"database {ws.database.place}: " + ("is up to date" if before == after else f"set up at revision {after}"))
    if before is None:
        print("Next: look through campaign.toml, then: touchline campaign apply campaign.toml")


def run(
    context: typer.Context,
    campaign: CampaignName,
    until: Annotated[str, typer.Option(help="Last stage: harvest, score, qualify, route, nurture or send.")] = "send",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many rows, prospects and messages.")] = None,
    json: Json = False,
) -> None:
    """Harvest new files, judge what has work to do, and send what is due."""
    from dataclasses import asdict

    from touchline.app.runs import run as run_campaign
    from touchline.model.errors import InvalidInput
    from touchline.stages import STAGES

    if until not in STAGES:
        raise InvalidInput(f"{until!r} is no stage.", hint=f"Stages: {', '.join(STAGES)}.")
    ws = workspace(context)
    result = run_campaign(ws.outside, campaign, until=until, limit=limit, sources=ws.sources, post=ws.post)
    if json:
        print_json(asdict(result))
        return
    for done in result.imports:
        print(f"harvest  {plain(done['name'])}: " + ", ".join(f"{n} {what}" for what, n in done["counts"].items()))
    print(f"judge    {result.judged} prospects looked at, by version {result.version}")
    if result.until == "send":
        print("send     " + (", ".join(f"{n} {what}" for what, n in result.sending.items()) or "nothing is due now"))
    for note in result.notes:
        print(f"         {plain(note)}")
    print(f"How it stands: touchline campaign show {campaign}")


def runs(context: typer.Context, limit: int = 20, json: Json = False) -> None:
    """List runs, newest first."""
    from touchline.app.runs import history

    rows = history(workspace(context).outside, limit)
    if json:
        print_json(rows)
        return
    print_table(
        ["run", "state", "until", "started", "finished", "judged", "sent", "error"],
        [
            [
                r["id"],
                r["state"],
                r["until"],
                r["started_at"],
                r["finished_at"],
                r["counts"].get("judged"),
                r["counts"].get("sending", {}).get("sent"),
                r["error"],
            ]
            for r in rows
        ],
    )


def stop(
    context: typer.Context,
    all_: Annotated[bool, typer.Option("--all", help="Everything, everywhere.")] = False,
    reason: Annotated[str, typer.Option(help="Why.")] = "stopped by hand",
) -> None:
    """Stop all sending at once: no sender anywhere claims another touch until `touchline start`."""
    from touchline.app import campaigns
    from touchline.model.errors import InvalidInput

    if not all_:
        raise InvalidInput(
            "Say that you mean everything.", hint="touchline stop --all; one campaign: touchline campaign pause NAME"
        )
    ws = workspace(context)
    campaigns.stop_all(ws.store, reason, ws.clock.now())
    print("Everything is stopped. Lift it with: touchline start")


def start(context: typer.Context) -> None:
    """Lift `touchline stop --all`."""
    from touchline.app import campaigns

    print("Sending may go on." if campaigns.start_all(workspace(context).store) else "Nothing was stopped.")


def doctor(context: typer.Context, json: Json = False) -> None:
    """Check database, migrations, configuration, DNS, mailboxes and disk; exit code 1 on an error."""
    from dataclasses import asdict

    from touchline.app.doctor import examine

    findings = list(examine(workspace(context).examination()))
    if json:
        print_json([asdict(finding) for finding in findings])
    else:
        for f in findings:
            print(f"{f.status:<8} {f.check:<32} {plain(f.detail)}")
            if f.hint and f.status != "ok":
                print(f"{'':<8} {'':<32} -> {f.hint}")
    if any(finding.status == "error" for finding in findings):
        raise typer.Exit(1)


def optout_server(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one and prints it.")] = 8025,
) -> None:
    """Serve the opt-out pages that mails link to. Put a proxy with HTTPS before it and set public_url."""
    import socket

    import uvicorn

    from touchline.model.errors import Misconfigured
    from touchline.web.optout import application

    ws = workspace(context)
    app = application(ws.store, ws.secret, ws.clock)
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        raise Misconfigured(
            f"{host}:{port} cannot be listened on: {error.strerror}.", hint="Choose another --port."
        ) from None
    print(f"listening on http://{host}:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listening])


COMMANDS = (init, run, runs, stop, start, doctor, optout_server)
