"""Prospects over the API: one lead in one campaign, its scores with their evidence, what holds it back, and a person's verdict."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Request, Response
from pydantic import Field

from touchline.app import gates, journey, leads
from touchline.app.ports import Row
from touchline.model.errors import NotFound
from touchline.web.api import etags
from touchline.web.api.campaigns import Gate
from touchline.web.api.lead_shapes import Chapter, Lead
from touchline.web.api.leads import chapter_of
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, Shape
from touchline.web.api.texts import Number, Said
from touchline.web.visit import Visit, needs

routes = router("prospects", "/prospects")
Reads = Annotated[Visit, needs("prospects:read")]
Writes = Annotated[Visit, needs("prospects:write")]


class Prospect(Chapter):
    """A lead in a campaign with everything that was decided, and by which version."""

    lead: Lead


class WhyNot(Shape):
    """What a prospect's next touch waits for."""

    prospect_id: int
    due_at: datetime | None
    held_by: str | None = Field(description="The first gate that is closed.", examples=["window"])
    gates: list[Gate]


class Verdict(Body):
    """A person's verdict."""

    verdict: Literal["qualified", "rejected"]
    reason: Said = Field(examples=["met at the fair"])


@routes.get("/{number}", summary="Read one prospect")
def get(visit: Reads, request: Request, response: Response, number: Number) -> Prospect:
    """Scores part by part with their evidence, verdict and route with the rule that decided, and its touches."""
    found = _prospect(visit, number)
    etags.tagged(request, response, found.model_dump(mode="json"))
    return found


@routes.get("/{number}/gates", summary="Why does this prospect get nothing?")
def why_not(visit: Reads, number: Number) -> WhyNot:
    """Every gate that its next touch must pass, with its state."""
    found = gates.why_not(visit.store, number, visit.now, visit.workspace.opt_out)
    held = found.held_by
    return WhyNot(
        prospect_id=number,
        due_at=found.due_at,
        held_by=held.name if held else None,
        gates=[Gate.model_validate(gate) for gate in found.gates],
    )


@routes.post("/{number}/verdict", summary="Give a verdict")
def decide(visit: Writes, request: Request, number: Number, body: Verdict) -> Prospect:
    """What the rules left held, or decided otherwise: the next run goes on from a person's verdict."""
    lead = _lead_of(visit, number)
    present = _prospect(visit, number)
    etags.unchanged(request, present.model_dump(mode="json"))
    with visit.changing(f"prospect.{body.verdict}", f"prospect:{number}", lambda: _glance(visit, number)):
        leads.decide(
            visit.store,
            lead["identity"],
            present.campaign,
            body.verdict,
            by=visit.caller.name,
            reason=body.reason,
            now=visit.now,
        )
    return _prospect(visit, number)


def _lead_of(visit: Visit, key: int) -> Row:
    with visit.store.reading() as unit:
        lead = unit.prospects.lead_of(key)
    if lead is None:
        raise NotFound(f"There is no prospect {key}.", hint="Find one: GET /api/v1/leads?campaign=NAME")
    return lead


def _prospect(visit: Visit, key: int) -> Prospect:
    lead = _lead_of(visit, key)
    found = journey.journey(visit.store, lead["identity"])
    chapter = next((each for each in found.chapters if each.prospect["id"] == key), None)
    if chapter is None:
        raise NotFound(f"There is no prospect {key} any more.")
    return Prospect.model_validate({**dict(chapter_of(chapter)), "lead": lead})


def _glance(visit: Visit, key: int) -> dict[str, object]:
    seen = _prospect(visit, key)
    return {"state": seen.state, "verdict": seen.verdict, "reason": seen.verdict_reason, "decided_by": seen.decided_by}
