"""Shapes of leads, prospects, scores and touches, which several resources answer."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from touchline.model.columns import COLUMNS
from touchline.web.api.shapes import Shape

TouchState = Literal["drafted", "planned", "claimed", "sending", "sent", "deferred", "failed", "cancelled", "uncertain"]


def _about(name: str, *examples: object) -> Any:
    return Field(None, description=COLUMNS[name].doc, examples=list(examples) or None)


class Lead(Shape):
    """A person, as far as sources have told."""

    id: int = Field(examples=[42])
    identity: str = Field(description="What makes this person this person.", examples=["ada@example.com"])
    email: str | None = _about("email", "ada+work@example.com")
    base_address: str | None = _about("base_address", "ada@example.com")
    email_domain: str | None = _about("email_domain")
    profile_url: str | None = _about("profile_url")
    source: str | None = _about("source", "csv")
    source_key: str | None = _about("source_key")
    first_name: str | None = _about("first_name", "Ada")
    last_name: str | None = _about("last_name", "Lee")
    title: str | None = _about("title", "Head of Engineering")
    seniority: str | None = _about("seniority", "head")
    role: str | None = _about("role", "engineering")
    company: str | None = _about("company", "Acme")
    domain: str | None = _about("domain", "example.com")
    account: str | None = _about("account", "example.com")
    industry: str | None = _about("industry")
    employees: int | None = _about("employees", 120)
    tech: str | None = _about("tech", "|python|postgresql|")
    stage: str | None = _about("stage")
    country: str | None = _about("country", "de")
    region: str | None = _about("region")
    city: str | None = _about("city")
    timezone: str | None = _about("timezone", "Europe/Berlin")
    language: str | None = _about("language", "de")
    phone: str | None = _about("phone")
    budget: float | None = _about("budget")
    timeline_months: int | None = _about("timeline_months")
    intent: str | None = _about("intent")
    extra: str | None = _about("extra")
    import_id: int | None = Field(None, description="Import that brought the lead.")
    created_at: datetime
    updated_at: datetime


class Decisions(Shape):
    """What the stages decided on a prospect, and where it stands."""

    state: str = Field(examples=["enrolled"])
    state_reason: str | None = None
    fit: int | None = _about("fit", 60)
    opportunity: int | None = _about("opportunity", 60)
    tier: str | None = _about("tier", "b")
    address_status: str | None = _about("address_status", "safe")
    address_reasons: str | None = _about("address_reasons")
    verdict: str | None = _about("verdict", "qualified")
    verdict_reason: str | None = _about("verdict_reason", "too small")
    sequence: str | None = _about("sequence", "short")
    route_reason: str | None = _about("route_reason", "everyone")
    decided_by: str | None = Field(None, description="Who gave the verdict, where a person did.")


class ScorePart(Shape):
    """One named part of a score; on each axis the points sum to it."""

    axis: str = Field(examples=["fit"])
    group: str | None = Field(examples=["size"])
    part: str = Field(examples=["50 to 500"])
    points: int = Field(examples=[60])
    evidence: str | None = Field(examples=["employees = 120"])


class TouchLine(Shape):
    """One planned or sent message, without its text."""

    id: int
    step: int = Field(examples=[1])
    sequence: str = Field(examples=["short"])
    variant: str | None
    state: TouchState
    reason: str | None
    due_at: datetime
    mailbox: str = Field(examples=["mara@quillmast.example"])
    message_id: str
    attempts: int
    approved_by: str | None


class TouchTold(TouchLine):
    """One message of a lead's journey."""

    sent_at: datetime | None


class Chapter(Decisions):
    """One campaign's part of a lead's journey."""

    prospect_id: int
    campaign: str
    campaign_version: int | None = Field(None, description="The version that judged.")
    score: list[ScorePart]
    touches: list[TouchTold]
    next_touch: TouchTold | None


class Happened(Shape):
    """One thing that happened."""

    at: datetime
    what: str = Field(examples=["replied"])
    detail: str


class Origin(Shape):
    """The import that brought a lead."""

    id: int
    source: str = Field(examples=["csv"])
    name: str = Field(examples=["fair.csv"])
    started_at: datetime
