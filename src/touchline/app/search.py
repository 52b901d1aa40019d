"""Searches over leads: a page of any filter within a time budget, and the condition behind every number that is shown."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from touchline.app.ports import Row, Store, Unit
from touchline.model import rules
from touchline.model.address import base_address_of, base_addresses_of
from touchline.model.columns import SEARCH, SEARCH_LEADS, Kind, fold_text
from touchline.model.errors import InvalidInput
from touchline.model.rules import Condition
from touchline.model.rules.tree import Compare, Joined, Node, OneOf, Operand, Value

Sort: TypeAlias = Literal["newest", "oldest", "score"]
"""By key, or in a campaign by tier, then fit, the newest first among equals."""

Rank: TypeAlias = tuple[int | None, int]
"""Fit and key of a lead: its place within its tier."""

Cursor: TypeAlias = list[Any]
"""Where a search goes on, as JSON keeps it: sort, how much has been looked through, the greatest key, tier and place."""

SORTS = ("newest", "oldest", "score")
TIERS = ("a", "b", "c", "d")
ORDER: tuple[str | None, ...] = (*TIERS, None)

BUDGET_SECONDS = 0.3
FIRST_STRETCH = 5_000
"""Keys of the first stretch; a page of a filter that a hundredth of the leads meet is full after it."""
GROWTH = 4
PRUDENCE = 0.5
"""Share of the time left that the next stretch may take at the pace of the last."""
LONGEST_TEXT = 200
ADDRESSES = ("email", "base_address")
"""Columns whose base address is the lead's identity."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a search looks for: all of it must hold.

    Attributes:
        identities: The only leads that it can be, where an address is named; None where it may be any.
        words: Folded words, each of which stands in the address, the name, the company or the profile.
    """

    condition: Condition | None = None
    identities: tuple[str, ...] | None = None
    words: tuple[str, ...] = ()

    @property
    def looks_at_leads(self) -> bool:
        """Whether leads must be read to tell, besides prospects."""
        asked = self.condition.columns if self.condition else frozenset()
        return bool(self.words) or not asked.isdisjoint(SEARCH_LEADS)

    @property
    def quick(self) -> bool:
        """Whether an index leads to whatever meets it, so that nothing else is looked through."""
        return self.identities is not None or (self.condition is None and not self.words)


class Search(Protocol):
    """Stretches of leads that meet a filter, in a campaign or among all. Keys are those of leads."""

    # What each method does stands where it is done.
    def span(self, campaign_id: int | None) -> tuple[int, int] | None: ...  # noqa: D102
    def between(  # noqa: D102
        self, campaign_id: int | None, asked: Filter, *, low: int, high: int, newest: bool, limit: int
    ) -> list[int]: ...
    def end(self, campaign_id: int, tier: str | None, after: Rank | None, size: int) -> Rank | None: ...  # noqa: D102
    def passed(self, campaign_id: int, tier: str | None, after: Rank | None, until: Rank | None) -> int: ...  # noqa: D102
    def ranked(  # noqa: D102
        self, campaign_id: int, asked: Filter, tier: str | None, after: Rank | None, until: Rank | None, limit: int
    ) -> list[Rank]: ...
    def count(self, campaign_id: int | None, asked: Filter) -> int: ...  # noqa: D102
    def still(self, campaign_id: int | None, asked: Filter, keys: Collection[int]) -> list[tuple[int, int | None]]: ...  # noqa: D102
    def rows(self, campaign_id: int | None, keys: Sequence[int]) -> list[Row]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Page:
    """What a search has found so far.

    Attributes:
        rows: Leads; in a campaign with `prospect_id`, `state`, `state_reason`, `decided_by` and the decisions, else with `campaigns`.
        cursor: Where it goes on; None at the end. With fewer rows than asked for, time was up before the page was full.
        scanned: Keys looked through since the first page, of `total` in the key range.
    """

    rows: list[Row]
    cursor: Cursor | None
    scanned: int
    total: int


def filter_of(unit: Unit, campaign: str | None, where: str | None, text: str | None = None) -> Filter:
    """The filter that a person wrote.

    Raises:
        InvalidInput: The condition is not in the rule language, or looks at decisions without a campaign; the text is too long.
    """
    condition = rules.parse(where, SEARCH if campaign else SEARCH_LEADS) if where and where.strip() else None
    words = " ".join((text or "").split())
    if not words:
        return Filter(condition, _named(condition.tree) if condition else None)
    if len(words) > LONGEST_TEXT or "\0" in words:
        raise InvalidInput(
            f"A text to search for has at most {LONGEST_TEXT} characters.", hint="Give one or two words."
        )
    identity = base_address_of(words)
    if identity and unit.leads.find(identity):
        return Filter(condition, (identity,))
    return Filter(condition, _named(condition.tree) if condition else None, tuple(fold_text(words).split()))


def _named(node: Node) -> tuple[str, ...] | None:
    """Identities of all leads that can meet a condition; None where it names no addresses. An index leads to them."""
    match node:
        case Compare(Operand(column, None), "=", str(value)) if column.name in ADDRESSES:
            values: tuple[Value, ...] = (value,)
        case OneOf(Operand(column, None), values) if column.name in ADDRESSES:
            pass
        case Joined("AND", parts):
            return next((found for part in parts if (found := _named(part)) is not None), None)
        case _:
            return None
    return tuple(base for base in base_addresses_of([str(value) for value in values]) if base)


def page(
    store: Store,
    *,
    campaign: str | None,
    where: str | None,
    text: str | None,
    sort: Sort,
    cursor: Cursor | None,
    seconds: Callable[[], float],
    limit: int = 50,
    budget_seconds: float = BUDGET_SECONDS,
    stretch: int = FIRST_STRETCH,
) -> Page:
    """The next leads that meet a filter. Looks through stretches that grow until the page is full or time is up.

    Args:
        where: A condition over `SEARCH`, without a campaign over `SEARCH_LEADS`.
        text: Words of an address, a name or a company; a whole address finds its lead at once.
        cursor: From the page before; None for the first page.
        seconds: A clock that only goes forward.
        limit: Rows of a page, 1 or more.
        stretch: Keys to look through first, and at least each time.

    Raises:
        NotFound: No such campaign.
        InvalidInput: The condition, the sort or the cursor cannot be used.
    """
    if sort == "score" and campaign is None:
        raise InvalidInput("Scores belong to a campaign.", hint="Choose a campaign, or sort by newest or oldest.")
    with store.reading() as unit:
        campaign_id = unit.campaigns.get(campaign).id if campaign else None
        asked = filter_of(unit, campaign, where, text)
        span = unit.search.span(campaign_id)
        if span is None:
            return Page([], None, 0, 0)
        walk = _Walk(unit.search, campaign_id, asked, sort, *span, stretch)
        walk.go_to(cursor)
        keys = walk.look(limit, seconds, budget_seconds)
        rows = unit.search.rows(campaign_id, keys)
    total = walk.high - walk.low + 1
    scanned = total if walk.ended else min(walk.scanned, total)
    return Page(rows, None if walk.ended else walk.cursor(), scanned, total)


def count(store: Store, campaign: str | None, where: str | None, text: str | None = None) -> int:
    """How many leads meet a filter, exactly: a second or more for a million, so pages ask `app.counts` instead."""
    with store.reading() as unit:
        campaign_id = unit.campaigns.get(campaign).id if campaign else None
        return unit.search.count(campaign_id, filter_of(unit, campaign, where, text))


@dataclass(slots=True)
class _Walk:
    """A search on its way from `low` to `high` or back. Leads that come later have greater keys: only an oldest-first walk meets them."""

    search: Search
    campaign_id: int | None
    asked: Filter
    sort: Sort
    low: int
    high: int
    stretch: int
    scanned: int = 0
    tier: int = 0
    after: Rank | None = None
    ended: bool = False

    def go_to(self, cursor: Cursor | None) -> None:
        match cursor:
            case None:
                return
            case [self.sort, int(scanned), int(high), int(tier), list([_, int()]) | None as after]:
                if scanned >= 0 and 0 <= tier < len(ORDER):
                    self.scanned, self.tier = scanned, tier
                    self.high = self.high if self.sort == "oldest" else high
                    self.after = (after[0], after[1]) if after else None
                    return
        raise InvalidInput("This place belongs to another search.", hint="Start again at the first page.")

    def cursor(self) -> Cursor:
        return [self.sort, self.scanned, self.high, self.tier, list(self.after) if self.after else None]

    def look(self, limit: int, seconds: Callable[[], float], budget: float) -> list[int]:
        """Keys of the next page, `limit` at most: stretch after stretch, each as long as the time that is left allows."""
        keys: list[int] = []
        size, began = self.stretch, seconds()
        while not self.ended and len(keys) < limit:
            start = seconds()
            keys += (self._by_score if self.sort == "score" else self._by_key)(size, limit - len(keys))
            now = seconds()
            left = budget - (now - began)
            if left <= 0:
                break
            pace = size / max(now - start, 1e-3)
            size = max(self.stretch, min(size * GROWTH, int(pace * left * PRUDENCE)))
        return keys

    def _by_key(self, size: int, limit: int) -> list[int]:
        newest = self.sort == "newest"
        at = self.after[1] if self.after else self.high + 1 if newest else self.low - 1
        size = self.high - self.low + 1 if self.asked.quick else size
        low, high = (max(self.low, at - size), at - 1) if newest else (at + 1, min(self.high, at + size))
        # One more than wanted tells whether anything follows.
        found = self.search.between(self.campaign_id, self.asked, low=low, high=high, newest=newest, limit=limit + 1)
        last = found[limit - 1] if len(found) > limit else low if newest else high
        self.scanned += abs(last - at)
        self.after = (None, last)
        self.ended = len(found) <= limit and last == (self.low if newest else self.high)
        return found[:limit]

    def _by_score(self, size: int, limit: int) -> list[int]:
        assert self.campaign_id is not None
        if self.asked.identities is not None:
            return self._few_by_score(limit)
        tier, quick = ORDER[self.tier], self.asked.quick
        until = None if quick else self.search.end(self.campaign_id, tier, self.after, size)
        found = self.search.ranked(self.campaign_id, self.asked, tier, self.after, until, limit + 1)
        last = found[limit - 1] if len(found) > limit else until
        self.scanned += len(found[:limit]) if quick else self.search.passed(self.campaign_id, tier, self.after, last)
        self.after = last
        if last is None:
            self.tier += 1
            self.ended = self.tier == len(ORDER)
        return [rank[1] for rank in found[:limit]]

    def _few_by_score(self, limit: int) -> list[int]:
        """As many as a rule can name: read whole each time, and put in order here."""
        few = len(self.asked.identities or ())
        keys = self.search.between(
            self.campaign_id, self.asked, low=self.low, high=self.high, newest=True, limit=max(few, 1)
        )
        rows = sorted(self.search.rows(self.campaign_id, keys), key=_rank)
        found = rows[self.scanned : self.scanned + limit]
        self.scanned += len(found)
        self.ended = self.scanned >= len(rows)
        return [row["id"] for row in found]


def _rank(row: Row) -> tuple[int, int]:
    # Sorting keeps the order of equals, which is newest first.
    return ORDER.index(row["tier"]), -(row["fit"] or 0)


def where_of(line: Mapping[str, Any]) -> str:
    """The condition for the leads behind a number: every entry of `line` must hold.

    Args:
        line: `stage` and `reason` as a line of `app.funnel` has them, `touch` (the state of a touch), or columns of `SEARCH`
            with the value they have, of which None and "-" mean that there is none. What else a line says is passed over.
    """
    parts = []
    for name, value in line.items():
        if name == "stage":
            parts += [_is("state", value), *_because(value, line.get("reason"))]
        elif name == "touch":
            parts.append(f"has(touch_states, {_quoted(value)})")
        elif name in SEARCH:
            parts.append(f"{name} IS NULL" if value in (None, "-") else _is(name, value))
    return " AND ".join(parts)


REASONED = {**dict.fromkeys(("waiting", "rejected", "held"), "verdict_reason"), "unrouted": "route_reason"}
"""Where the reason of a state stands that has none of its own."""


def _because(stage: str, reason: str | None) -> list[str]:
    """The condition of a line's reason, as `app.funnel` makes it."""
    if reason is None or "\\" in reason:  # which no rule can say
        return []
    column = REASONED.get(stage, "sequence")
    if not reason:
        return ["state_reason IS NULL", f"{column} IS NULL"]
    own = _is("state_reason", reason)
    value = reason.removeprefix("sequence ") if column == "sequence" else reason
    if column == "sequence" and value == reason:
        return [own]
    return [f"({own} OR (state_reason IS NULL AND {_is(column, value)}))"]


def _is(name: str, value: Any) -> str:
    if SEARCH[name].kind in (Kind.NUMBER, Kind.AMOUNT):
        return f"{name} = {value}"
    return f"{name} = {_quoted(fold_text(str(value)) if SEARCH[name].kind is Kind.CODE else str(value))}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
