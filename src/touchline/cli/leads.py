"""`touchline import`, `imports`, `leads` and `explain`: leads in, leads out, and one lead's journey."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from touchline.cli.context import (
    LARGEST,
    After,
    CampaignName,
    Json,
    Limit,
    person,
    plain,
    print_json,
    print_table,
    workspace,
)

imports = typer.Typer(help="Loads of leads: what came in and what was set aside.", no_args_is_help=True)
app = typer.Typer(help="Leads: add, find, export, decide.", no_args_is_help=True)
Where = Annotated[str, typer.Option(help="A condition, such as \"country = 'de' AND employees >= 50\".")]
Who = Annotated[str, typer.Argument(help="The lead's e-mail address, or profile URL where it has none.")]


def import_(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A CSV file.")],
    campaign: CampaignName,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; keep nothing.")] = False,
    until: Annotated[
        Literal["harvest", "score", "qualify", "route", "nurture"],
        typer.Option(help="Run new leads on to this stage and write them once."),
    ] = "harvest",
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="FIELD=HEADER: read this field from that column; extra=HEADER keeps it as it is, ignored=HEADER leaves it out; may be repeated.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Load leads from FILE into a campaign; every row is accounted for."""
    from dataclasses import asdict

    from touchline.app.imports import import_source

    ws = workspace(context)
    source = ws.csv(file, _column_map(map_ or []))
    done = import_source(ws.outside, source, campaign, until=until, dry_run=dry_run)
    if json:
        print_json(asdict(done))
        return
    verb = "would become" if done.dry_run else "became"
    print(f"{plain(done.name)}: {done.rows} rows {verb} " + ", ".join(f"{n} {what}" for what, n in done.counts.items()))
    if done.resumed_at:
        print(f"  went on after row {done.resumed_at}, where an earlier import stopped")
    print_table(
        ["set aside", "reason", "rows"], [[r["outcome"], r["reason"], r["rows"]] for r in done.reasons if r["rows"]]
    )
    if not done.dry_run:
        print(f"Rows that were set aside: touchline imports show {done.import_id}")


def _column_map(pairs: list[str]) -> dict[str, str] | None:
    from touchline.model.errors import InvalidInput

    chosen: dict[str, str] = {}
    for pair in pairs:
        field, sign, header = pair.partition("=")
        if not sign:
            raise InvalidInput(f"--map {pair!r} has no '='.", hint='Write --map email="Work mail".')
        if chosen.setdefault(header, field) != field:
            raise InvalidInput(f"--map makes {header!r} both {chosen[header]} and {field}.", hint="Choose one of them.")
    return chosen or None


@imports.command(name="list")
def list_imports(context: typer.Context, limit: Limit = 20, json: Json = False) -> None:
    """List imports, newest first."""
    from touchline.app.imports import listed

    rows = listed(workspace(context).outside, limit)
    if json:
        print_json(rows)
        return
    columns = ["id", "name", "state", "rows", "new", "updated", "duplicate", "suppressed", "rejected", "started_at"]
    print_table(columns, [[row[c] for c in columns] for row in rows])


@imports.command(name="show")
def show_import(
    context: typer.Context,
    number: Annotated[int, typer.Argument(min=1, max=LARGEST, help="Number of the import.")],
    outcome: Annotated[
        Literal["duplicate", "suppressed", "rejected"] | None, typer.Option(help="Only rows with this outcome.")
    ] = None,
    limit: Limit = 50,
    after: After = 0,
    json: Json = False,
) -> None:
    """Show one import and the rows it set aside."""
    from touchline.app.imports import shown

    ws = workspace(context)
    row, reasons = shown(ws.outside, number)
    with ws.store.reading() as unit:
        aside = unit.imports.set_aside(number, outcome, after, limit)
    if json:
        print_json({"import": row, "reasons": reasons, "set_aside": aside})
        return
    print(f"import {number}: {plain(row['name'])}, {row['state']}, {row['rows']} rows")
    if row["state"] == "unfinished":
        print("It stands still; import the same file again, and it goes on where it stopped.")
    print_table(["outcome", "reason", "rows"], [[r["outcome"], r["reason"], r["rows"]] for r in reasons])
    print_table(
        ["row", "outcome", "reason", "lead or text"],
        [[r["row"], r["outcome"], r["reason"], r["identity"] or (r["raw"] or "")[:80]] for r in aside],
    )


@app.command()
def add(
    context: typer.Context,
    campaign: CampaignName,
    email: Annotated[str, typer.Option(help="E-mail address.")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE, such as title=CTO; may be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Add one lead by hand."""
    from dataclasses import asdict

    from touchline.adapters.sources.manual import ManualSource
    from touchline.app.imports import import_source

    ws = workspace(context)
    source = ManualSource({"email": email} | (_pairs(set_ or [])))
    done = import_source(ws.outside, source, campaign, kind="manual")
    if json:
        print_json(asdict(done))
        return
    outcome = next(what for what, count in done.counts.items() if count)
    reason = f": {done.reasons[0]['reason']}" if done.reasons and done.reasons[0]["reason"] else ""
    print(f"{plain(email) or 'lead'}: {outcome}{reason}")


def _pairs(pairs: list[str]) -> dict[str, str]:
    from touchline.model.errors import InvalidInput

    for pair in pairs:
        if "=" not in pair:
            raise InvalidInput(f"--set {pair!r} has no '='.", hint="Write --set company=Acme.")
    return dict(pair.split("=", 1) for pair in pairs)


@app.command(name="list")
def list_leads(
    context: typer.Context,
    where: Where = "",
    campaign: Annotated[
        str, typer.Option("--campaign", "-c", help="Only leads in this campaign, with its decisions.")
    ] = "",
    limit: Limit = 50,
    after: After = 0,
    json: Json = False,
) -> None:
    """List leads that match a condition."""
    from touchline.app import leads

    ws = workspace(context)
    pages = leads.pages(ws.store, campaign=campaign or None, where=where or None, limit=limit, after=after)
    rows = [row for page in pages for row in page]
    if json:
        print_json(rows)
        return
    columns = ["id", "email", "first_name", "last_name", "title", "company", "country"]
    columns += ["tier", "verdict", "state"] if campaign else []
    print_table(columns, [[row[c] for c in columns] for row in rows])
    if len(rows) == limit:
        print(f"More: --after {rows[-1]['id']}")


@app.command()
def show(context: typer.Context, who: Who, json: Json = False) -> None:
    """Show everything that is stored of one lead."""
    from touchline.app import leads

    with workspace(context).store.reading() as unit:
        found = leads.find(unit, who)
    lead = {name: value for name, value in found.items() if not name.endswith("_folded")}
    if json:
        print_json(lead)
        return
    print_table(["field", "value"], [[name, value] for name, value in lead.items() if value is not None])
    print(f"Its journey: touchline explain {plain(lead['email'] or lead['profile_url'] or lead['identity'])}")


@app.command()
def export(
    context: typer.Context,
    where: Where = "",
    campaign: Annotated[
        str, typer.Option("--campaign", "-c", help="Only leads in this campaign, with its decisions.")
    ] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file instead of standard output.")] = None,
    json: Json = False,
) -> None:
    """Write leads as CSV that imports again unchanged, or as JSON lines (--json)."""
    from touchline.adapters.exports import opened, write_csv, write_json_lines
    from touchline.app import leads

    ws = workspace(context)
    pages = leads.pages(ws.store, campaign=campaign or None, where=where or None, limit=None)
    with opened(output) as stream:
        count = (write_json_lines if json else write_csv)(pages, stream)
    if output is not None:
        print(f"{count} leads written to {plain(output)}")


@app.command()
def replied(context: typer.Context, who: Who, json: Json = False) -> None:
    """Record that a person answered: every sequence to them ends at once."""
    from touchline.app import leads

    ws = workspace(context)
    lead, cancelled = leads.replied(ws.store, who, ws.clock.now())
    if json:
        print_json({"lead_id": lead["id"], "email": lead["email"], "touches_cancelled": cancelled})
        return
    print(f"{plain(lead['email'] or lead['identity'])}: replied; {cancelled} planned touches cancelled")


@app.command()
def decide(
    context: typer.Context,
    who: Who,
    campaign: CampaignName,
    verdict: Annotated[Literal["qualified", "rejected"], typer.Argument(help="Your verdict.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the verdict.")],
    json: Json = False,
) -> None:
    """Give a held prospect your verdict; the next run goes on from it."""
    from touchline.app import leads

    ws = workspace(context)
    lead = leads.decide(ws.store, who, campaign, verdict, by=person(), reason=reason, now=ws.clock.now())
    if json:
        print_json({"lead_id": lead["id"], "email": lead["email"], "campaign": campaign, "verdict": verdict})
        return
    print(f"{plain(lead['email'] or lead['identity'])}: {verdict}. Go on with: touchline run --campaign {campaign}")


def explain(context: typer.Context, who: Who, json: Json = False) -> None:
    """Tell a lead's journey: scores part by part, verdict, route, every event, and the next touch."""
    from touchline.app import journey

    ws = workspace(context)
    found = journey.journey(ws.store, who)
    if json:
        print_json(journey.as_json(found))
        return
    lead = found.lead
    name = " ".join(p for p in (lead["first_name"], lead["last_name"]) if p) or lead["identity"]
    about = ", ".join(plain(lead[k]) for k in ("title", "company", "city", "country") if lead[k])
    print(f"{plain(name)} <{plain(lead['email']) or 'no address yet'}>\n  {about}")
    if found.suppressed:
        print(f"  SUPPRESSED ({plain(found.suppressed)}): gets nothing")
    for chapter in found.chapters:
        _print_chapter(chapter)
    print_table(["when (UTC)", "what", "detail"], found.happened, "What happened")


def _print_chapter(chapter: Any) -> None:
    p = chapter.prospect
    print(f"\nCampaign {p['campaign']}: {p['state']}" + (f" ({plain(p['state_reason'])})" if p["state_reason"] else ""))
    if p["tier"]:
        print(
            f"  fit {p['fit']}, opportunity {p['opportunity']} -> tier {p['tier'].upper()} (version {p['campaign_version']})"
        )
        print_table(
            ["axis", "group", "part", "points", "evidence"],
            [[line.axis, line.group, line.name, line.points, line.evidence] for line in chapter.parts],
        )
    print(
        f"  address  {p['address_status'] or 'none'}  {plain(p['address_reasons'] or '').strip('|').replace('|', ', ')}"
    )
    print(f"  verdict  {p['verdict'] or 'not yet'}: {plain(p['verdict_reason'])}")
    print(f"  route    {p['sequence'] or 'none'}: {plain(p['route_reason'])}")
    if chapter.next_touch:
        t = chapter.next_touch
        print(f"  next     step {t['step']} {t['state']}, due {plain(t['due_at'])} UTC from {t['mailbox']}")


COMMANDS = (import_, explain)
