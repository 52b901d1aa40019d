"""`touchline outbox`: read what would leave, say yes or no, and settle what is uncertain."""

from enum import StrEnum
from typing import Annotated, Literal

import typer

from touchline.cli.context import (
    LARGEST,
    After,
    Json,
    Limit,
    person,
    plain,
    plain_lines,
    print_json,
    print_table,
    workspace,
)

app = typer.Typer(help="What waits for your yes before it leaves.", no_args_is_help=True)
Ids = Annotated[list[int] | None, typer.Argument(min=1, max=LARGEST, help="Numbers of touches.")]
State = StrEnum("State", ["drafted", "planned", "claimed", "sending", "uncertain"])
"""States that can be listed; typer has no lists of literals."""
CampaignOption = Annotated[str, typer.Option("--campaign", "-c", help="Only touches of this campaign.")]


@app.command(name="list")
def list_(
    context: typer.Context,
    campaign: CampaignOption = "",
    state: Annotated[
        list[State] | None, typer.Option(help="Only in this state, drafted if not given; may be repeated.")
    ] = None,
    limit: Limit = 20,
    after: After = 0,
    full: Annotated[bool, typer.Option("--full", help="Print each message whole.")] = False,
    json: Json = False,
) -> None:
    """List touches with the text that would leave."""
    from touchline.app import outbox
    from touchline.app.letters import Content

    ws = workspace(context)
    drafts = outbox.listed(
        ws.store, campaign=campaign or None, states=state or ["drafted"], opt_out=ws.opt_out, limit=limit, after=after
    )
    if json:
        print_json([_plain_values(draft) for draft in drafts])
        return
    if full:
        for draft in drafts:
            row = draft.row
            print(
                f"--- touch {row['touch_id']}: step {row['step']} of {row['sequence']}, {row['state']}, due {plain(row['due_at'])} UTC"
            )
            print(f"From: {row['mailbox']}\nTo: {plain(row['email'])}")
            if isinstance(draft.content, Content):
                print(f"Subject: {plain(draft.content.subject)}\n\n{plain_lines(draft.content.text)}")
            else:
                print(f"CANNOT BE WRITTEN: {plain(draft.content.reason)}\n")
    else:
        print_table(
            ["touch", "to", "step", "state", "due (UTC)", "subject"],
            [
                [
                    d.row["touch_id"],
                    d.row["email"],
                    f"{d.row['step']} {d.row['sequence']}",
                    d.row["state"],
                    d.row["due_at"],
                    d.content.subject if isinstance(d.content, Content) else f"CANNOT BE WRITTEN: {d.content.reason}",
                ]
                for d in drafts
            ],
        )
    if len(drafts) == limit:
        print(f"More: --after {drafts[-1].row['touch_id']}")


def _plain_values(draft: object) -> dict[str, object]:
    from touchline.app.letters import Content
    from touchline.app.outbox import Draft

    assert isinstance(draft, Draft)
    row, content = draft.row, draft.content
    names = (
        "touch_id",
        "campaign",
        "email",
        "step",
        "sequence",
        "variant",
        "state",
        "reason",
        "due_at",
        "mailbox",
        "message_id",
    )
    said = (
        {"subject": content.subject, "text": content.text, "html": content.html}
        if isinstance(content, Content)
        else {"cannot_be_written": content.reason}
    )
    return {name: row[name] for name in names} | said


@app.command()
def approve(
    context: typer.Context,
    ids: Ids = None,
    all_: Annotated[bool, typer.Option("--all", help="Every draft of --campaign.")] = False,
    campaign: CampaignOption = "",
    json: Json = False,
) -> None:
    """Say yes: these touches may leave, with the text that they have now."""
    from dataclasses import asdict

    from touchline.app import outbox
    from touchline.model.errors import InvalidInput

    ws = workspace(context)
    now = ws.clock.now()
    if all_ and campaign and not ids:
        done = outbox.approve_all(ws.store, campaign, by=person(), opt_out=ws.opt_out, now=now)
    elif ids and not all_:
        done = outbox.approve(ws.store, ids, by=person(), opt_out=ws.opt_out, now=now)
    else:
        raise InvalidInput("Say which touches.", hint="touchline outbox approve 12 13, or: --all --campaign NAME")
    if json:
        print_json(asdict(done))
        return
    print(f"{done.approved} approved" + (f", {done.not_waiting} were not waiting" if done.not_waiting else ""))
    for key, reason in done.unwritable:
        print(f"  touch {key} stays: {plain(reason)}")


@app.command()
def reject(
    context: typer.Context,
    ids: Annotated[list[int], typer.Argument(min=1, max=LARGEST, help="Numbers of touches.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the touch.")] = "not wanted",
    json: Json = False,
) -> None:
    """Say no: these touches are cancelled and their prospects get nothing more from this campaign."""
    from touchline.app import outbox

    ws = workspace(context)
    rejected = outbox.reject(ws.store, ids, reason, ws.clock.now())
    if json:
        print_json({"rejected": rejected, "not_open": len(set(ids)) - rejected})
        return
    print(f"{rejected} rejected" + (f", {len(set(ids)) - rejected} were not open" if rejected < len(set(ids)) else ""))


@app.command()
def resolve(
    context: typer.Context,
    touch: Annotated[int, typer.Argument(min=1, max=LARGEST, help="Number of an uncertain touch.")],
    as_: Annotated[
        Literal["sent", "resend", "drop"], typer.Option("--as", help="sent (it arrived), resend (it did not), or drop.")
    ],
    json: Json = False,
) -> None:
    """Settle a touch of unknown fate: look into the mailbox's sent mail or ask the recipient's server, then say."""
    from touchline.app import outbox

    ws = workspace(context)
    state = outbox.resolve(ws.store, touch, as_, by=person(), secret=ws.secret, now=ws.clock.now())
    if json:
        print_json({"touch_id": touch, "state": state})
    else:
        print(f"touch {touch}: {state}")
