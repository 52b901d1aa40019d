"""Following long work: server-sent events that tell each change of it until it ends (WHATWG HTML, 9.2)."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import anyio
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from touchline.web.problems import Stop

STREAMS = 50
"""Progress that this process tells at once: each asks the database twice a second."""
PAUSE = 0.5
"""Seconds between two looks."""
SILENCE = 30
"""Looks without news after which a line is sent all the same, so that no proxy takes the stream for dead."""
LONGEST = 600
"""Seconds that a stream lasts at most."""

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class News:
    """What one look saw.

    Attributes:
        event: As it is sent.
        end: Nothing comes after it.
    """

    event: str
    end: bool


class Streams:
    """How many streams this process has open."""

    open = 0


class Stream(StreamingResponse):
    """A stream that counts among the open ones until it has ended, however it ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            Streams.open -= 1


async def stream(look: Callable[[], News], seconds: int, over: str = "") -> Stream:
    """A stream of what changes.

    Args:
        look: Asks how far the work is, in another thread. What its first call raises is the answer.
        seconds: How long to follow at most.
        over: Sent when that time is up.

    Raises:
        Stop: So many are open already.
    """
    first = await run_in_threadpool(look)
    if Streams.open >= STREAMS:
        raise Stop(503, f"{STREAMS} runs are being followed already.", headers={"Retry-After": "10"})
    Streams.open += 1
    return Stream(_changes(first, look, seconds, over), media_type="text/event-stream", headers=HEADERS)


async def _changes(news: News, look: Callable[[], News], seconds: int, over: str) -> AsyncIterator[str]:
    told, silent = "", 0
    for turn in range(int(seconds / PAUSE) + 1):
        if turn:
            await anyio.sleep(PAUSE)
            news = await run_in_threadpool(look)
        silent += 1
        if news.event != told:
            yield news.event
            told, silent = news.event, 0
        elif silent >= SILENCE:
            yield ": still there\n\n"
            silent = 0
        if news.end:
            return
    if over:
        yield over
