"""Searches over leads and prospects: stretches of keys that meet a filter, and the rows to show for them."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, literal_column, select, text, tuple_

from touchline.adapters.store.query import among, among_given, given
from touchline.adapters.store.tables import campaigns, leads, prospects
from touchline.app.search import TIERS, Filter, Rank
from touchline.model.columns import DECISIONS, LEAD, SEARCH_LEADS, STANDING, Column
from touchline.model.rules import Condition, Dialect

RANK = (prospects.c.fit, prospects.c.lead_id)
"""The order within a tier, best first when read backwards."""

SHOWN = (
    leads.c.id,
    leads.c.identity,
    *(leads.c[c.name] for c in LEAD),
    leads.c.import_id,
    leads.c.created_at,
    leads.c.updated_at,
)
JUDGED = (
    prospects.c.id.label("prospect_id"),
    prospects.c.state,
    prospects.c.state_reason,
    prospects.c.decided_by,
    *(prospects.c[c.name] for c in DECISIONS),
)

OF_PROSPECTS = {column.name for column in (*DECISIONS, *STANDING)}
TOUCHED: dict[Dialect, str] = {
    "sqlite": "(SELECT '|' || group_concat(touches.state, '|') || '|' FROM touches "
    "WHERE touches.prospect_id = prospects.id)",
    "postgresql": "(SELECT '|' || string_agg(touches.state, '|') || '|' FROM touches "
    "WHERE touches.prospect_id = prospects.id)",
}
"""`touch_states`, gathered when it is asked for."""


# Built once: every list and every lead asks for them, and building a statement takes longer than running it.
@cache
def _shown(dialect: str, *, judged: bool) -> Select[Any]:
    query = select(*SHOWN).where(among_given(dialect, leads.c.id, "keys"))
    if not judged:
        return query
    mine = (prospects.c.lead_id == leads.c.id) & (prospects.c.campaign_id == bindparam("campaign"))
    return query.add_columns(*JUDGED).join(prospects, mine)


@cache
def _names(dialect: str) -> Select[Any]:
    return (
        select(prospects.c.lead_id, campaigns.c.name)
        .join(campaigns, campaigns.c.id == prospects.c.campaign_id)
        .where(among_given(dialect, prospects.c.lead_id, "keys"))
        .order_by(campaigns.c.name)
    )


class Search:
    """Reads `leads` and, in a campaign, `prospects`. Keys are those of leads."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.dialect: Dialect = "postgresql" if connection.dialect.name == "postgresql" else "sqlite"

    def span(self, campaign_id: int | None) -> tuple[int, int] | None:
        """The least and the greatest key; None where there is none."""
        key = leads.c.id if campaign_id is None else prospects.c.lead_id
        ends = []
        # An end a statement: SQLite looks both up in the index only when each is asked by itself.
        for end in (func.min(key), func.max(key)):
            query = select(end)
            if campaign_id is not None:
                query = query.where(prospects.c.campaign_id == campaign_id)
            ends.append(self.connection.execute(query).scalar_one())
        low, high = ends
        return None if low is None else (low, high)

    def between(
        self, campaign_id: int | None, asked: Filter, *, low: int, high: int, newest: bool, limit: int
    ) -> list[int]:
        """Keys from `low` to `high`, both included, that meet the filter, in order."""
        key = leads.c.id if campaign_id is None else prospects.c.lead_id
        query = self._filtered(select(key), campaign_id, asked)
        if asked.identities is not None:
            # Few. Asked for in order SQLite would rather walk through the whole range.
            few = [found for found in self.connection.execute(query).scalars() if low <= found <= high]
            return sorted(few, reverse=newest)[:limit]
        query = query.where(key >= low, key <= high)
        return list(self.connection.execute(query.order_by(key.desc() if newest else key).limit(limit)).scalars())

    def end(self, campaign_id: int, tier: str | None, after: Rank | None, size: int) -> Rank | None:
        """The rank that ends the next `size` prospects of a tier; None where the tier ends before."""
        query = self._tier(select(*RANK), campaign_id, tier, after, None).limit(1).offset(size - 1)
        row = self.connection.execute(query).one_or_none()
        return (row[0], row[1]) if row else None

    def passed(self, campaign_id: int, tier: str | None, after: Rank | None, until: Rank | None) -> int:
        """How many prospects of a tier stand behind `after` and up to `until`."""
        query = self._tier(select(func.count(prospects.c.lead_id)), campaign_id, tier, after, until).order_by(None)
        return int(self.connection.execute(query).scalar_one())

    def ranked(
        self, campaign_id: int, asked: Filter, tier: str | None, after: Rank | None, until: Rank | None, limit: int
    ) -> list[Rank]:
        """Ranks of a tier's prospects behind `after` and up to `until` that meet the filter, best first."""
        query = self._filtered(self._tier(select(*RANK), campaign_id, tier, after, until), campaign_id, asked)
        return [(row[0], row[1]) for row in self.connection.execute(query.limit(limit))]

    def _tier(
        self, query: Select[Any], campaign_id: int, tier: str | None, after: Rank | None, until: Rank | None
    ) -> Select[Any]:
        query = query.where(prospects.c.campaign_id == campaign_id)
        if tier is None:
            # Nobody has been scored here, so the key alone is the rank.
            query = query.where(*(prospects.c[name].is_(None) for name in ("tier", "fit")))
            query = query.where(*([prospects.c.lead_id < after[1]] if after else []))
            query = query.where(*([prospects.c.lead_id >= until[1]] if until else []))
            return query.order_by(prospects.c.lead_id.desc())
        # A literal, so that the planner sees which part of the index is meant.
        query = query.where(prospects.c.tier == literal_column(f"'{TIERS[TIERS.index(tier)]}'"))
        query = query.where(*([tuple_(*RANK) < tuple_(*after)] if after else []))
        query = query.where(*([tuple_(*RANK) >= tuple_(*until)] if until else []))
        return query.order_by(*(column.desc() for column in RANK))

    def count(self, campaign_id: int | None, asked: Filter) -> int:
        """How many meet the filter: a look at every one, so it takes a second or more for a million."""
        key = leads.c.id if campaign_id is None else prospects.c.lead_id
        return int(self.connection.execute(self._filtered(select(func.count(key)), campaign_id, asked)).scalar_one())

    def still(self, campaign_id: int | None, asked: Filter, keys: Collection[int]) -> list[tuple[int, int | None]]:
        """Those of the leads that meet the filter now, in a campaign with their prospects' keys; locked where the transaction writes."""
        chosen = (leads.c.id,) if campaign_id is None else (prospects.c.lead_id, prospects.c.id)
        query = self._filtered(select(*chosen), campaign_id, asked)
        query = query.where(among(self.connection, chosen[0], keys)).order_by(chosen[0])
        locked = query.with_for_update(of=leads if campaign_id is None else prospects)
        return [(row[0], row[1] if campaign_id is not None else None) for row in self.connection.execute(locked)]

    def rows(self, campaign_id: int | None, keys: Sequence[int]) -> list[dict[str, Any]]:
        """What is shown of these leads, in their order: in a campaign with decisions, else with `campaigns` (names)."""
        asked: dict[str, Any] = {"keys": given(self.dialect, keys)}
        if campaign_id is not None:
            asked["campaign"] = campaign_id
        query = _shown(self.dialect, judged=campaign_id is not None)
        result = self.connection.execute(query, asked)
        columns = tuple(result.keys())
        found = {row[0]: dict(zip(columns, row, strict=True)) for row in result.all()}
        shown = [found[key] for key in keys if key in found]
        if campaign_id is None:
            names = self._campaigns(keys)
            shown = [{**row, "campaigns": names.get(row["id"], [])} for row in shown]
        return shown

    def _campaigns(self, lead_ids: Sequence[int]) -> dict[int, list[str]]:
        query = _names(self.dialect)
        found: dict[int, list[str]] = {}
        for lead_id, name in self.connection.execute(query, {"keys": given(self.dialect, lead_ids)}).all():
            found.setdefault(lead_id, []).append(name)
        return found

    def _filtered(self, query: Select[Any], campaign_id: int | None, asked: Filter) -> Select[Any]:
        if campaign_id is not None:
            query = query.where(prospects.c.campaign_id == campaign_id)
            if asked.looks_at_leads:
                query = query.join(leads, leads.c.id == prospects.c.lead_id)
        if asked.condition is not None:
            query = query.where(self._rule(asked.condition))
        if asked.identities is not None:
            # Two statements: one alone SQLite would answer by walking through the campaign.
            named = select(leads.c.id).where(among(self.connection, leads.c.identity, asked.identities))
            ids = self.connection.execute(named).scalars().all()
            key = leads.c.id if campaign_id is None else prospects.c.lead_id
            query = query.where(among(self.connection, key, ids))
        if asked.words:
            query = query.where(self._says(asked.words))
        return query

    def _rule(self, condition: Condition) -> Any:
        """A condition as SQL, printed by us; the user's literals are parameters."""

        def place(column: Column) -> str:
            if column.name == "touch_states":
                return TOUCHED[self.dialect]
            table = "leads" if column.name in SEARCH_LEADS else "prospects"
            return f'{table}."{column.compared}"'

        sql, parameters = condition.sql(self.dialect, place)
        return text(sql).bindparams(**parameters)

    def _says(self, words: tuple[str, ...]) -> ColumnElement[bool]:
        """Every word stands somewhere in the address, the name, the company or the profile."""
        inside = func.strpos if self.dialect == "postgresql" else func.instr
        told = [
            leads.c[name]
            for name in ("email", "first_name_folded", "last_name_folded", "company_folded", "profile_url")
        ]
        whole: ColumnElement[str] = func.coalesce(told[0], "")
        for column in told[1:]:
            whole = whole + " " + func.coalesce(column, "")
        return and_(*(inside(whole, word) > 0 for word in words))
