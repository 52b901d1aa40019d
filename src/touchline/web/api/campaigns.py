"""Campaigns over the API: applied, started and paused, their versions, what holds them back; and the stop for all."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Query, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import Field, model_validator

from touchline.adapters import campaign_file
from touchline.app import campaign_detail, campaigns, counts, gates, search
from touchline.app.ports import StoredCampaign, Unit
from touchline.model.campaign import Campaign
from touchline.web.api import cursors, etags
from touchline.web.api.counted import Counted
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, Cursor, DryRun, Limit, Page, Shape
from touchline.web.api.texts import Line, Name
from touchline.web.api.trial import tried
from touchline.web.visit import Visit, needs

routes = router("campaigns", "/campaigns")
Reads = Annotated[Visit, needs("campaigns:read")]
Writes = Annotated[Visit, needs("campaigns:write")]
State = Literal["draft", "active", "paused"]


class CampaignLine(Shape):
    """A campaign in the list."""

    name: str = Field(examples=["spring"])
    state: State
    paused_because: str | None = Field(None, description="What was said when it was paused.")
    version: int = Field(examples=[3])
    mode: Literal["review", "automatic"]
    timezone: str = Field(examples=["Europe/Berlin"])
    mailboxes: list[str] = Field(examples=[["mara@quillmast.example"]])
    sequences: list[str] = Field(examples=[["short"]])
    obstacles: list[str] = Field(description="Why it may not send yet; empty where it may.")


class CampaignDetail(CampaignLine):
    """A campaign whole."""

    digest: str = Field(description="Short name of this exact content.", examples=["9b0f3c1d2a4e5f60"])
    document: dict[str, Any] = Field(
        description="The campaign as its file would say it, without what equals the default.",
        examples=[{"name": "spring", "mode": "review"}],
    )


class CampaignContent(Body):
    """A campaign as a file's text or as a document."""

    toml: str | None = Field(
        None, max_length=1_000_000, description="The text of a campaign file.", examples=['name = "spring"\n...']
    )
    document: dict[str, Any] | None = Field(
        None, description="The same as JSON.", examples=[{"name": "spring", "icp": {}, "routes": [], "sequences": {}}]
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.toml is None) == (self.document is None):
            raise ValueError("give either toml or document")
        return self

    def campaign(self) -> Campaign:
        """The campaign, checked.

        Raises:
            InvalidInput: One line a fault.
        """
        if self.toml is not None:
            return campaign_file.of_text(self.toml)
        return campaign_file.of_document(self.document or {})


class CampaignApplied(Shape):
    """What applying did, or would do."""

    name: str
    version: int
    change: Literal["new", "revised", "unchanged"]
    state: State
    obstacles: list[str]
    dry_run: bool


class CampaignState(Shape):
    """A campaign's state before and after."""

    name: str
    before: State
    state: State


class PauseReason(Body):
    """Why."""

    reason: Line = Field("", examples=["the offer has changed"])


class NewName(Body):
    """What a copy is called."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$", examples=["autumn"])


class FunnelLine(Shape):
    """Prospects that stand at one place for one reason."""

    stage: str = Field(examples=["rejected"])
    reason: str = Field(examples=["too small"])
    count: int
    where: str = Field(
        description="The condition that finds them: GET /api/v1/leads?campaign=...&where=...",
        examples=["state = 'rejected'"],
    )


class Funnel(Shape):
    """Where the campaign's prospects stand; the lines add up to `prospects`."""

    campaign: str
    state: State
    version: int
    prospects: int
    lines: list[FunnelLine]
    tiers: dict[str, int] = Field(examples=[{"A": 12, "B": 40}])
    touches: dict[str, int] = Field(examples=[{"planned": 40, "sent": 12}])
    next_due: datetime | None


class Gate(Shape):
    """One of the conditions that a touch must pass before it may go."""

    name: str = Field(examples=["window"])
    open: bool
    why: str = Field(examples=["Nobody's window is open before 09:00 in Europe/Berlin."])
    next_step: str
    href: str = Field(description="The page where that is done.")
    opens_at: datetime | None


class StepLine(Shape):
    """One step of a sequence in numbers."""

    sequence: str
    step: int
    name: str
    subject: str | None
    wait_days: int | None
    planned: int
    drafted: int
    sending: int
    sent: int
    replied: int
    bounced: int
    failed: int
    cancelled: int
    uncertain: int
    present: bool = Field(description="False where the present version has no such step any more.")


class CampaignVersion(Shape):
    """One version of a campaign."""

    version: int
    digest: str
    applied_at: datetime
    present: bool


class VersionChange(Shape):
    """One value that differs between two versions; null where it is not there."""

    path: str = Field(examples=["sequences.short.steps[hello].text"])
    before: str | None
    after: str | None


class VersionDifference(Shape):
    """What lies between two versions."""

    older: int
    newer: int
    changes: list[VersionChange]


@routes.get("", summary="List campaigns")
def list_(visit: Reads, limit: Limit = 50, cursor: Cursor = None) -> Page[CampaignLine]:
    """In order of name."""
    after = cursors.unpack(visit.workspace.secret, "campaigns", cursor) or ""
    with visit.store.reading() as unit:
        names = [name for name in unit.campaigns.names() if name > after][: limit + 1]
        items = [_listed(unit, unit.campaigns.get(name)) for name in names[:limit]]
    following = cursors.pack(visit.workspace.secret, "campaigns", names[limit - 1]) if len(names) > limit else None
    return Page(items=items, next=following)


@routes.post("", summary="Apply a campaign", responses={201: {"model": CampaignApplied, "description": "It is new."}})
def apply(
    visit: Writes, request: Request, response: Response, body: CampaignContent, dry_run: DryRun = False
) -> CampaignApplied:
    """Make this the present version of the campaign that it names. `If-Match` keeps you from overwriting a version you have not seen."""
    campaign = body.campaign()
    name = campaign.name
    present = _glance(visit, name)
    etags.unchanged(request, present or {})
    version = present["version"] if present and "if-match" in request.headers else None
    with visit.changing(
        "campaign.try" if dry_run else "campaign.apply", f"campaign:{name}", lambda: _glance(visit, name)
    ):
        done = tried(
            visit.store,
            lambda store: campaigns.apply(store, campaign, visit.now, version=version),
            dry_run=dry_run,
        )
    response.status_code = 201 if done.change == "new" and not dry_run else 200
    return CampaignApplied(**asdict(done), dry_run=dry_run)


@routes.get("/{name}", summary="Read one campaign")
def get(visit: Reads, request: Request, response: Response, name: Name) -> CampaignDetail:
    """A campaign at its present version."""
    with visit.store.reading() as unit:
        stored = unit.campaigns.get(name)
        listed = _listed(unit, stored)
    etags.tagged(request, response, _tag(stored))
    return CampaignDetail(**listed.model_dump(), digest=stored.digest, document=stored.campaign.as_document())


@routes.get("/{name}/file", summary="Export a campaign as a file", response_class=PlainTextResponse)
def file(visit: Reads, name: Name) -> PlainTextResponse:
    """The text of a file (TOML) that applies to an equal campaign."""
    return PlainTextResponse(campaign_file.write(campaigns.get(visit.store, name).campaign), media_type="text/plain")


@routes.post("/{name}/start", summary="Start a campaign")
def start(visit: Writes, name: Name) -> CampaignState:
    """Let a paused campaign send again."""
    with visit.changing("campaign.start", f"campaign:{name}", lambda: _glance(visit, name)):
        before = campaigns.start(visit.store, name, visit.now)
    return _changed(visit, name, before)


@routes.post("/{name}/pause", summary="Pause a campaign")
def pause(visit: Writes, name: Name, body: PauseReason | None = None) -> CampaignState:
    """Let a campaign send nothing until it is started again."""
    with visit.changing("campaign.pause", f"campaign:{name}", lambda: _glance(visit, name)):
        before = campaigns.pause(visit.store, name, visit.now, body.reason if body else "")
    return _changed(visit, name, before)


@routes.post("/{name}/clone", status_code=201, summary="Clone a campaign")
def clone(visit: Writes, name: Name, body: NewName) -> CampaignApplied:
    """A copy of the present version under another name: paused, and without prospects."""
    with visit.changing("campaign.clone", f"campaign:{body.name}", lambda: _glance(visit, body.name)):
        done = campaign_detail.clone(visit.store, name, body.name, visit.now)
    return CampaignApplied(**asdict(done), dry_run=False)


@routes.get("/{name}/funnel", summary="Where the prospects stand, and why")
def funnel_(visit: Reads, name: Name) -> Counted[Funnel]:
    """Counted in the background; `as_of` says when."""
    campaigns.get(visit.store, name)
    found, as_of = counts.funnel_of(visit.site.counts, visit.store, name)
    if found is not None:
        found = found | {"lines": [line | {"where": search.where_of(line)} for line in found["lines"]]}
    return Counted[Funnel].of((found, as_of))


@routes.get("/{name}/gates", summary="Why is this not sending?")
def gates_(visit: Reads, name: Name) -> list[Gate]:
    """Every gate with its state; nothing is sent while any of them is closed."""
    found = gates.gates(visit.store, name, visit.now, visit.workspace.opt_out)
    return [Gate.model_validate(gate) for gate in found]


@routes.get("/{name}/steps", summary="Each step in numbers")
def steps(visit: Reads, name: Name) -> Counted[list[StepLine]]:
    """Counted in the background; `as_of` says when."""
    campaigns.get(visit.store, name)
    told = visit.site.counts.get(("steps", name), lambda: campaign_detail.steps(visit.store, name))
    return Counted[list[StepLine]].of(told)


@routes.get("/{name}/versions", summary="List a campaign's versions")
def versions(visit: Reads, name: Name, limit: Limit = 50, cursor: Cursor = None) -> Page[CampaignVersion]:
    """The newest first."""
    before = cursors.unpack(visit.workspace.secret, f"versions:{name}", cursor)
    found = [v for v in campaign_detail.versions(visit.store, name) if before is None or v.version < before]
    more = len(found) > limit
    following = cursors.pack(visit.workspace.secret, f"versions:{name}", found[limit - 1].version) if more else None
    return Page(items=[CampaignVersion.model_validate(each) for each in found[:limit]], next=following)


@routes.get("/{name}/difference", summary="What two versions differ in")
def difference(
    visit: Reads,
    name: Name,
    older: Annotated[int, Query(ge=1, le=2**31 - 1, examples=[1])],
    newer: Annotated[int, Query(ge=1, le=2**31 - 1, examples=[2])],
) -> VersionDifference:
    """Every value that is another one."""
    found = campaign_detail.difference(visit.store, name, older, newer)
    return VersionDifference(older=older, newer=newer, changes=[VersionChange.model_validate(each) for each in found])


def _listed(unit: Unit, stored: StoredCampaign) -> CampaignLine:
    campaign = stored.campaign
    return CampaignLine(
        name=campaign.name,
        state=stored.state,
        paused_because=campaigns.pause_reason(unit, campaign.name) if stored.state == "paused" else None,
        version=stored.version,
        mode=campaign.mode,
        timezone=campaign.timezone,
        mailboxes=[mailbox.address for mailbox in campaign.mailboxes],
        sequences=list(campaign.sequences),
        obstacles=campaign.obstacles(),
    )


def _tag(stored: StoredCampaign) -> dict[str, Any]:
    return {"name": stored.campaign.name, "state": stored.state, "version": stored.version, "digest": stored.digest}


def _glance(visit: Visit, name: str) -> dict[str, Any] | None:
    with visit.store.reading() as unit:
        stored = unit.campaigns.find(name)
    return _tag(stored) if stored else None


def _changed(visit: Visit, name: str, before: str) -> CampaignState:
    return CampaignState(name=name, before=before, state=campaigns.get(visit.store, name).state)
