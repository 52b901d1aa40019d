"""How many requests a caller may make in a minute, told in headers (draft-ietf-httpapi-ratelimit-headers)."""

import threading
from collections import OrderedDict
from datetime import datetime

from fastapi import Request

from touchline.app.ports import Clock

CALLERS = 10_000
"""Callers that are remembered."""


class TooMany(Exception):
    """The caller has used up this minute.

    Args:
        seconds: Until the next one begins.
        headers: What the answer says about it.
    """

    def __init__(self, seconds: int, headers: dict[str, str]) -> None:
        super().__init__(f"Too many requests: try again in {seconds} seconds.")
        self.seconds, self.headers = seconds, headers


class Limiter:
    """Counts requests by caller and minute, in this process.

    Args:
        per_minute: Requests of one caller; 0: any number.
        clock: Tells the time.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self.per_minute, self._clock = per_minute, clock
        self._used: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._lock = threading.Lock()

    def count(self, caller: str, request: Request) -> None:
        """Count one request and leave the headers with it.

        Raises:
            TooMany: It is one too many.
        """
        if not self.per_minute:
            return
        now: datetime = self._clock.now()
        minute, reset = int(now.timestamp()) // 60, 60 - now.second
        with self._lock:
            last, used = self._used.pop(caller, (minute, 0))
            used = used + 1 if last == minute else 1
            self._used[caller] = minute, used
            if len(self._used) > CALLERS:
                self._used.popitem(last=False)
        headers = {
            "RateLimit-Limit": str(self.per_minute),
            "RateLimit-Remaining": str(max(self.per_minute - used, 0)),
            "RateLimit-Reset": str(reset),
        }
        request.state.headers = headers
        if used > self.per_minute:
            raise TooMany(reset, headers | {"Retry-After": str(reset)})
