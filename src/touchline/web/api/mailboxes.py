"""Mailboxes over the API: use against caps, state, and a look at whether one works."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path, Request, Response
from pydantic import Field

from touchline.app import desk, doctor, mailboxes
from touchline.model.errors import NotFound
from touchline.model.faults import meant
from touchline.web.api.etags import tagged
from touchline.web.api.route import router
from touchline.web.api.shapes import Page, Shape
from touchline.web.api.texts import ONE_LINE, Campaign
from touchline.web.visit import Visit, needs

routes = router("mailboxes", "/mailboxes")
Address = Annotated[str, Path(min_length=1, max_length=254, pattern=ONE_LINE, examples=["mara@quillmast.example"])]
PATIENCE = 20.0
"""Seconds that a look at a mailbox takes at most."""


class Mailbox(Shape):
    """A sending identity."""

    address: str
    campaigns: list[str] = Field(description="Those that send from it.")
    cap: int = Field(description="Messages in any 24 hours, as of now.")
    daily_cap: int = Field(description="The same when it has warmed up.")
    used: int
    free: int
    frees_at: datetime | None = Field(description="When it has room again, where the cap is used up.")
    state: Literal["ready", "error"]
    error: str | None
    retry_at: datetime | None
    last_sent: datetime | None


class Check(Shape):
    """One step of a look."""

    check: str
    status: Literal["ok", "warning", "error"]
    detail: str
    hint: str


class Checked(Shape):
    """What a look at a mailbox has found."""

    address: str
    ok: bool
    checks: list[Check]


@routes.get("", summary="List mailboxes")
def list_(visit: Annotated[Visit, needs("mailboxes:read")], campaign: Campaign = None) -> Page[Mailbox]:
    """All of them by address."""
    found = mailboxes.mailbox_use(visit.store, campaign, visit.now)
    return Page(items=[Mailbox.model_validate(one) for one in found], next=None)


@routes.get("/{address}", summary="Read one mailbox")
def get(
    request: Request, response: Response, visit: Annotated[Visit, needs("mailboxes:read")], address: Address
) -> Mailbox:
    """One by its address."""
    found = {one.address: one for one in mailboxes.mailbox_use(visit.store, None, visit.now)}
    if address not in found:
        raise _unknown(address, list(found))
    told = Mailbox.model_validate(found[address])
    tagged(request, response, told.model_dump())
    return told


@routes.post("/{address}/check", summary="Check one mailbox")
def check(visit: Annotated[Visit, needs("mailboxes:write")], address: Address) -> Checked:
    """Connect, TLS and log-in, without sending anything; takes 20 seconds at most."""
    with visit.store.reading() as unit:
        stored = [unit.campaigns.get(name) for name in unit.campaigns.names()]
    found = {mailbox.address: mailbox for one in stored for mailbox in one.campaign.mailboxes}
    if address not in found:
        raise _unknown(address, list(found))
    with visit.changing("mailbox.check", f"mailbox:{address}") as change:
        checks = list(doctor.look_at(visit.workspace.examination(PATIENCE), found[address]))
        fine = all(one.status == "ok" for one in checks)
        if fine:
            desk.mailbox_checked(visit.store, address, visit.now)
        change.after = {"ok": fine}
    return Checked(address=address, ok=fine, checks=[Check.model_validate(one) for one in checks])


def _unknown(address: str, known: list[str]) -> NotFound:
    return NotFound(
        f"No campaign has a mailbox {address!r}{meant(address, known) or '.'}", hint="List them: GET /api/v1/mailboxes"
    )
