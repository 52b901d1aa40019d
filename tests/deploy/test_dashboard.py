"""The dashboard by Grafana's own schema, as its SDK knows it: no field is unknown, and no value is of another kind."""

import enum
import json
from collections.abc import Iterator
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.cog.runtime import panelcfg_config
from grafana_foundation_sdk.models.dashboard import Dashboard
from shipped import BOARD

register_default_plugins()
SCALARS: dict[Any, tuple[type, ...]] = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}


def faults(board: dict[str, Any]) -> list[str]:
    """Where the document is none of Grafana's."""
    kinds = {panel["type"] for panel in board["panels"]} - {"row"}
    strange = [kind for kind in kinds if panelcfg_config(kind) is None]
    read = Dashboard.from_json(board)
    return [*strange, *lost(board, json.loads(json.dumps(read, cls=JSONEncoder)), ""), *unfit(read, "")]


def lost(given: Any, kept: Any, at: str) -> Iterator[str]:
    """Where something is not given back; the SDK adds what Grafana takes where nothing is said."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            yield from lost(value, kept.get(name, "no such field"), f"{at}.{name}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for place, (one, two) in enumerate(zip(given, kept, strict=True)):
            yield from lost(one, two, f"{at}[{place}]")
    elif given != kept:
        yield at


def unfit(value: Any, at: str) -> Iterator[str]:
    """Where a value is not of the kind that the SDK's own annotations name; reading does not look at them."""
    if isinstance(value, (list, dict)):
        for place, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from unfit(inner, f"{at}[{place}]")
    elif hasattr(value, "to_json"):
        for name, kind in get_type_hints(type(value)).items():
            inner = getattr(value, name)
            if not fits(inner, kind):
                yield f"{at}.{name}"
            yield from unfit(inner, f"{at}.{name}")


def fits(value: Any, kind: Any) -> bool:
    """Whether a value read from JSON is of a kind."""
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(value, enum.Enum):
        value = value.value
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if origin in (list, dict):
        parts = value.values() if isinstance(value, dict) else value
        return isinstance(value, origin) and all(fits(each, inner[-1]) for each in parts)
    if origin is Literal or (isinstance(kind, type) and issubclass(kind, enum.Enum)):
        return value in (inner or [each.value for each in kind])
    if kind in SCALARS:
        return type(value) in SCALARS[kind]
    # Of some things, such as transformations, the SDK makes no objects.
    return kind in (Any, object) or isinstance(value, (kind, dict))


def test_grafana_knows_every_field_of_the_dashboard_and_takes_every_value() -> None:
    assert faults(BOARD) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"schemaVersion": 39', '"schemaVersio": 39'),
        ('"legendFormat": ', '"legendFormt": '),
        ('"type": "stat"', '"type": "number"'),
        ('"graphMode": "none"', '"graphMode": "nothing"'),
        ('"fillOpacity": 80', '"fillOpacity": "80"'),
        ('"instant": true', '"instant": "true"'),
        ('"calcs": ["lastNotNull"]', '"calcs": "lastNotNull"'),
    ],
)
def test_a_field_or_a_value_that_grafana_does_not_know_is_found(old: str, new: str) -> None:
    text = json.dumps(BOARD)
    assert old in text
    assert faults(json.loads(text.replace(old, new, 1)))
