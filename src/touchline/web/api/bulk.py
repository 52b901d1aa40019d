"""Many leads at once over the API: one decision for all that meet a filter, confirmed by their number."""

from typing import Annotated, Literal

from pydantic import Field

from touchline.adapters.clock import elapsed
from touchline.app import bulk
from touchline.web.api import cursors
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, DryRun, Shape
from touchline.web.api.texts import Line, Rule, Said
from touchline.web.visit import Visit, needs

routes = router("leads", "/leads")
BULK_SECONDS = 2.0
"""How long one request changes many."""


class BulkOrder(Body):
    """One decision for every lead that meets a filter."""

    action: Literal["suppress", "stop", "requeue", "enrol"] = Field(
        description="suppress: nothing any more, anywhere; stop: end the sequences (in this campaign, where one is given); "
        "requeue: judge again in the next run; enrol: add to the campaign `into`."
    )
    campaign: Said | None = Field(None, examples=["spring"])
    where: Rule | None = Field(None, examples=["country = 'de' AND employees < 50"])
    text: Line | None = None
    confirmed: int = Field(
        ge=0, description="How many you expect, as the dry run said: more than that are refused.", examples=[120]
    )
    reason: Line = Field("", description="Needed to suppress and to stop.", examples=["asked at the fair"])
    into: Said | None = Field(None, max_length=200, description="The campaign that `enrol` adds to.")
    cursor: str | None = Field(None, max_length=2_000, description="`next` of the answer before.")


class BulkDone(Shape):
    """How far a change to many has come."""

    count: int = Field(description="How many leads the filter meant when it began.")
    counts: dict[str, int] = Field(
        description="What was done to how many so far.", examples=[{"matched": 120, "suppressed": 118, "already": 2}]
    )
    next: str | None = Field(description="Send the same request with this as `cursor` to go on; null when all is done.")
    dry_run: bool


@routes.post("/bulk", summary="Change every lead that meets a filter")
def change_many(visit: Annotated[Visit, needs("leads:write")], body: BulkOrder, dry_run: DryRun = False) -> BulkDone:
    """Ask with `dry_run` first: it says how many. Then confirm that number. What takes longer than two seconds goes on with `next`."""
    selection = bulk.Selection(body.campaign, body.where, body.text)
    if dry_run:
        return BulkDone(count=bulk.preview(visit.store, selection).count, counts={}, next=None, dry_run=True)
    order = bulk.Order(body.action, body.reason, body.into, visit.caller.name)
    kind = f"bulk:{selection.digest()}:{body.action}:{body.into}"
    place = cursors.unpack(visit.workspace.secret, kind, body.cursor)
    with visit.changing(f"leads.{body.action}", f"campaign:{body.campaign or '*'}") as change:
        if place is None:
            progress = bulk.begin(visit.store, selection, order, bulk.Preview(body.confirmed, selection.digest()))
        else:
            progress = bulk.Progress(after=place[0], until=place[1], counts=place[2])
        until = elapsed() + BULK_SECONDS
        while not progress.ended and elapsed() < until:
            bulk.batch(visit.store, selection, order, progress, visit.now)
        change.after = {"where": body.where, "text": body.text, "reason": body.reason, "into": body.into}
        change.after |= {"counts": progress.counts, "ended": progress.ended}
    rest = [progress.after, progress.until, progress.counts]
    following = None if progress.ended else cursors.pack(visit.workspace.secret, kind, rest)
    return BulkDone(count=body.confirmed, counts=progress.counts, next=following, dry_run=False)
