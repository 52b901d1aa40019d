"""How many requests are worked on at once: two, and one more for each that has been at it for a while."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio import CapacityLimiter
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI

QUICK = 2
"""Threads that work on quick requests. SQLite gives Python up to others at every row that it reads, so with eight
threads each row waits for the seven others: 280 requests a second instead of 410 to 550 (`make bench CASES=api`)."""

MOST = 40
"""Threads in all."""

PATIENCE = 0.04
"""Seconds after which a request is no longer quick: it waits for the database, or computes for long."""

LOOK = 0.02
"""Seconds between two looks at who is no longer quick."""


@asynccontextmanager
async def lanes(_app: FastAPI) -> AsyncIterator[None]:
    """Keep the lanes of an event loop while an application runs in it."""
    limiter = current_default_thread_limiter()
    limiter.total_tokens = QUICK
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_widen, limiter)
        yield
        tasks.cancel_scope.cancel()


async def _widen(limiter: CapacityLimiter) -> None:
    since: dict[object, float] = {}
    while True:
        await anyio.sleep(LOOK)
        now = time.monotonic()
        since = {borrower: since.get(borrower, now) for borrower in limiter.statistics().borrowers}
        slow = sum(now - start >= PATIENCE for start in since.values())
        limiter.total_tokens = min(QUICK + slow, MOST)
