"""Leads over the API: found, added by hand, told about, exported, and changed one by one or all that meet a filter."""

import io
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field, StringConstraints

from touchline.adapters import exports
from touchline.adapters.clock import elapsed
from touchline.adapters.sources.manual import ManualSource
from touchline.app import bulk, counts, imports, journey, leads, search, suppression
from touchline.app.ports import Row
from touchline.app.rehearsal import attempt
from touchline.model.errors import InvalidInput, NotFound
from touchline.web.api import cursors, etags
from touchline.web.api.counted import Counted
from touchline.web.api.lead_shapes import Chapter, Decisions, Happened, Lead, Origin, ScorePart, TouchTold
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, Cursor, DryRun, Limit, Page, Shape
from touchline.web.api.texts import ONE_LINE, Campaign, Line, Lines, Number, Said, Where
from touchline.web.visit import Visit, needs

routes = router("leads", "/leads")
Reads = Annotated[Visit, needs("leads:read")]
Writes = Annotated[Visit, needs("leads:write")]
Words = Annotated[
    str | None,
    Query(
        max_length=200,
        pattern=ONE_LINE,
        description="Words of an address, a name or a company; a whole address finds its lead at once.",
        examples=["ada"],
    ),
]
Sort = Annotated[Literal["newest", "oldest", "score"], Query(description="`score` (best first) belongs to a campaign.")]
EXPORTED = 1_000
"""Leads that an export reads at once."""


class LeadProspect(Decisions):
    """The lead in the campaign that was asked for."""

    prospect_id: int


class FoundLead(Lead):
    """A lead in a list."""

    campaigns: list[str] | None = Field(None, description="Campaigns it is in, where none was asked for.")
    prospect: LeadProspect | None = Field(None, description="What was decided, where a campaign was asked for.")


class FoundLeads(Page[FoundLead]):
    """A part of a search. A page may be short, or empty, before the end: then time was up, and `next` goes on."""

    scanned: int = Field(description="Leads looked through since the first page.")
    total: int = Field(description="Leads that there are to look through.")


class LeadTold(Shape):
    """A lead and everything that is known about it: its journey from source to last event."""

    lead: Lead
    suppressed: str | None = Field(description="Why it gets nothing; null where it may get something.")
    origin: Origin | None
    campaigns: list[Chapter]
    happened: list[Happened] = Field(description="The oldest first.")


class NewLead(Body):
    """A lead that somebody types in; it goes the way of a file of one row."""

    campaign: Said = Field(examples=["spring"])
    values: dict[Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=ONE_LINE)], Lines] = Field(
        min_length=1,
        max_length=100,
        description="Text by field; names that are no field of a lead go to `extra`.",
        examples=[{"email": "ada@example.com", "first_name": "Ada", "title": "CTO", "employees": "120"}],
    )
    until: Literal["harvest", "score", "qualify", "route", "nurture"] = Field(
        "harvest", description="Run it on to this stage at once."
    )


class LeadAdded(Shape):
    """What became of it."""

    outcome: str = Field(description="new, updated, duplicate, suppressed or rejected.", examples=["new"])
    reason: str | None
    import_id: int | None = Field(description="Null after a dry run.")
    lead_id: int | None = Field(description="Null where there is no lead of this address or profile.")
    dry_run: bool


class SuppressReason(Body):
    """Why."""

    reason: Line = Field("", examples=["asked on the phone"])


class LeadStopped(Shape):
    """What a change to one lead did."""

    lead_id: int
    touches_cancelled: int


class LeadSuppressed(LeadStopped):
    """What a suppression did."""

    new: bool = Field(description="False where it was suppressed already.")
    dry_run: bool


@routes.get("", summary="Find leads")
def list_(
    visit: Reads,
    campaign: Campaign = None,
    where: Where = None,
    text: Words = None,
    sort: Sort = "newest",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> FoundLeads:
    """Leads that meet a filter; with a campaign those in it, with their decisions."""
    kind = f"leads:{bulk.Selection(campaign, where, text).digest()}:{sort}"
    found = search.page(
        visit.store,
        campaign=campaign,
        where=where,
        text=text,
        sort=sort,
        cursor=cursors.unpack(visit.workspace.secret, kind, cursor),
        seconds=elapsed,
        limit=limit,
    )
    following = cursors.pack(visit.workspace.secret, kind, found.cursor) if found.cursor else None
    return FoundLeads(
        items=[_found(row) for row in found.rows], next=following, scanned=found.scanned, total=found.total
    )


@routes.get("/count", summary="Count leads")
def count(visit: Reads, campaign: Campaign = None, where: Where = None, text: Words = None) -> Counted[int]:
    """How many leads meet a filter: counted in the background; `as_of` says when."""
    with visit.store.reading() as unit:
        if campaign:
            unit.campaigns.get(campaign)
        search.filter_of(unit, campaign, where, text)
    return Counted[int].of(counts.matching(visit.site.counts, visit.store, campaign, where, text))


@routes.get(
    "/export",
    summary="Export leads as CSV",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "A file."}},
)
def export(visit: Reads, campaign: Campaign = None, where: Where = None, text: Words = None) -> StreamingResponse:
    """All leads that meet a filter, the oldest first, as a file that imports again unchanged."""
    pages = _pages(visit, campaign, where, text)
    first = next(pages, [])  # before the answer begins, so that what is wrong with the filter can still be said
    headers = {"Content-Disposition": 'attachment; filename="leads.csv"'}
    return StreamingResponse(_csv(first, pages), media_type="text/csv; charset=utf-8", headers=headers)


@routes.post("", summary="Add a lead by hand")
def add(visit: Writes, body: NewLead, dry_run: DryRun = False) -> LeadAdded:
    """One lead into a campaign, by the same way as a file: checked, made one with what is known, judged."""
    source = ManualSource(body.values)
    with visit.changing("lead.try" if dry_run else "lead.add", f"campaign:{body.campaign}") as change:
        done = imports.import_source(
            visit.workspace.outside, source, body.campaign, kind="manual", until=body.until, dry_run=dry_run
        )
        change.after = {"values": body.values, "counts": done.counts}
    outcome = next((what for what, number in done.counts.items() if number), "rejected")
    return LeadAdded(
        outcome=outcome,
        reason=next((row["reason"] for row in done.reasons if row["rows"]), None),
        import_id=None if dry_run else done.import_id,
        lead_id=_key_of(visit, source.values.get("email") or source.values.get("profile_url")),
        dry_run=dry_run,
    )


@routes.get("/{number}", summary="Read one lead")
def get(visit: Reads, request: Request, response: Response, number: Number) -> FoundLead:
    """A lead with the campaigns that it is in."""
    row = leads.by_key(visit.store, number)
    etags.tagged(request, response, row)
    return _found(row)


@routes.get("/{number}/journey", summary="Read a lead's journey")
def told(visit: Reads, request: Request, response: Response, number: Number) -> LeadTold:
    """Where it came from, how it was scored and judged and why, what happened, and what comes next."""
    found = _told(visit, number)
    etags.tagged(request, response, found.model_dump(mode="json"))
    return found


@routes.post("/{number}/replied", summary="Note that a lead has replied")
def replied(visit: Writes, number: Number) -> LeadStopped:
    """A person answered: every sequence to them ends at once."""
    identity = leads.by_key(visit.store, number)["identity"]
    with visit.changing("lead.replied", f"lead:{number}") as change:
        _, cancelled = leads.replied(visit.store, identity, visit.now)
        change.after = {"touches_cancelled": cancelled}
    return LeadStopped(lead_id=number, touches_cancelled=cancelled)


@routes.post("/{number}/suppress", summary="Suppress one lead")
def suppress(
    visit: Writes, number: Number, body: SuppressReason | None = None, dry_run: DryRun = False
) -> LeadSuppressed:
    """This address gets nothing any more, in any campaign."""
    base = leads.by_key(visit.store, number)["base_address"]
    if base is None:
        raise InvalidInput(
            f"Lead {number} has no address to suppress.", hint="Suppress its account: POST /api/v1/suppressions"
        )
    entry = ("address", base, body.reason if body else "")
    with visit.changing("suppression.try" if dry_run else "suppression.add", f"lead:{number}") as change:
        done = attempt(
            visit.store,
            lambda unit: suppression.suppress(unit, [entry], visit.caller.name, visit.now),
            dry_run=dry_run,
        )
        change.after = {"values": [base], "new": done.new}
    return LeadSuppressed(lead_id=number, new=bool(done.new), touches_cancelled=done.touches_cancelled, dry_run=dry_run)


def _key_of(visit: Visit, who: str | None) -> int | None:
    if who is None:
        return None
    with visit.store.reading() as unit:
        try:
            return int(leads.find(unit, who)["id"])
        except NotFound:
            return None


def _found(row: Row) -> FoundLead:
    prospect = LeadProspect.model_validate(row) if "prospect_id" in row else None
    return FoundLead.model_validate({**row, "prospect": prospect})


def _told(visit: Visit, key: int) -> LeadTold:
    row = leads.by_key(visit.store, key)
    found = journey.journey(visit.store, row["identity"])
    return LeadTold(
        lead=Lead.model_validate(row),
        suppressed=found.suppressed,
        origin=Origin.model_validate(found.origin) if found.origin else None,
        campaigns=[chapter_of(each) for each in found.chapters],
        happened=[Happened(at=at, what=what, detail=detail) for at, what, detail in found.happened],
    )


def chapter_of(chapter: journey.Chapter) -> Chapter:
    """One campaign's part of a journey, as the API tells it."""
    prospect = chapter.prospect
    return Chapter.model_validate(
        {
            **prospect,
            "prospect_id": prospect["id"],
            "score": [ScorePart.model_validate(journey.vars_of(part)) for part in chapter.parts],
            "touches": [TouchTold.model_validate(touch) for touch in chapter.touches],
            "next_touch": chapter.next_touch and TouchTold.model_validate(chapter.next_touch),
        }
    )


def _pages(visit: Visit, campaign: str | None, where: str | None, text: str | None) -> Iterator[list[Row]]:
    cursor: Any = None
    while True:
        found = search.page(
            visit.store,
            campaign=campaign,
            where=where,
            text=text,
            sort="oldest",
            cursor=cursor,
            seconds=elapsed,
            limit=EXPORTED,
        )
        if found.rows:
            yield found.rows
        cursor = found.cursor
        if cursor is None:
            return


def _csv(first: list[Row], others: Iterator[list[Row]]) -> Iterator[str]:
    yield _written([first] if first else [])
    for page in others:
        # The header, which has no line break inside, is told once.
        yield _written([page]).partition("\n")[2]


def _written(pages: list[list[Row]]) -> str:
    stream = io.StringIO()
    exports.write_csv(pages, stream)
    return stream.getvalue()
