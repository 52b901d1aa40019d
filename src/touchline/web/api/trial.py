"""A dry run of what opens its own transactions: they become parts of one, which is undone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from touchline.app.ports import Store, Unit
from touchline.app.rehearsal import attempt

T = TypeVar("T")


class Within:
    """A store whose transactions are all the one that is open.

    Args:
        unit: The open one.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    @contextmanager
    def transaction(self, *, lasting: bool = True) -> Iterator[Unit]:
        """The open one, whose end somebody else decides."""
        del lasting
        yield self._unit

    @contextmanager
    def reading(self) -> Iterator[Unit]:
        """The open one, so that what it wrote is seen."""
        yield self._unit


def tried(store: Store, act: Callable[[Store], T], *, dry_run: bool) -> T:
    """Do it and give what it says; with `dry_run` nothing of it stays."""
    return attempt(store, lambda unit: act(Within(unit)), dry_run=True) if dry_run else act(store)
