"""`touchline campaign`: apply, export, list, show, pause and start campaigns."""

from pathlib import Path
from typing import Annotated

import typer

from touchline.cli.context import Json, plain, print_json, print_table, workspace

app = typer.Typer(help="Campaigns are files: apply one, export it, see how it stands.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the campaign.")]


@app.command()
def apply(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The campaign's TOML file.")],
    json: Json = False,
) -> None:
    """Make FILE the present version of its campaign."""
    from dataclasses import asdict

    from touchline.adapters import campaign_file
    from touchline.app import campaigns

    ws = workspace(context)
    applied = campaigns.apply(ws.store, campaign_file.read(file), ws.clock.now())
    if json:
        print_json(asdict(applied))
        return
    print(f"{applied.name}: {applied.change}, version {applied.version}, {applied.state}")
    for obstacle in applied.obstacles:
        print(f"  cannot send yet: {plain(obstacle)}")


@app.command()
def export(context: typer.Context, name: Name) -> None:
    """Print the campaign as a file that applies to an equal campaign."""
    from touchline.adapters import campaign_file
    from touchline.app import campaigns

    print(campaign_file.write(campaigns.get(workspace(context).store, name).campaign), end="")


@app.command(name="list")
def list_(context: typer.Context, json: Json = False) -> None:
    """List campaigns."""
    from touchline.app import campaigns

    rows = [
        {"name": s.campaign.name, "state": s.state, "version": s.version, "mode": s.campaign.mode, "digest": s.digest}
        for s in campaigns.listed(workspace(context).store)
    ]
    if json:
        print_json(rows)
    else:
        print_table(
            ["name", "state", "version", "mode"], [[r["name"], r["state"], r["version"], r["mode"]] for r in rows]
        )


@app.command()
def show(context: typer.Context, name: Name, json: Json = False) -> None:
    """Show where the campaign's prospects are, and why."""
    from touchline.app import funnel

    found = funnel.funnel(workspace(context).store, name)
    if json:
        print_json(found)
        return
    print_table(
        ["stage", "prospects", "reason"],
        [[line["stage"], line["count"], line["reason"]] for line in found["lines"]],
        name,
    )
    print_table(["tier", "prospects"], found["tiers"].items())
    print_table(["touches", "count"], found["touches"].items())


@app.command()
def pause(context: typer.Context, name: Name, json: Json = False) -> None:
    """Let the campaign send nothing until it is started again."""
    from touchline.app import campaigns

    ws = workspace(context)
    before = campaigns.pause(ws.store, name, ws.clock.now())
    if json:
        print_json({"name": name, "before": before, "state": campaigns.get(ws.store, name).state})
    else:
        print(f"{name}: was {before}, sends nothing now")


@app.command()
def start(context: typer.Context, name: Name, json: Json = False) -> None:
    """Let a paused campaign send again."""
    from touchline.app import campaigns

    ws = workspace(context)
    before = campaigns.start(ws.store, name, ws.clock.now())
    if json:
        print_json({"name": name, "before": before, "state": "active"})
    else:
        print(f"{name}: was {before}, active now")
