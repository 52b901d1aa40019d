"""Saved views: searches that people keep under a name."""

from datetime import datetime
from typing import Any, Protocol

from touchline.app.ports import Row, Store
from touchline.app.search import SORTS, filter_of
from touchline.model.errors import InvalidInput, NotFound, Refused

MOST = 100
LONGEST_NAME = 60
LEADS = "leads"
"""The page that views are of."""
ENTRIES = frozenset({"campaign", "where", "text", "sort", "columns"})
"""What a view may say; all of it is optional."""


class Views(Protocol):
    """Searches that people keep."""

    # What each method does stands where it is done.
    def listed(self, page: str) -> list[Row]: ...  # noqa: D102
    def count(self) -> int: ...  # noqa: D102
    def exists(self, name: str) -> bool: ...  # noqa: D102
    def add(self, name: str, page: str, query: dict[str, Any], by: str, now: datetime) -> int: ...  # noqa: D102
    def remove(self, name: str) -> bool: ...  # noqa: D102


def listed(store: Store) -> list[Row]:
    """`name`, `query`, `created_by` and `created_at` of all views, in order of name."""
    with store.reading() as unit:
        return unit.views.listed(LEADS)


def add(store: Store, name: str, query: dict[str, Any], *, by: str, now: datetime) -> int:
    """Keep a search; gives its key.

    Args:
        query: Some of `ENTRIES`; `columns` is a list of names.

    Raises:
        InvalidInput: The name or the query cannot be used.
        NotFound: The query's campaign does not exist.
        Refused: The name is taken, or there are too many views.
    """
    label = " ".join(name.split())
    if not label or len(label) > LONGEST_NAME or "\0" in label:
        raise InvalidInput(f"A view's name has 1 to {LONGEST_NAME} characters.", hint="Say what it shows.")
    if odd := sorted(query.keys() - ENTRIES):
        raise InvalidInput(f"A view has no {', '.join(odd)}.", hint=f"It has: {', '.join(sorted(ENTRIES))}.")
    asked = {key: value for key, value in query.items() if value not in (None, "", [])}
    columns = asked.get("columns", [])
    texts = [value for key, value in asked.items() if key != "columns"]
    if not isinstance(columns, list) or not all(isinstance(value, str) for value in (*texts, *columns)):
        raise InvalidInput(
            "A view's entries are text, its columns a list of names.", hint="Save it from the list of leads."
        )
    if asked.get("sort", "newest") not in SORTS:
        raise InvalidInput(f"There is no order {asked['sort']!r}.", hint=f"Orders: {', '.join(SORTS)}.")
    with store.transaction() as unit:
        if campaign := asked.get("campaign"):
            unit.campaigns.get(campaign)
        filter_of(unit, campaign, asked.get("where"), asked.get("text"))
        if unit.views.exists(label):
            raise Refused(f"There is a view {label!r} already.", hint="Choose another name, or remove that one.")
        if unit.views.count() >= MOST:
            raise Refused(f"There are {MOST} views already.", hint="Remove one that nobody uses.")
        return unit.views.add(label, LEADS, asked, by, now)


def remove(store: Store, name: str) -> None:
    """Forget a view.

    Raises:
        NotFound: There is none of this name.
    """
    with store.transaction() as unit:
        if not unit.views.remove(name):
            raise NotFound(f"There is no view {name!r}.", hint="It may have been removed already.")
