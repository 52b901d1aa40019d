"""Rules over the API: whether a condition can be used, what it looks at, and how many leads it means."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from touchline.app import counts
from touchline.model import rules
from touchline.model.columns import COLUMNS, LEAD, SEARCH, SEARCH_LEADS, Column
from touchline.web.api.counted import Counted
from touchline.web.api.route import router
from touchline.web.api.shapes import Shape
from touchline.web.api.texts import LINES, LONGEST, Campaign
from touchline.web.visit import Visit, needs

routes = router("rules", "/rules")
Reads = Annotated[Visit, needs("rules:read")]
Place = Literal["search", "campaign", "lead"]
PLACES = {"campaign": COLUMNS, "lead": {column.name: column for column in LEAD}}
"""Columns by where a rule stands; a search knows more with a campaign than without."""


class RuleFault(Shape):
    """What is wrong with a rule, and where."""

    position: int = Field(description="Character at which it begins, from 0.", examples=[0])
    fault: str = Field(examples=["no column 'employes', did you mean 'employees'?"])
    hint: str


class RuleChecked(Shape):
    """What a rule means."""

    valid: bool
    columns: list[str] = Field(description="Columns that it looks at.", examples=[["country", "employees"]])
    error: RuleFault | None = Field(description="Null where it is valid.")
    matching: Counted[int] | None = Field(description="Leads that it means, in a search; null elsewhere.")


class RuleColumn(Shape):
    """A column that rules may look at."""

    name: str
    kind: str = Field(examples=["number"])
    doc: str


@routes.get("/check", summary="Check a rule")
def check(
    visit: Reads,
    rule: Annotated[str, Query(min_length=1, max_length=LONGEST, pattern=LINES, examples=["employees >= 50"])],
    place: Annotated[
        Place,
        Query(description="search: a filter of leads; campaign: its rules and routes; lead: texts and snippets."),
    ] = "search",
    campaign: Campaign = None,
) -> RuleChecked:
    """Whether it is in the rule language, what it looks at, and how many leads it means (counted in the background)."""
    if campaign:
        with visit.store.reading() as unit:
            unit.campaigns.get(campaign)
    try:
        condition = rules.parse(rule, _known(place, campaign))
    except rules.RuleError as error:
        fault = RuleFault(position=error.position, fault=error.fault, hint=error.hint)
        return RuleChecked(valid=False, columns=[], error=fault, matching=None)
    told = None
    if place == "search":
        told = Counted[int].of(counts.matching(visit.site.counts, visit.store, campaign, rule))
    return RuleChecked(valid=True, columns=sorted(condition.columns), error=None, matching=told)


@routes.get("/columns", summary="List the columns of rules")
def columns(visit: Reads, place: Place = "search", campaign: Campaign = None) -> list[RuleColumn]:
    """Every column that a rule may look at in that place, with its meaning."""
    del visit
    return [
        RuleColumn(name=column.name, kind=str(column.kind), doc=column.doc)
        for column in _known(place, campaign).values()
    ]


def _known(place: Place, campaign: str | None) -> dict[str, Column]:
    return PLACES[place] if place != "search" else SEARCH if campaign else SEARCH_LEADS
