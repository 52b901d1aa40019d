"""The audit: every change with who, what, before and after, written down before it begins, so that none goes without."""

import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from touchline.app.ports import Clock, Row, Store
from touchline.model.access import Caller
from touchline.model.errors import NotFound

CHARS = 20_000
"""Most characters of JSON that are kept of what was before, and of what was after."""

ERROR_CHARS = 2_000
MASK = "***"
SECRET = re.compile(r"(.*_)?(password|secret|digest|token)", re.IGNORECASE)
"""Names of what is never written down."""

Look = Callable[[], Mapping[str, Any] | None]


@dataclass(slots=True)
class Change:
    """A change that is being made.

    Attributes:
        after: What it made of the object; where the block leaves None, `look` is asked.
    """

    id: int
    after: Mapping[str, Any] | None = None


@contextmanager
def changing(
    store: Store,
    caller: Caller,
    action: str,
    object_: str,
    clock: Clock,
    *,
    request_id: str | None = None,
    look: Look | None = None,
) -> Iterator[Change]:
    """Audit the change that the block makes: `begun` before it, then `done`, or `failed` with the error, which goes on.

    The death of the process leaves `begun`. The block opens its own transactions; on SQLite, one around this would wait for itself.

    Args:
        action: Such as `campaign.pause`.
        object_: Such as `campaign:spring`.
        look: Gives the object as it is; None, or NotFound, where there is none.
    """
    before = _json(_seen(look))
    with store.transaction(lasting=False) as unit:
        words = (_printable(caller.name), _printable(action), _printable(object_))
        change = Change(unit.audit.begin(clock.now(), *words, before, request_id and _printable(request_id)))
    try:
        yield change
    except BaseException as error:
        _end(store, change, "failed", error=_printable(f"{type(error).__name__}: {error}")[:ERROR_CHARS])
        raise
    _end(store, change, "done", after=_json(_seen(look) if change.after is None else change.after))


def _end(store: Store, change: Change, result: str, *, after: str | None = None, error: str | None = None) -> None:
    with store.transaction(lasting=False) as unit:
        unit.audit.end(change.id, result, after, error)


def _seen(look: Look | None) -> Mapping[str, Any] | None:
    try:
        return None if look is None else look()
    except NotFound:
        return None


def listed(
    store: Store,
    *,
    before: int | None,
    limit: int,
    actor: str | None = None,
    object_: str | None = None,
    action: str | None = None,
) -> list[Row]:
    """Changes, the newest first: `id`, `at`, `actor`, `action`, `object`, `result`, `before`, `after`, `error`, `request_id`.

    Args:
        before: Go on after the change of this key.
    """
    with store.reading() as unit:
        return unit.audit.listed(before=before, limit=limit, actor=actor, object=object_, action=action)


def _json(value: Mapping[str, Any] | None) -> str | None:
    if value is None:
        return None
    text = json.dumps(plain(value), ensure_ascii=False)
    if len(text) <= CHARS:
        return text
    cut = f"Only the first {CHARS} of {len(text)} characters were kept."
    return json.dumps({"cut": cut, "text": text[:CHARS]}, ensure_ascii=False)


def plain(value: Any) -> Any:
    """A value as JSON has it: instants in ISO 8601, sets in order, text that any reader can decode, secrets masked."""
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        return {_encodable(str(name)): _masked(str(name), inner) for name, inner in value.items()}
    if isinstance(value, Set):
        return sorted(map(plain, value), key=str)
    if isinstance(value, Collection) and not isinstance(value, str | bytes):
        return [plain(inner) for inner in value]
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value.isoformat() if isinstance(value, date) else _encodable(str(value))


def _masked(name: str, value: Any) -> Any:
    return MASK if SECRET.fullmatch(name) and value is not None else plain(value)


def _encodable(text: str) -> str:
    # A lone surrogate is text to Python and to nobody else; PostgreSQL keeps no NUL.
    return text.encode("utf-8", "replace").decode("utf-8")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)
