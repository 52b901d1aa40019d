"""`touchline init`, `run`, `stop`, `start`, `doctor` and `optout-server`: set up, work, and keep watch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from touchline.cli.context import CampaignName, Json, plain, print_json, workspace

if TYPE_CHECKING:
    from touchline.adapters.starter import Answers


def init(
    context: typer.Context,
    sender: Annotated[str, typer.Option(help="Your name; messages are signed with it.")] = "",
    email: Annotated[str, typer.Option(help="The mailbox that you send from.")] = "",
    postal_address: Annotated[str, typer.Option(help="Your postal address; the law wants it in every message.")] = "",
    offer: Annotated[str, typer.Option(help="In one sentence: what you do, and for whom.")] = "",
    proof: Annotated[str, typer.Option(help="In one sentence: one result that you can stand behind.")] = "",
    database_url: Annotated[str, typer.Option(help="sqlite:///touchline.db or postgresql://user@host/name")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    json: Json = False,
) -> None:
    """Write touchline.toml and an example campaign.toml, and set the database up. Existing files stay as they are."""
    import sys

    from touchline.adapters import starter
    from touchline.settings import load
    from touchline.wiring import Quiet, Workspace

    settings = load(Path(context.obj.home) if context.obj.home else None)
    answers = starter.Answers(sender, email, postal_address, offer, proof)
    if sys.stdin.isatty() and not yes and not (settings.home / starter.CAMPAIGN).exists():
        answers = _asked(answers)
    written = starter.prepare(settings, answers, database_url)
    database = Workspace(written.settings, Quiet()).database
    before, after = database.migrate()
    written.write()
    if json:
        names = [str(path) for path in written.texts]
        print_json({"wrote": names, "database": database.place, "revision": after, "missing": written.missing})
        return
    for path in written.texts:
        print(f"wrote {plain(path)}")
    print(f"database {database.place}: " + ("is up to date" if before == after else f"set up at revision {after}"))
    if written.texts.get(settings.home / starter.CAMPAIGN):
        _print_next_steps(written.missing, mailbox=bool(answers.email))


def _asked(answers: "Answers") -> "Answers":
    """What was not given as an option; Enter leaves it for later."""
    from dataclasses import asdict, replace

    questions = {
        "sender": "Your name",
        "email": "The e-mail address you send from",
        "postal_address": "Your postal address (the law wants it in every message)",
        "offer": "In one sentence, what do you do and for whom? (Enter: later)",
        "proof": "In one sentence, one result that you can stand behind? (Enter: later)",
    }
    given = asdict(answers)
    said = {
        name: given[name] or typer.prompt(text, default="", show_default=False, err=True)
        for name, text in questions.items()
    }
    return replace(answers, **said)


def _print_next_steps(missing: list[str], *, mailbox: bool) -> None:
    print("\nNext:")
    print(
        "  1. Look through campaign.toml: who is your customer"
        + (", and your mailbox's host and port?" if mailbox else "?")
    )
    for obstacle in missing:
        print(f"     Still missing: {plain(obstacle)}")
    print("  2. touchline campaign apply campaign.toml")
    print("  3. export MAILBOX_PASSWORD='...', then: touchline doctor")


def run(
    context: typer.Context,
    campaign: CampaignName,
    until: Annotated[
        Literal["harvest", "score", "qualify", "route", "nurture", "send"], typer.Option(help="Last stage.")
    ] = "send",
    limit: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="At most so many rows, prospects and messages.")
    ] = None,
    json: Json = False,
) -> None:
    """Harvest new files, judge what has work to do, and send what is due."""
    from dataclasses import asdict

    from touchline.adapters import machine
    from touchline.app.runs import bury
    from touchline.app.runs import run as run_campaign

    ws = workspace(context)
    bury(ws.store, machine.has_died, ws.clock.now())
    me = machine.this_process()
    result = run_campaign(ws.outside, campaign, until=until, limit=limit, sources=ws.sources, post=ws.post, process=me)
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


def stop(
    context: typer.Context,
    all_: Annotated[bool, typer.Option("--all", help="Everything, everywhere.")] = False,
    reason: Annotated[str, typer.Option(help="Why.")] = "stopped by hand",
    json: Json = False,
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
    if json:
        print_json({"stopped": True, "reason": reason})
    else:
        print("Everything is stopped. Lift it with: touchline start")


def start(context: typer.Context, json: Json = False) -> None:
    """Lift `touchline stop --all`."""
    from touchline.app import campaigns

    lifted = campaigns.start_all(workspace(context).store)
    if json:
        print_json({"stopped": False, "lifted": lifted})
    else:
        print("Sending may go on." if lifted else "Nothing was stopped.")


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
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one and prints it.")
    ] = 8025,
) -> None:
    """Serve the opt-out pages that mails link to. Put a proxy with HTTPS before it and set public_url."""
    import uvicorn

    from touchline.cli.context import listening
    from touchline.web.optout import application

    ws = workspace(context)
    app = application(ws.store, ws.secret, ws.clock)
    socket = listening(host, port)
    print(f"listening on http://{host}:{socket.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[socket])


COMMANDS = (init, run, stop, start, doctor, optout_server)
