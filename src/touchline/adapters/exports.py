"""Leads and suppressions as files: CSV that a spreadsheet cannot run and that imports again unchanged, or JSON lines."""

import csv
import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TextIO

from touchline.model.cells import neutral
from touchline.model.columns import DECISIONS, LEAD, Kind

IDENTITY = ("identity",)
COLUMNS = tuple(c.name for c in LEAD if c.name not in ("base_address", "email_domain", "account"))
DECIDED = ("state", *(c.name for c in DECISIONS if c.name != "score_parts"))
TAGS = frozenset(c.name for c in (*LEAD, *DECISIONS) if c.kind is Kind.TAGS)


def write_csv(pages: Iterable[list[dict[str, Any]]], stream: TextIO) -> int:
    """Leads as CSV with a header; gives how many. Cells that a spreadsheet would run get a leading apostrophe."""
    writer = csv.writer(stream, lineterminator="\n")
    count = 0
    for page in pages:
        names = [name for name in (*COLUMNS, *DECIDED) if name in page[0]]
        if count == 0:
            writer.writerow(names)
        writer.writerows([_cell(name, row[name]) for name in names] for row in page)
        count += len(page)
    if count == 0:
        writer.writerow(COLUMNS)
    return count


def _cell(name: str, value: object) -> object:
    if value is None:
        return ""
    text = str(value)
    return neutral(text.strip("|").replace("|", "; ") if name in TAGS else text) if isinstance(value, str) else value


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
            [r["kind"], r["value"], neutral(r["reason"]), neutral(r["source"]), r["at"].isoformat()] for r in rows
        )
        count, after = count + len(rows), rows[-1]["id"]
    return count
