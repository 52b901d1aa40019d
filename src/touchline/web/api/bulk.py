"""Many leads at once over the API: one decision for all that meet a filter, confirmed by their number."""

from typing import Annotated, Literal

from fastapi import Response
from pydantic import Field

from touchline.app import bulk
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, DryRun, Shape, place_of
from touchline.web.api.texts import Line, Rule, Said
from touchline.web.visit import Visit, needs

routes = router("leads", "/leads")


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


class BulkDone(Shape):
    """What became of a change to many."""

    count: int = Field(description="How many leads the filter means.")
    counts: dict[str, int] = Field(
        description="What was done to how many.", examples=[{"matched": 120, "suppressed": 118, "already": 2}]
    )
    run: int | None = Field(description="Number of the run that does it; null where it is done.")
    follow: str | None = Field(description="Where its progress is.", examples=["/api/v1/runs/42"])
    dry_run: bool


@routes.post(
    "/bulk",
    summary="Change every lead that meets a filter",
    responses={202: {"model": BulkDone, "description": "A run does it."}},
)
def change_many(
    visit: Annotated[Visit, needs("leads:write")], response: Response, body: BulkOrder, dry_run: DryRun = False
) -> BulkDone:
    """Ask with `dry_run` first: it says how many. Then confirm that number. Up to 1,000 are changed at once; more are a run's work."""
    selection = bulk.Selection(body.campaign, body.where, body.text)
    if dry_run:
        count = bulk.preview(visit.store, selection).count
        return BulkDone(count=count, counts={}, run=None, follow=None, dry_run=True)
    order = bulk.Order(body.action, body.reason, body.into, visit.caller.name)
    with visit.changing(f"leads.{body.action}", f"campaign:{body.campaign or '*'}") as change:
        confirmed = bulk.Preview(body.confirmed, selection.digest())
        work, run = bulk.act(visit.store, selection, order, confirmed, visit.now)
        change.after = {"where": body.where, "text": body.text, "reason": body.reason, "into": body.into}
        change.after |= {"counts": work.progress.counts, "run": run}
    response.status_code, follow = (200, None) if run is None else (202, place_of(run))
    return BulkDone(count=work.count, counts=dict(work.progress.counts), run=run, follow=follow, dry_run=False)
