"""Sequences over the API: what they say and use, how a message reads to a lead, what leads lack, and what will leave when."""

from datetime import date
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import AfterValidator, Field

from touchline.adapters import campaign_file
from touchline.app import campaign_detail, campaigns, sequences
from touchline.model.access import zone_of
from touchline.model.cells import clean
from touchline.web.api import etags
from touchline.web.api.campaigns import CampaignApplied
from touchline.web.api.counted import Counted
from touchline.web.api.route import router
from touchline.web.api.shapes import Body, DryRun, Shape
from touchline.web.api.texts import ONE_LINE, Name, Said
from touchline.web.api.touches import Mail, mail_of
from touchline.web.api.trial import tried
from touchline.web.visit import Visit, needs

routes = router("sequences", "")
Reads = Annotated[Visit, needs("sequences:read")]
Writes = Annotated[Visit, needs("sequences:write")]


def _clean(document: dict[str, Any]) -> dict[str, Any]:
    if not clean(document):
        raise ValueError("texts of the document have no control characters")
    return document


Document = Annotated[dict[str, Any], AfterValidator(_clean)]
Place = Annotated[int, Query(ge=1, le=50, description="Position of the step, from 1.")]


class Variant(Shape):
    """An alternative text."""

    name: str
    when: str | None = Field(None, description="Whom it is for; null: drawn by lot.")
    subject: str | None = None
    text: str
    html: str | None = None


class Step(Shape):
    """One message."""

    number: int
    name: str
    wait_days: int
    subject: str | None = Field(description="Null: it answers the message before.")
    text: str
    html: str | None
    variants: list[Variant]
    variables: list[str] = Field(description="What it takes from leads.", examples=[["first_name", "extra.pain"]])


class Sequence(Shape):
    """Ordered messages with delays."""

    name: str
    language: str
    about: str
    steps: list[Step]
    routes: list[str] = Field(description="Routes that lead to it.")


class Sequences(Shape):
    """The sequences of a campaign."""

    campaign: str
    version: int
    sequences: list[Sequence]
    document: dict[str, Any] = Field(
        description="`sequences` and `snippets` as a revision takes them.", examples=[{"sequences": {}, "snippets": {}}]
    )


class ShippedSequence(Shape):
    """A sequence that comes with Touchline; a campaign takes it with `use = "NAME"`."""

    name: str
    document: dict[str, Any] = Field(examples=[{"about": "Three short mails.", "steps": []}])


class Texts(Body):
    """Sequences and snippets that replace all the present ones; what is not given stays."""

    sequences: Document | None = Field(None, examples=[{"short": {"steps": [{"name": "hello", "text": "Hi"}]}}])
    snippets: Document | None = Field(None, examples=[{"proof": [{"text": "We did it for Acme."}]}])

    def document(self) -> dict[str, Any]:
        """What is given, by the entry of the campaign that it replaces."""
        return {
            name: told
            for name, told in (("sequences", self.sequences), ("snippets", self.snippets))
            if told is not None
        }


class SequencesRevision(Texts):
    """A new version with other texts."""

    version: int | None = Field(None, ge=1, le=2**31 - 1, description="The version that this was made from.")


class DraftPreview(Texts):
    """A step to show as a lead would get it, with changes that are not stored."""

    sequence: Said = Field(examples=["short"])
    step: int = Field(1, ge=1, le=50)
    variant: Said | None = None
    lead: Said = Field(description="Address of a lead.", examples=["ada@example.com"])


class Lack(Shape):
    """A name that a step takes from leads."""

    variable: str = Field(examples=["first_name"])
    leads: int = Field(description="How many leads have none.")
    needed: bool = Field(description="Without it the message cannot be written.")


class StepLack(Shape):
    """What leads lack for one step."""

    number: int
    name: str
    lacks: list[Lack]


class Lacking(Shape):
    """What the leads of a campaign lack."""

    leads: int = Field(description="How many were looked at.")
    sample: bool = Field(description="Only the newest of them were.")
    steps: list[StepLack]


class ComingDay(Shape):
    """What is due on one day."""

    day: date
    campaign: str
    touches: int
    more: bool = Field(description="There are more than that.")
    cap: int = Field(description="The most that the campaign's mailboxes may send on one day.")


@routes.get("/sequences", summary="List shipped sequences")
def shipped(visit: Reads) -> list[ShippedSequence]:
    """Those that come with Touchline, as they would stand in a campaign."""
    del visit
    return [ShippedSequence(name=name, document=document) for name, document in campaign_file.shipped().items()]


@routes.get("/coming", summary="What will leave when")
def coming(
    visit: Reads,
    zone: Annotated[str, Query(max_length=100, pattern=ONE_LINE, examples=["Europe/Berlin"])] = "UTC",
    days: Annotated[int, Query(ge=1, le=60)] = 30,
) -> list[ComingDay]:
    """Days on which something is due, by day and campaign; the first one has all that is late."""
    found = sequences.coming(visit.store, visit.now, zone=zone_of(zone), days=days)
    return [
        ComingDay(
            day=each.day,
            campaign=each.campaign,
            touches=each.touches.value,
            more=each.touches.more,
            cap=each.cap,
        )
        for each in found
    ]


@routes.get("/campaigns/{name}/sequences", summary="Read a campaign's sequences")
def get(visit: Reads, name: Name) -> Sequences:
    """Every step with its texts, variants and what it takes from leads."""
    found = sequences.sequences(visit.store, name)
    return Sequences(
        campaign=found.campaign,
        version=found.version,
        sequences=[_sequence(each) for each in found.sequences],
        document=found.document,
    )


@routes.put("/campaigns/{name}/sequences", summary="Revise a campaign's sequences")
def revise(
    visit: Writes, request: Request, name: Name, body: SequencesRevision, dry_run: DryRun = False
) -> CampaignApplied:
    """A new version with other texts. `version`, or `If-Match` with the campaign's ETag, keeps you from overwriting what you have not seen."""
    present = _glance(visit, name)
    etags.unchanged(request, present)
    version = body.version or (present["version"] if "if-match" in request.headers else None)
    with visit.changing(
        "sequences.try" if dry_run else "sequences.revise", f"campaign:{name}", lambda: _glance(visit, name)
    ):
        done = tried(
            visit.store,
            lambda store: campaign_detail.revise(store, name, body.document(), visit.now, version=version),
            dry_run=dry_run,
        )
    return CampaignApplied(
        name=done.name,
        version=done.version,
        change=done.change,
        state=done.state,
        obstacles=done.obstacles,
        dry_run=dry_run,
    )


@routes.get("/campaigns/{name}/preview", summary="Read a message as a lead would get it")
def preview(
    visit: Reads,
    name: Name,
    sequence: Annotated[str, Query(min_length=1, max_length=200, pattern=ONE_LINE, examples=["short"])],
    lead: Annotated[str, Query(min_length=1, max_length=500, pattern=ONE_LINE, examples=["ada@example.com"])],
    step: Place = 1,
    variant: Annotated[str | None, Query(min_length=1, max_length=200, pattern=ONE_LINE)] = None,
) -> Mail:
    """By the very code that plans and sends; nothing is stored."""
    found = sequences.preview(visit.store, name, sequence, step, variant, lead, visit.workspace.opt_out, visit.now)
    return mail_of(found)


@routes.post("/campaigns/{name}/preview", summary="Read a message that is being edited")
def preview_draft(visit: Writes, name: Name, body: DraftPreview) -> Mail:
    """As a lead would get it if these changes were applied; nothing is stored."""
    found = sequences.preview(
        visit.store,
        name,
        body.sequence,
        body.step,
        body.variant,
        body.lead,
        visit.workspace.opt_out,
        visit.now,
        changes=body.document(),
    )
    return mail_of(found)


@routes.get("/campaigns/{name}/sequences/{sequence}/lacking", summary="Which variables leads lack")
def lacking(visit: Reads, name: Name, sequence: Name) -> Counted[Lacking]:
    """Counted in the background; `as_of` says when."""
    known = sequences.sequences(visit.store, name)
    if sequence not in [each.name for each in known.sequences]:
        # Says which there are.
        sequences.lacking(visit.store, name, sequence)
    told = visit.site.counts.get(
        ("lacking", name, sequence, known.version), lambda: sequences.lacking(visit.store, name, sequence)
    )
    return Counted[Lacking].of(told)


def _sequence(found: sequences.SequenceView) -> Sequence:
    steps = [
        Step(
            number=view.number,
            name=view.step.name,
            wait_days=view.step.wait_days,
            subject=view.step.subject,
            text=view.step.text,
            html=view.step.html,
            variants=[Variant(**_variant(each)) for each in view.step.variants],
            variables=view.variables,
        )
        for view in found.steps
    ]
    return Sequence(name=found.name, language=found.language, about=found.about, steps=steps, routes=found.routes)


def _variant(variant: Any) -> dict[str, Any]:
    told: dict[str, Any] = variant.model_dump(mode="json", include={"name", "when", "subject", "text", "html"})
    return told


def _glance(visit: Visit, name: str) -> dict[str, Any]:
    stored = campaigns.get(visit.store, name)
    return {"name": name, "state": stored.state, "version": stored.version, "digest": stored.digest}
