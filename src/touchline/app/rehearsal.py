"""A change that is only tried: done in a transaction as ever, told, and undone."""

from collections.abc import Callable
from typing import TypeVar

from touchline.app.ports import Store, Unit

T = TypeVar("T")


class _UndoneError(Exception):
    """Carries nothing but the wish to roll back."""


def attempt(store: Store, act: Callable[[Unit], T], *, dry_run: bool) -> T:
    """Do it in one transaction and give what it says; with `dry_run` nothing of it stays."""
    told: list[T] = []
    try:
        with store.transaction() as unit:
            told.append(act(unit))
            if dry_run:
                raise _UndoneError
    except _UndoneError:
        pass
    return told[0]
