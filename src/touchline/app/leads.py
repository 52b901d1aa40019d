"""Leads one at a time or in pages, and what a person decides about one."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import polars as pl

from touchline.app.ports import Row, Store, Unit
from touchline.app.suppression import stop
from touchline.model import rules
from touchline.model.address import base_address_of
from touchline.model.columns import COLUMNS, LEAD
from touchline.model.errors import InvalidInput, NotFound, Refused
from touchline.stages.normalise.contact import profile_url

PAGE = 1_000


def by_key(store: Store, key: int) -> Row:
    """One lead with the names of its campaigns.

    Raises:
        NotFound: There is none.
    """
    with store.reading() as unit:
        rows = unit.search.rows(None, [key])
    if not rows:
        raise NotFound(f"There is no lead {key}.", hint="It may have been erased. Find one by its address.")
    return rows[0]


def find(unit: Unit, who: str) -> Row:
    """The lead with this address, or with this profile URL where it has no address.

    Raises:
        NotFound: There is none.
    """
    text = who.strip()
    known = unit.leads.find(text)
    if known is not None:
        return known
    base = base_address_of(text)
    page = profile_url(pl.Series([text], dtype=pl.String)).item()
    for identity in filter(None, (base, page and f"profile:{page}")):
        lead = unit.leads.find(identity)
        if lead is not None:
            return lead
    raise NotFound(
        f"There is no lead {who!r}.", hint="Find one with: touchline leads list --where \"company = 'acme'\""
    )


def pages(
    store: Store, *, campaign: str | None, where: str | None, limit: int | None, after: int = 0
) -> Iterator[list[Row]]:
    """Leads in order of key, page by page; with a campaign, those in it with their decisions.

    Args:
        where: A condition in the rule language; decisions may stand in it only with a campaign.
    """
    known = COLUMNS if campaign else {column.name: column for column in LEAD}
    condition = rules.parse(where, known) if where else None
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        with store.reading() as unit:
            campaign_id = unit.campaigns.get(campaign).id if campaign else None
            rows = unit.leads.page(campaign_id=campaign_id, where=condition, after=after, limit=size)
        if rows:
            yield rows
        if len(rows) < size:
            return
        after = rows[-1]["id"]
        left = None if left is None else left - len(rows)


def replied(store: Store, who: str, now: datetime) -> tuple[Row, int]:
    """A person answered: record it and end every sequence to them. Gives the lead and how many touches that cancelled."""
    with store.transaction() as unit:
        lead = find(unit, who)
        unit.journal.record("replied", now, lead_id=lead["id"], account=lead["account"], detail="recorded by hand")
        return lead, stop(unit, [lead["id"]], "replied", now, state="replied")


def decide(
    store: Store,
    who: str,
    campaign: str,
    verdict: Literal["qualified", "rejected"],
    *,
    by: str,
    reason: str,
    now: datetime,
) -> Row:
    """Give a held prospect a person's verdict; the next run goes on from it.

    Raises:
        NotFound: No such lead, or it is not in the campaign.
        Refused: The prospect's sequence has begun or ended already.
    """
    if not reason.strip():
        raise InvalidInput("A verdict needs a reason.", hint='Add: --reason "met at the fair"')
    with store.transaction() as unit:
        lead = find(unit, who)
        stored = unit.campaigns.get(campaign)
        prospect = next((p for p in unit.prospects.of_lead(lead["id"]) if p["campaign_id"] == stored.id), None)
        if prospect is None:
            raise NotFound(f"{who} is not in campaign {campaign!r}.")
        if prospect["state"] in ("enrolled", "finished", "replied", "stopped"):
            raise Refused(
                f"{who} is {prospect['state']} in {campaign!r} already.",
                hint="To end a sequence: touchline suppress add",
            )
        unit.prospects.set(
            [prospect["id"]], now, verdict=verdict, verdict_reason=f"{by}: {reason.strip()}", decided_by=by, pending=1
        )
        return lead
