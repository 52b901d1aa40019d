"""The page Mailboxes: what each has used of its cap, whether it works, and a look at it now."""

from typing import Annotated, Any

from fastapi import APIRouter, Form
from starlette.responses import Response

from touchline.app import desk, doctor, mailboxes
from touchline.model.errors import NotFound
from touchline.model.faults import meant
from touchline.web import frame
from touchline.web.api.mailboxes import PATIENCE
from touchline.web.api.texts import ONE_LINE
from touchline.web.visit import Visit, needs

routes = APIRouter(include_in_schema=False)
frame.entry("/mailboxes", "Mailboxes", "mailbox", "mailboxes:read", 60)


@routes.get("/mailboxes")
def page(visit: Annotated[Visit, needs("mailboxes:read")]) -> Response:
    """Every mailbox."""
    return frame.page(visit, "mailboxes.html", _values(visit))


@routes.post("/mailboxes/check")
def check(
    visit: Annotated[Visit, needs("mailboxes:write")],
    address: Annotated[str, Form(min_length=1, max_length=254, pattern=ONE_LINE)],
) -> Response:
    """Connect, TLS and log-in, without sending anything."""
    with visit.store.reading() as unit:
        stored = [unit.campaigns.get(name) for name in unit.campaigns.names()]
    # Campaigns may describe the same address differently: each description is looked at.
    found = dict.fromkeys(mailbox for one in stored for mailbox in one.campaign.mailboxes if mailbox.address == address)
    if not found:
        known = sorted({mailbox.address for one in stored for mailbox in one.campaign.mailboxes})
        raise NotFound(
            f"No campaign has a mailbox {address!r}{meant(address, known) or '.'}", hint="They stand on /mailboxes."
        )
    with visit.changing("mailbox.check", f"mailbox:{address}") as change:
        exam = visit.workspace.examination(PATIENCE)
        checks = [one for mailbox in found for one in doctor.look_at(exam, mailbox)]
        fine = all(one.status == "ok" for one in checks)
        if fine:
            desk.mailbox_checked(visit.store, address, visit.now)
        change.after = {"ok": fine}
    checked = {"address": address, "ok": fine, "checks": checks}
    if visit.request.headers.get("hx-request"):
        return frame.page(visit, "_mailbox_checked.html", {"checked": checked})
    return frame.page(visit, "mailboxes.html", _values(visit, checked))


def _values(visit: Visit, checked: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"rows": mailboxes.mailbox_use(visit.store, None, visit.now), "checked": checked}
