"""The only place that reads a clock."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock


def elapsed() -> float:
    """Seconds since some moment; only goes forward."""
    return time.monotonic()


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present instant, UTC."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands still, for rehearsals.

    Args:
        at: Aware instant.
    """

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """Always the same instant."""
        return self.at


class MovedClock:
    """A clock that runs on from another instant than the present one, for rehearsals that people watch.

    Args:
        start: What it shows now.
    """

    def __init__(self, start: datetime) -> None:
        self._ahead = start - datetime.now(UTC)

    def now(self) -> datetime:
        """As long after the start as really has passed since then."""
        return datetime.now(UTC) + self._ahead


class Stopwatch:
    """Adds up how long each part of long work takes.

    Attributes:
        seconds: By part, in order of first end. Parts that run side by side add up to more than the time that passed.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._lock = Lock()

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Count the time spent inside for `part`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            taken = time.perf_counter() - start
            with self._lock:
                self.seconds[part] = self.seconds.get(part, 0.0) + taken

    def taken(self) -> dict[str, float]:
        """Seconds by part since the last call, which are then forgotten."""
        with self._lock:
            taken, self.seconds = self.seconds, {}
        return taken
