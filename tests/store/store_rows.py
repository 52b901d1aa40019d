"""Small batches for the store's tests: leads, decided prospects and touches with nothing in them but what a test says."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from touchline.adapters.store.store import Store, Unit
from touchline.model.campaign import Campaign
from touchline.model.columns import DECISIONS, LEAD, lead_schema, shadows

NOW = datetime(2027, 1, 12, 9, 0, tzinfo=UTC)
MAILBOX = "mara@example.com"
INSTANT = pl.Datetime("us", "UTC")
POINTS = {"parts": [{"name": "any", "when": "employees > 1", "points": 5}]}


def campaign(name: str = "spring", **changes: Any) -> Campaign:
    """A campaign that is just whole enough to be stored."""
    return Campaign.parse(
        {
            "name": name,
            "icp": {"fit": {"size": POINTS}, "opportunity": {"size": POINTS}},
            "routes": [{"name": "all", "when": "fit >= 0", "sequence": "direct"}],
            "sequences": {"direct": {"steps": [{"name": "one", "subject": "Hello", "text": "Hello there"}]}},
            **changes,
        },
        "test",
    )


def address(number: int) -> str:
    """The address of the person with this number."""
    return f"p{number}@x{number % 7}.example"


def leads(people: Sequence[int], **columns: Any) -> pl.DataFrame:
    """A batch as harvest gives it; a list gives a column row by row, anything else is for all."""
    wide = {"identity": pl.String(), **lead_schema()}
    given = {
        "identity": [address(p) for p in people],
        "email": [address(p) for p in people],
        "base_address": [address(p) for p in people],
        "email_domain": [address(p).partition("@")[2] for p in people],
        **columns,
    }
    rows = {
        name: given[name] if isinstance(given.get(name), list) else [given.get(name)] * len(people) for name in wide
    }
    return pl.DataFrame(rows, schema=wide).with_columns(shadows())


def decided(batch: pl.DataFrame, **columns: Any) -> pl.DataFrame:
    """The batch as judging leaves it: enrolled, nothing pending."""
    values = {"state": "enrolled", "pending": 0, "sequence": "direct", "campaign_version": 1, **columns}
    kinds = {
        "state": pl.String(),
        "state_reason": pl.String(),
        "pending": pl.Int64(),
        "recheck_at": INSTANT,
        "campaign_version": pl.Int64(),
        **{c.name: c.dtype for c in DECISIONS},
    }
    return batch.with_columns(
        pl.Series(name, value, dtype=kind)
        if isinstance(value := values.get(name), list)
        else pl.lit(value, kind).alias(name)
        for name, kind in kinds.items()
    )


def touches(prospects: pl.Series, campaign_id: int, **columns: Any) -> pl.DataFrame:
    """First touches of these prospects: planned, due now."""
    count = len(prospects)
    values = {
        "step": 1,
        "sequence": "direct",
        "variant": None,
        "state": "planned",
        "due_at": NOW,
        "mailbox": MAILBOX,
        "message_id": [f"<{key}.{columns.get('step', 1)}@example.com>" for key in prospects],
        **columns,
    }
    kinds = {"step": pl.Int64(), "due_at": INSTANT}
    return pl.DataFrame({"prospect_id": prospects}).with_columns(
        pl.lit(campaign_id, pl.Int64).alias("campaign_id"),
        *(
            pl.Series(name, value if isinstance(value, list) else [value] * count, dtype=kinds.get(name, pl.String()))
            for name, value in values.items()
        ),
    )


def add_campaign(unit: Unit, name: str = "spring", **changes: Any) -> int:
    """An active campaign; gives its key."""
    return unit.campaigns.create(campaign(name, **changes), "active", NOW)


def enrol(unit: Unit, campaign_id: int, people: Sequence[int], **columns: Any) -> pl.Series:
    """New leads, enrolled; gives the keys of their prospects. `columns` may be of the lead or the decision."""
    own = {c.name for c in LEAD} | {"identity"}
    batch = leads(people, **{name: value for name, value in columns.items() if name in own})
    batch = batch.with_columns(unit.leads.insert(batch, None, NOW))
    ready = decided(batch, **{name: value for name, value in columns.items() if name not in own})
    return unit.prospects.insert(ready, campaign_id, NOW)


def planned(store: Store, count: int, **columns: Any) -> tuple[int, list[int], list[int]]:
    """A campaign with so many planned touches; gives its key, its prospects' and its touches'."""
    with store.transaction() as unit:
        campaign_id = add_campaign(unit)
        prospects = enrol(unit, campaign_id, range(count))
        unit.touches.insert(touches(prospects, campaign_id, **columns), NOW)
        rows = unit.touches.of_prospects(prospects.to_list())
    return campaign_id, prospects.to_list(), [row["id"] for row in rows]


def states(store: Store, prospects: Sequence[int]) -> list[str]:
    """States of the touches of these prospects, in order."""
    with store.reading() as unit:
        return [row["state"] for row in unit.touches.of_prospects(prospects)]


class Steps:
    """Steps of SQLite's machine, in hundreds (sqlite.org/c3ref/progress_handler.html), while the block runs.

    Args:
        driver: The connection that they are counted on.
    """

    def __init__(self, driver) -> None:
        self.driver, self.count = driver, 0

    def __enter__(self):
        self.driver.set_progress_handler(self._step, 100)
        return self

    def __exit__(self, *_) -> None:
        self.driver.set_progress_handler(None, 0)

    def _step(self) -> int:
        self.count += 1
        return 0
