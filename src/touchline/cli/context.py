"""What every command shares: the workspace, JSON or tables, progress bars, and text made safe for a terminal."""

import gc
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import socket

    from touchline.wiring import Workspace

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
CampaignName = Annotated[str, typer.Option("--campaign", "-c", help="Name of the campaign.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000_000, help="At most so many.")]
LARGEST = 2**63 - 1
"""Largest number that a key in the database can be."""
After = Annotated[int, typer.Option(min=0, max=LARGEST, help="Go on after this number.")]


@dataclass(frozen=True)
class State:
    """Options that stand before the command."""

    home: str = ""
    quiet: bool = False


def workspace(context: typer.Context) -> "Workspace":
    """The workspace that the options name, with logging set up as its settings say."""
    # Modules stay. To look for rubbish among them takes a third of a command's time, at its start and once more at its end.
    gc.disable()
    from pathlib import Path

    from touchline.logs import set_up
    from touchline.settings import load
    from touchline.wiring import Quiet, Workspace

    gc.freeze()
    gc.enable()
    state: State = context.obj
    settings = load(Path(state.home) if state.home else None)
    set_up(settings.log.level, settings.log.format)
    return Workspace(settings, Bars() if sys.stderr.isatty() and not state.quiet else Quiet())


class Bars:
    """Progress on a terminal's standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description:>8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._tasks: dict[str, Any] = {}

    def step(self, what: str, done: int, total: int | None) -> None:
        """Move the bar of this work; it goes when the work is done."""
        if what not in self._tasks:
            self._progress.start()
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)
        if total is not None and done >= total:
            self._progress.stop()


def plain(value: object) -> str:
    """A value for a terminal: no control characters, whoever wrote the text."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return "".join(c if c.isprintable() else " " for c in str(value))


def plain_lines(text: str) -> str:
    """Text of several lines for a terminal."""
    return "\n".join(plain(line) for line in text.split("\n"))


def print_json(value: object) -> None:
    """JSON with instants as ISO 8601."""
    print(json.dumps(value, indent=2, default=_jsonable, ensure_ascii=False))


def _jsonable(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """A table as wide as the terminal; 120 columns where there is none."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console() if sys.stdout.isatty() else Console(width=120)
    table = Table(title=Text(title) if title else None, title_justify="left", box=SIMPLE, pad_edge=False)
    for column in columns:
        table.add_column(Text(column))
    for row in rows:
        table.add_row(
            *(Text(plain(cell), justify="right" if isinstance(cell, int | float) else "left") for cell in row)
        )
    console.print(table)


def person() -> str:
    """Who is at the keyboard, for decisions that carry a name."""
    import getpass
    import os

    return os.environ.get("TOUCHLINE_USER") or getpass.getuser()


def listening(host: str, port: int) -> "socket.socket":
    """A socket that listens there.

    Raises:
        Misconfigured: The address cannot be had.
    """
    import socket

    from touchline.model.errors import Misconfigured

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With TCP spelled out, asyncio turns Nagle's algorithm off; else each answer waits 40 ms for an acknowledgement.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        # From now on whoever comes waits for an answer, although nobody may be there yet to give one.
        made.listen(128)
    except OSError as error:
        raise Misconfigured(
            f"{host}:{port} cannot be listened on: {error.strerror}.", hint="Choose another --host or --port."
        ) from None
    return made
