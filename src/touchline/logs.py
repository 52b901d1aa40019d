"""Structured logs on standard error: for people or as JSON lines, no personal data above debug."""

import io
import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

ADDRESS = re.compile(r"[^\s@<>\"'(),:;=]+@[^\s@<>\"'(),:;=]+\.[^\s@<>\"'(),:;=]+")


def set_up(level: str, form: str) -> None:
    """Write events of this level and above.

    Args:
        form: `console` or `json`.
    """
    renderer = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if level.upper() == "DEBUG" else [_traced, _masked]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Unbreakable(sys.stderr))),
        cache_logger_on_first_use=False,
    )


class _Unbreakable(io.TextIOBase):
    """A stream whose disk may be full: what cannot be written is lost, and the work goes on.

    Args:
        stream: Where lines go.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or do without."""
        # There is nowhere left to say it; health tells of the disk.
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """The same."""
        with suppress(OSError):
            self._stream.flush()


def _traced(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """With the traceback, and of each error in it the first line: below it stand values, of rows in a database or of a file."""
    given = event.get("exc_info")
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given else None
    found = structlog.processors.format_exc_info(cast("Any", logger), method, event)
    while error is not None:
        said = str(error)
        if "\n" in said:
            found["exception"] = found["exception"].replace(said, said.split("\n", 1)[0])
        error = error.__cause__ or error.__context__
    return found


def _masked(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Without people's addresses: errors of databases and mail servers quote them. A mailbox of ours is named on purpose.

    Of an error the first line, as in alerts.
    """
    for name, value in event.items():
        if isinstance(value, str) and name != "mailbox":
            line = value.split("\n", 1)[0] if name == "error" else value
            event[name] = ADDRESS.sub("(address)", line)
    return event
