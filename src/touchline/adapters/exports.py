"""Leads and suppressions as files: CSV that a spreadsheet cannot run and that imports again unchanged, or JSON lines."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from touchline.model.cells import neutral
from touchline.model.columns import DECISIONS, LEAD, Kind
from touchline.model.errors import InvalidInput

COLUMNS = tuple(c.name for c in LEAD if c.name not in ("base_address", "email_domain", "account", "source"))
"""What harvest cannot work out again from the others."""
# A column called `state` is a province to everybody who reads address lists, us included.
DECIDED = {"state": "prospect_state"} | {c.name: c.name for c in DECISIONS if c.name != "score_parts"}
"""What a campaign adds, and what it is called in the file."""
TAGS = frozenset(c.name for c in (*LEAD, *DECISIONS) if c.kind is Kind.TAGS)


@contextmanager
def opened(path: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that takes its name only when everything has been written.

    Raises:
        InvalidInput: The file cannot be written.
    """
    if path is None:
        yield sys.stdout
        return
    if path.is_dir():
        raise InvalidInput(f"{path} is a directory.", hint="Name a file in it.")
    # A link (/dev/stdout is one), a pipe or a device is written through, never replaced.
    part = (
        path.with_name(f".{path.name}.part")
        if not path.is_symlink() and (path.is_file() or not path.exists())
        else path
    )
    try:
        stream = part.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}.", hint="Choose another --output.") from None
    try:
        with stream:
            yield stream
        if part != path:
            part.replace(path)
    finally:
        if part != path:
            part.unlink(missing_ok=True)


def write_csv(pages: Iterable[list[dict[str, Any]]], stream: TextIO) -> int:
    """Leads as CSV with a header; gives how many. Cells that a spreadsheet would run get a leading apostrophe."""
    writer = csv.writer(stream, lineterminator="\n")
    count = 0
    for page in pages:
        names = [name for name in (*COLUMNS, *DECIDED) if name in page[0]]
        if count == 0:
            writer.writerow([DECIDED.get(name, name) for name in names])
        writer.writerows([_cell(name, row[name]) for name in names] for row in page)
        count += len(page)
    if count == 0:
        writer.writerow(COLUMNS)
    return count


def _cell(name: str, value: object) -> object:
    if not isinstance(value, str):
        return "" if value is None else value
    return neutral(value.strip("|").replace("|", "; ") if name in TAGS else value)


def write_json_lines(pages: Iterable[list[dict[str, Any]]], stream: TextIO) -> int:
    """Leads as one JSON object a line; gives how many."""
    count = 0
    for page in pages:
        stream.writelines(json.dumps(row, default=_jsonable, ensure_ascii=False) + "\n" for row in page)
        count += len(page)
    return count


def _jsonable(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def write_suppressions(listed: Callable[[int, int], list[dict[str, Any]]], stream: TextIO, page: int = 1_000) -> int:
    """Suppressions as CSV: kind, value, reason, source, at; gives how many."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["kind", "value", "reason", "source", "at"])
    count = after = 0
    while rows := listed(after, page):
        writer.writerows(
            [r["kind"], *(neutral(r[name]) for name in ("value", "reason", "source")), r["at"].isoformat()]
            for r in rows
        )
        count, after = count + len(rows), rows[-1]["id"]
    return count
