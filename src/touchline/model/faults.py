"""What pydantic says of a document, as sentences a person can act on: place, fault, and the likely right word."""

import difflib
from collections.abc import Collection, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from touchline.model.errors import InvalidInput

SAID = {
    "string_pattern_mismatch": "use lower-case letters, digits, '-' and '_', and start with a letter or digit",
    "too_short": "needs at least one entry",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be a list",
    "string_type": "must be text, in quotes",
}
"""What pydantic says in terms of patterns and types, by its error type."""


def meant(word: str, known: Collection[str], cutoff: float = 0.6) -> str:
    """The end of a sentence that names the nearest known word; empty where none is near."""
    close = difflib.get_close_matches(word, known, 1, cutoff)
    return f", did you mean {close[0]!r}?" if close else ""


def faults(model: type[BaseModel], document: Mapping[str, Any], error: ValidationError) -> list[str]:
    """What is wrong with a document, one line a fault: its place, what it is, and the likely right word."""
    found = error.errors()
    # A list that loses its only entry to a fault is reported as empty too.
    deeper = {item["loc"][:depth] for item in found for depth in range(len(item["loc"]))}
    return [_fault(model, document, item) for item in found if item["type"] != "too_short" or item["loc"] not in deeper]


def _fault(model: type[BaseModel], document: Mapping[str, Any], item: Any) -> str:
    """One pydantic error as a sentence with the key's place and the nearest right key."""
    place = _place(document, item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown key {place!r}{meant(str(item['loc'][-1]), _keys_at(model, item['loc'][:-1]), 0.5)}"
    if item["type"] == "missing":
        return f"{place!r} is missing"
    if cause := item.get("ctx", {}).get("error"):
        said = cause.message if isinstance(cause, InvalidInput) else str(cause)
        return f"{place}: {said}" if place else said
    given = item["input"]
    shown = "" if isinstance(given, dict | list) or "password" in place else f" (given: {str(given)[:60]!r})"
    return f"{place}: {SAID.get(item['type'], item['msg'])}{shown}"


def _place(document: Any, loc: tuple[Any, ...]) -> str:
    """A place as `sequences.hello.steps[first].text`: entries of lists by name, else by number from 1."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            entry = document = document[part] if part < len(document) else None
            name = (entry.get("name") or entry.get("address")) if isinstance(entry, dict) else None
            text += f"[{name if isinstance(name, str) and name.isprintable() else part + 1}]"
        elif part != "[key]":
            document = document.get(part) if isinstance(document, dict) else None
            text += f".{part}"
    return text.removeprefix(".")


def _keys_at(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """Keys that are allowed at a place of the document, found by walking the models."""
    here: Any = model
    for part in loc:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = here.model_fields[part].annotation
        else:  # a name in `dict[Code, Model]`, a position in `tuple[Model, ...]`
            here = get_args(here)[1 if get_origin(here) is dict else 0]
    return list(here.model_fields)
