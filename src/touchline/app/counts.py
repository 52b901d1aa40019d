"""Counts in the background: numbers that take a second are shown as they were a moment ago, and counted anew meanwhile."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from threading import Condition, Thread, current_thread
from typing import Any, TypeVar

import structlog

from touchline.app import search
from touchline.app.funnel import funnel
from touchline.app.ports import Clock, Store
from touchline.model.errors import TouchlineError

log = structlog.get_logger(__name__)

T = TypeVar("T")

FRESH = timedelta(seconds=30)
MOST = 500
PATIENCE_SECONDS = 0.06
"""How long a page waits for a number that it has never had: small stores answer at once."""


@dataclass(slots=True)
class _Number:
    value: Any = None
    as_of: datetime | None = None
    tried: datetime | None = None
    """When it was last asked for, in vain or not; None where that no longer counts."""


class Counts:
    """Numbers by key, one instance a process. A thread of its own counts one after the other, and ends when nothing is left to count.

    Args:
        clock: Tells how old a number is.
        fresh: How long a number is shown without counting anew.
        most: Numbers kept; the one that was not looked at for longest goes first.
    """

    def __init__(self, clock: Clock, fresh: timedelta = FRESH, most: int = MOST) -> None:
        self._clock = clock
        self._fresh = fresh
        self._most = most
        self._numbers: OrderedDict[Hashable, _Number] = OrderedDict()
        self._waiting: OrderedDict[Hashable, Callable[[], Any]] = OrderedDict()
        self._under_way: Hashable | None = None
        self._thread: Thread | None = None
        self._running = False
        self._touched = 0
        self._changed = Condition()

    def get(
        self, key: Hashable, compute: Callable[[], T], patience: float = PATIENCE_SECONDS
    ) -> tuple[T | None, datetime | None]:
        """The number as it is known, and since when; (None, None) where it is being counted for the first time.

        Args:
            compute: Counts it, in another thread.
            patience: Seconds to wait for a number that has never been counted.
        """
        with self._changed:
            number = self._numbers.setdefault(key, _Number())
            self._numbers.move_to_end(key)
            while len(self._numbers) > self._most:
                self._numbers.popitem(last=False)
            if not self._is_fresh(number):
                self._order(key, compute)
                if number.as_of is None:
                    self._changed.wait_for(lambda: number.tried is not None, patience)
            return number.value, number.as_of

    def touch(self) -> None:
        """Something changed: every number is shown as it was, and counted anew when next asked for."""
        with self._changed:
            self._touched += 1
            for number in self._numbers.values():
                number.tried = None

    def settle(self, timeout: float | None = None) -> bool:
        """Wait until nothing is being counted; False where that takes longer than `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, timeout)

    def close(self) -> None:
        """Count nothing more, and wait for the count under way."""
        with self._changed:
            self._waiting.clear()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _is_fresh(self, number: _Number) -> bool:
        # A clock that was set back must not keep a number for ever.
        return number.tried is not None and timedelta(0) <= self._clock.now() - number.tried < self._fresh

    def _order(self, key: Hashable, compute: Callable[[], Any]) -> None:
        if key == self._under_way:
            return
        self._waiting.setdefault(key, compute)
        if not self._running:
            self._running = True
            # A daemon, so that a count of seconds keeps no process from ending.
            self._thread = Thread(target=self._work, args=(self._thread,), name="counts", daemon=True)
            self._thread.start()

    def _work(self, before: Thread | None) -> None:
        if before is not None:
            before.join()  # it has nothing left to do but to end
        try:
            while (following := self._next()) is not None:
                self._count(*following)
        finally:
            with self._changed:
                # Another thread may have been started since this one found nothing to do.
                if self._thread is current_thread():
                    self._under_way, self._running = None, False
                self._changed.notify_all()

    def _next(self) -> tuple[Hashable, Callable[[], Any]] | None:
        with self._changed:
            if not self._waiting:
                # Said under the lock: who orders a number now starts another thread.
                self._under_way, self._running = None, False
                self._changed.notify_all()
                return None
            key, compute = self._waiting.popitem(last=False)
            self._under_way = key
            return key, compute

    def _count(self, key: Hashable, compute: Callable[[], Any]) -> None:
        touched, at = self._touched, self._clock.now()
        fault = None
        try:
            value = compute()
        except TouchlineError as error:
            fault = error
            log.warning("not counted", number=repr(key), error=str(error))
        with self._changed:
            self._under_way = None
            number = self._numbers.get(key)
            if number is not None:
                number.tried = at if touched == self._touched else None
                if fault is None:
                    number.value, number.as_of = value, at
            self._changed.notify_all()


def funnel_of(counts: Counts, store: Store, campaign: str) -> tuple[dict[str, Any] | None, datetime | None]:
    """The funnel of a campaign, with its tiers (see `app.funnel`).

    Examples:
        A page shows what is known and asks again while it is None::

            numbers, as_of = counts.funnel_of(state.counts, store, "spring")
            return render("funnel.html", funnel=numbers, as_of=as_of, again=numbers is None)
    """
    return counts.get(("funnel", campaign), partial(funnel, store, campaign))


def matching(
    counts: Counts, store: Store, campaign: str | None, where: str | None, text: str | None = None
) -> tuple[int | None, datetime | None]:
    """How many leads meet a filter."""
    return counts.get(("matching", campaign, where, text), partial(search.count, store, campaign, where, text))


def suppressions(counts: Counts, store: Store) -> tuple[int | None, datetime | None]:
    """How many suppressions there are."""

    def count() -> int:
        with store.reading() as unit:
            return unit.suppressions.count()

    return counts.get("suppressions", count)
