"""`touchline schedule`: see what starts by itself and when, change it, pause it, and start it now."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from touchline.cli.context import Json, plain, print_json, print_table, workspace

if TYPE_CHECKING:
    from touchline.app.ports import Row
    from touchline.wiring import Workspace

app = typer.Typer(help="What starts by itself, and when.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the schedule, such as daily:spring.")]
Opens = Annotated[str | None, typer.Option(help="Local time at which the window opens, such as 02:00.")]
Closes = Annotated[
    str | None, typer.Option(help="Local time at which it closes; an earlier one than it opens is the next day's.")
]
Zone = Annotated[str | None, typer.Option(help="IANA zone of both, such as Europe/Berlin.")]
Days = Annotated[str | None, typer.Option(help="Days on which it opens: mon,wed,fri or mon-fri; mon-sun for all.")]
Every = Annotated[int | None, typer.Option(help="Seconds from one start to the next.")]
First = Annotated[str | None, typer.Option(help="First stage of the run, such as score: no source is read then.")]
Until = Annotated[str | None, typer.Option(help="Last stage of the run, such as nurture.")]
Priority = Annotated[int | None, typer.Option(help="Of its runs among those that wait: 1 goes first, 100 last.")]


@app.command(name="list")
def list_(context: typer.Context, json: Json = False) -> None:
    """List schedules, named by job and campaign, with their next opening in their own zone and in UTC."""
    from touchline.app import schedules

    ws = _prepared(context)
    rows = schedules.listed(ws.store, ws.clock.now())
    if json:
        print_json([_values(row) for row in rows])
        return
    print_table(
        ["schedule", "starts", "state", "last slot", "next", "next (UTC)"],
        [[row["name"], row["when"], _state(row), row["last_slot"], _local(row), row["next_at"]] for row in rows],
    )
    for row in rows:
        if row["ahead"]:
            name = row["name"]
            print(f"{name} waits for a time to come, since a clock was set back: touchline schedule resume {name}")
    # An interval is due at almost any look; a window that nobody starts means that no worker runs.
    if waiting := [row["name"] for row in rows if row["due"] and "opens" in row["timing"]]:
        print(f"Due now, and started as soon as a worker runs: {', '.join(waiting)}. Start one with: touchline worker")


@app.command(name="set")
def set_(
    context: typer.Context,
    name: Name,
    opens: Opens = None,
    closes: Closes = None,
    zone: Zone = None,
    days: Days = None,
    every: Every = None,
    first: First = None,
    until: Until = None,
    priority: Priority = None,
    json: Json = False,
) -> None:
    """Change when a schedule starts its job. What is not given stays."""
    from touchline.app import schedules

    changes = _changes(opens, closes, zone, days, every, first, until)
    ws = _prepared(context)
    row = schedules.set_timing(ws.store, name, changes, ws.clock.now(), priority)
    if json:
        print_json(_values(row))
    else:
        print(f"{row['name']}: {row['when']}; {_next(row)}")


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name, such as noon:spring.")],
    job: Annotated[str, typer.Option(help="What it starts: daily, send, retention or health.")] = "daily",
    campaign: Annotated[str | None, typer.Option("--campaign", "-c", help="Whose, for daily and send.")] = None,
    opens: Opens = None,
    closes: Closes = None,
    zone: Zone = None,
    days: Days = None,
    every: Every = None,
    first: First = None,
    until: Until = None,
    priority: Priority = None,
    json: Json = False,
) -> None:
    """Add a schedule beside those that every campaign has, such as some stages at a time of their own."""
    from touchline.app import schedules

    ws = _prepared(context)
    changes = _changes(opens, closes, zone, days, every, first, until)
    row = schedules.add(ws.store, name, job, campaign, changes, ws.clock.now(), priority)
    if json:
        print_json(_values(row))
    else:
        print(f"{row['name']}: {row['when']}; {_next(row)}")


@app.command()
def remove(context: typer.Context, name: Name, json: Json = False) -> None:
    """Remove a schedule that was added. Its runs stay in the history."""
    from touchline.app import schedules

    schedules.remove(_prepared(context).store, name)
    if json:
        print_json({"name": name, "state": "removed"})
    else:
        print(f"{name} is removed")


@app.command()
def pause(context: typer.Context, name: Name, json: Json = False) -> None:
    """Let a schedule start nothing until it is resumed. A run that is under way goes on."""
    from touchline.app import schedules

    ws = _prepared(context)
    before = schedules.pause(ws.store, name, ws.clock.now())
    if json:
        print_json({"name": name, "before": before, "state": "paused"})
    else:
        print(f"{name}: was {before}, starts nothing now")


@app.command()
def resume(context: typer.Context, name: Name, json: Json = False) -> None:
    """Let a paused schedule start again, in a window that is open now or else the next one."""
    from touchline.app import schedules

    ws = _prepared(context)
    before = schedules.resume(ws.store, name, ws.clock.now())
    row = next(row for row in schedules.listed(ws.store, ws.clock.now()) if row["name"] == name)
    if json:
        print_json(_values(row) | {"before": before})
    else:
        print(f"{name}: was {before}, active now; {_next(row)}")


@app.command()
def run_now(context: typer.Context, name: Name, json: Json = False) -> None:
    """Queue one run at once, besides the schedule's own times. A worker does it."""
    from touchline.app import schedules

    ws = _prepared(context)
    run = schedules.run_now(ws.store, name, ws.clock.now())
    if json:
        print_json(run)
        return
    print(f"run {run['id']} is queued: {name}")
    print("A worker does it: touchline worker, or touchline serve, where none is running yet.")


def _prepared(context: typer.Context) -> "Workspace":
    """The workspace with every schedule that it should have."""
    from touchline.app import schedules

    ws = workspace(context)
    schedules.ensure(ws.store, ws.clock.now())
    return ws


def _changes(
    opens: str | None,
    closes: str | None,
    zone: str | None,
    days: str | None,
    every: int | None,
    first: str | None,
    until: str | None,
) -> dict[str, Any]:
    given = {
        "opens": opens,
        "closes": closes,
        "zone": zone,
        "days": _days(days) if days is not None else None,
        "every": every,
        "first": first,
        "until": until,
    }
    return {key: value for key, value in given.items() if value is not None}


def _days(text: str) -> list[str]:
    """Days of `mon,wed` and `mon-fri`; words that are none are left for the check of the timing."""
    from touchline.model.calendar import WEEKDAYS

    found: list[str] = []
    for part in text.lower().replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if dash and first in WEEKDAYS and last in WEEKDAYS:
            begin, length = WEEKDAYS.index(first), (WEEKDAYS.index(last) - WEEKDAYS.index(first)) % 7 + 1
            found += [WEEKDAYS[(begin + offset) % 7] for offset in range(length)]
        else:
            found.append(part)
    return found


def _values(row: "Row") -> dict[str, Any]:
    shown = ("name", "job", "campaign", "state", "campaign_state", "queue", "timing", "when", "zone", "priority")
    return {key: row[key] for key in (*shown, "last_slot", "due", "ahead", "next_at")} | {"next_local": _instant(row)}


def _state(row: "Row") -> str:
    if row["campaign_state"] in (None, "active"):
        return str(row["state"])
    return f"{row['state']}, campaign {row['campaign_state']}"


def _instant(row: "Row") -> datetime | None:
    from zoneinfo import ZoneInfo

    return row["next_at"].astimezone(ZoneInfo(row["zone"])) if row["next_at"] else None


def _local(row: "Row") -> str:
    at = _instant(row)
    return f"{at:%a %Y-%m-%d %H:%M}" if at else ""


def _next(row: "Row") -> str:
    if row["due"]:
        return "a worker starts it now"
    if row["next_at"] is None:
        return f"starts nothing, {_state(row)}"
    return f"next {_local(row)} {row['zone']}, {plain(row['next_at'])} UTC"
