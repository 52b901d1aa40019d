"""Saved views: kept under a name, checked before they are kept, few enough to look through."""

from typing import Any

import pytest
from office import Office

from touchline.app import views
from touchline.model.errors import InvalidInput, NotFound, Refused

HELD = {"campaign": "spring", "where": "state = 'held'", "sort": "score", "columns": ["email", "tier"]}


@pytest.fixture
def kept(either: Office) -> Office:
    either.apply()
    views.add(either.store, "  On   hold ", {**HELD, "text": ""}, by="mara", now=either.now)
    return either


def test_a_view_is_kept_under_its_name_until_it_is_removed(kept: Office) -> None:
    views.add(kept.store, "All", {}, by="ola", now=kept.now)
    listed = views.listed(kept.store)
    assert [(view["name"], view["query"], view["created_by"]) for view in listed] == [
        ("All", {}, "ola"),
        ("On hold", HELD, "mara"),
    ]
    views.remove(kept.store, "All")
    assert [view["name"] for view in views.listed(kept.store)] == ["On hold"]
    with pytest.raises(NotFound):
        views.remove(kept.store, "All")


def test_a_name_stands_for_one_view(kept: Office) -> None:
    with pytest.raises(Refused, match="On hold"):
        views.add(kept.store, "On hold", {}, by="ola", now=kept.now)


def test_there_are_no_more_views_than_a_person_can_look_through(kept: Office) -> None:
    for number in range(1, views.MOST):
        views.add(kept.store, f"View {number}", {}, by="ola", now=kept.now)
    with pytest.raises(Refused, match="100 views"):
        views.add(kept.store, "One more", {}, by="ola", now=kept.now)


@pytest.mark.parametrize(
    ("name", "query", "error"),
    [
        ("", {}, InvalidInput),
        ("x" * 61, {}, InvalidInput),
        ("x\0", {}, InvalidInput),
        ("x", {"color": "red"}, InvalidInput),
        ("x", {"sort": "best"}, InvalidInput),
        ("x", {"columns": "email"}, InvalidInput),
        ("x", {"where": 5}, InvalidInput),
        ("x", {"where": "employees >"}, InvalidInput),
        ("x", {"where": "state = 'held'"}, InvalidInput),
        ("x", {"text": "x" * 300}, InvalidInput),
        ("x", {"campaign": "nobody's"}, NotFound),
    ],
)
def test_a_view_that_could_not_be_shown_is_not_kept(
    kept: Office, name: str, query: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        views.add(kept.store, name, query, by="mara", now=kept.now)
