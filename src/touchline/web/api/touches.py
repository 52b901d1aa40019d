"""Touches over the API: what waits for a yes and how it reads, approved, rejected and edited; and what only a person can settle."""

from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import Field

from touchline.app import approvals, outbox
from touchline.app.ports import Row
from touchline.model.errors import NotFound
from touchline.web.api import cursors, etags
from touchline.web.api.lead_shapes import TouchLine
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, Cursor, DryRun, Key, Limit, Page, Shape
from touchline.web.api.texts import Campaign, Line, Lines, Number, Said
from touchline.web.api.trial import tried
from touchline.web.visit import Visit, needs

routes = router("touches", "/touches")
Reads = Annotated[Visit, needs("touches:read")]
Writes = Annotated[Visit, needs("touches:write")]
MOST = 500
State = Literal["drafted", "claimed", "sending", "uncertain"]
Ids = Annotated[list[Key], Field(min_length=1, max_length=MOST, examples=[[12, 13]])]


class TouchListed(TouchLine):
    """A touch in the list, with whom it is for."""

    campaign: str
    prospect_id: int
    lead_id: int
    email: str | None
    first_name: str | None
    last_name: str | None
    company: str | None


class Header(Shape):
    """One line above the message."""

    name: str = Field(examples=["List-Unsubscribe"])
    value: str


class Mail(Shape):
    """A message as it leaves."""

    subject: str
    text: str
    html: str = Field(description="As it leaves: made from the text where the step has none.")
    body: str = Field(description="The text without its footer: what an edit takes.")
    headers: list[Header]
    problem: str | None = Field(description="Why it cannot be written; the rest is empty then.")


class Touch(TouchListed):
    """A touch with its message."""

    mail: Mail


class TouchesWaiting(Shape):
    """How many wait for a yes."""

    count: int
    more: bool = Field(description="There are more than that.")


class TouchIds(Body):
    """Touches by their numbers."""

    ids: Ids


class TouchRejection(TouchIds):
    """Touches that shall not leave."""

    reason: Line = Field("not wanted", examples=["a customer already"])


class TouchesApproved(Shape):
    """What an approval did; the first three and `unwritable` add up to what was named."""

    approved: int
    suppressed: int = Field(description="Suppressed meanwhile: they get nothing.")
    gone: int = Field(description="Not waiting any more, or not there.")
    unwritable: list["TouchUnwritable"]
    dry_run: bool


class TouchUnwritable(Shape):
    """A touch that cannot be written."""

    id: int
    reason: str


class TouchesRejected(Shape):
    """What a rejection did."""

    rejected: int
    gone: int
    dry_run: bool


class TouchEdit(Body):
    """Another subject and text for one draft."""

    subject: Said = Field(examples=["A question about Acme"])
    text: Annotated[Lines, Field(min_length=1, examples=["Hi Ada,\n\nhow do you do it?"])]


class TouchSettlement(Body):
    """What a person found out about a touch of unknown fate."""

    how: Literal["sent", "resend", "drop"] = Field(
        description="sent: it arrived; resend: it did not, so it goes again; drop: it shall not go again."
    )


class TouchSettled(Shape):
    """What a settlement made of the touch."""

    id: int
    state: str = Field(examples=["sent"])


@routes.get("", summary="List touches")
def list_(
    visit: Reads,
    state: Annotated[State, Query(description="What is planned or sent is found by its leads, see above.")] = "drafted",
    campaign: Campaign = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[TouchListed]:
    """Touches that somebody should look at, the oldest first. Others are found by lead: `GET /leads?campaign=NAME&where=has(touch_states, 'planned')`."""
    kind = f"touches:{state}:{campaign}"
    after = cursors.unpack(visit.workspace.secret, kind, cursor) or 0
    with visit.store.reading() as unit:
        key = unit.campaigns.get(campaign).id if campaign else None
        rows = unit.touches.listed(states=[state], campaign_id=key, after=after, limit=limit + 1)
    following = cursors.pack(visit.workspace.secret, kind, rows[limit - 1]["touch_id"]) if len(rows) > limit else None
    return Page(items=[TouchListed.model_validate(_named(row)) for row in rows[:limit]], next=following)


@routes.get("/waiting", summary="Count what waits for a yes")
def waiting(visit: Reads, campaign: Campaign = None) -> TouchesWaiting:
    """Counted up to a bound, so that it is quick."""
    found = approvals.waiting_count(visit.store, campaign)
    return TouchesWaiting(count=found.value, more=found.more)


@routes.post("/approve", summary="Approve touches")
def approve(visit: Writes, body: TouchIds, dry_run: DryRun = False) -> TouchesApproved:
    """Say yes: these may leave, with the text that they have now. Who is suppressed gets nothing all the same."""
    with visit.changing("touch.try" if dry_run else "touch.approve", "touches") as change:
        done = tried(
            visit.store,
            lambda store: approvals.approve(
                store, body.ids, by=visit.caller.name, opt_out=visit.workspace.opt_out, now=visit.now
            ),
            dry_run=dry_run,
        )
        change.after = {"ids": body.ids, "approved": done.approved}
    return TouchesApproved(
        approved=done.approved,
        suppressed=done.suppressed,
        gone=done.gone,
        unwritable=[TouchUnwritable(id=key, reason=reason) for key, reason in done.unwritable],
        dry_run=dry_run,
    )


@routes.post("/reject", summary="Reject touches")
def reject(visit: Writes, body: TouchRejection, dry_run: DryRun = False) -> TouchesRejected:
    """Say no: these are cancelled, and their prospects get nothing more from this campaign."""
    with visit.changing("touch.try" if dry_run else "touch.reject", "touches") as change:
        done = tried(
            visit.store,
            lambda store: approvals.reject(store, body.ids, by=visit.caller.name, reason=body.reason, now=visit.now),
            dry_run=dry_run,
        )
        change.after = {"ids": body.ids, "reason": body.reason, "rejected": done.rejected}
    return TouchesRejected(rejected=done.rejected, gone=done.gone, dry_run=dry_run)


@routes.get("/{number}", summary="Read one touch with its mail")
def get(visit: Reads, request: Request, response: Response, number: Number) -> Touch:
    """The message as it would leave, by the code that sends; one that has left, as it did."""
    found = _touch(visit, number)
    etags.tagged(request, response, _tag(found))
    return found


@routes.patch("/{number}", summary="Edit a draft")
def edit(visit: Writes, request: Request, response: Response, number: Number, body: TouchEdit) -> Touch:
    """Another subject and text; the footer stays, and the HTML is made from the text."""
    etags.unchanged(request, _tag(_touch(visit, number)))
    with visit.changing("touch.edit", f"touch:{number}", lambda: _look(visit, number)):
        approvals.edit(
            visit.store,
            number,
            body.subject,
            body.text,
            by=visit.caller.name,
            opt_out=visit.workspace.opt_out,
            now=visit.now,
        )
    found = _touch(visit, number)
    response.headers["ETag"] = etags.etag(_tag(found))
    return found


@routes.post("/{number}/settle", summary="Settle a touch of unknown fate")
def settle(visit: Writes, number: Number, body: TouchSettlement) -> TouchSettled:
    """The process died after the message began to leave: look into the mailbox's sent mail or ask the recipient's server, then say."""
    with visit.changing(f"touch.{body.how}", f"touch:{number}", lambda: _look(visit, number)):
        state = outbox.resolve(
            visit.store, number, body.how, by=visit.caller.name, secret=visit.workspace.secret, now=visit.now
        )
    return TouchSettled(id=number, state=state)


def mail_of(found: approvals.Rendered) -> Mail:
    """A rendered message, as the API tells it."""
    return Mail(
        subject=found.subject,
        text=found.text,
        html=found.html,
        body=found.body,
        headers=[Header(name=name, value=value) for name, value in found.headers],
        problem=found.problem,
    )


def _named(row: Row) -> Row:
    return {**row, "id": row["touch_id"]}


def _touch(visit: Visit, key: int) -> Touch:
    found = approvals.rendered(visit.store, key, visit.workspace.opt_out, visit.now)
    return Touch.model_validate({**_named(found.touch), "mail": mail_of(found)})


def _tag(touch: Touch) -> dict[str, Any]:
    # Not the headers: their date is that of the reading.
    return {"id": touch.id, "state": touch.state, "subject": touch.mail.subject, "text": touch.mail.text}


def _look(visit: Visit, key: int) -> dict[str, Any]:
    with visit.store.reading() as unit:
        rows = unit.touches.letters([key])
    if not rows:
        raise NotFound(f"There is no touch {key}.", hint="List them: GET /api/v1/touches")
    return {name: rows[0][name] for name in ("state", "reason", "subject", "text", "approved_by")}
