"""Finds the layout of a CSV file from its beginning: encoding, delimiter, header, and what each column is."""

import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from touchline.adapters.sources import encoding, headers
from touchline.adapters.sources.encoding import SAMPLE, Encoding
from touchline.adapters.sources.headers import Columns
from touchline.adapters.sources.records import RECORD_LIMIT, Records
from touchline.model.errors import InvalidInput

DELIMITERS: Final = ",;\t|"
MOST_COLUMNS: Final = 2_000

_RECORDS_SEEN: Final = 20
_HEADER_WITHIN: Final = 10
"""Records among which the header may stand: some exports have notes above it."""

_ADDRESS: Final = re.compile(r"[^\s@]@[^\s@]+\.[^\s@]")
_WEB: Final = re.compile(r"https?://", re.IGNORECASE)
_FAULTS: Final = {
    "line_too_long": f"is longer than {RECORD_LIMIT:,} bytes",
    "unclosed_quote": "opens a quote and does not close it",
    "nul_byte": "holds a NUL byte",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is to be read.

    Attributes:
        encoding: How it spells text.
        delimiter: What stands between cells.
        columns: What its columns are.
        start: Byte where the first record after the header starts.
    """

    encoding: Encoding
    delimiter: str
    columns: Columns
    start: int


@dataclass(frozen=True, slots=True)
class _Reading:
    """The first records of a file as one delimiter would have them.

    Attributes:
        delimiter: That delimiter.
        header: The record that holds the header: its cells and its fault.
        end: Byte behind the header.
        score: How much this looks like the right delimiter: names that are known, records as wide as the header, width.
    """

    delimiter: str
    header: tuple[list[str], str | None]
    end: int
    score: tuple[int, float, int]


def found(sample: bytes, name: str, column_map: Mapping[str, str]) -> Layout:
    """The layout of a file.

    Args:
        sample: Its first bytes, `SAMPLE` of them or all.
        name: Its name, for messages.
        column_map: Header to field, `extra` or `ignored`, as chosen by the user.

    Raises:
        InvalidInput: It is empty, binary or without a header, or its columns are ambiguous or tell no lead.
    """
    spelt = encoding.found(sample, name)
    start, delimiters = _declared(sample, spelt)
    readings = [_reading(sample, spelt, start, delimiter, column_map) for delimiter in delimiters]
    best = max((reading for reading in readings if reading), key=lambda reading: reading.score, default=None)
    if best is None:
        raise InvalidInput(f"{name} is empty.", hint="It needs a line of column names, then one line per lead.")
    cells, fault = best.header
    if not best.score[0]:
        fault = next((reading.header[1] for reading in readings if reading and reading.header[1]), fault)
    _check_header(cells, "line_too_long" if best.end >= SAMPLE else fault, name)
    columns = headers.recognised(cells, column_map, name)
    if not columns.identifying:
        raise headers.unidentified(columns, name)
    return Layout(spelt, best.delimiter, columns, best.end)


def _declared(sample: bytes, spelt: Encoding) -> tuple[int, str]:
    """Where the records start, and the delimiters that are possible: Excel may name it in a first line, `sep=;`."""
    lines = Records(io.BytesIO(sample), spelt, "\x1f", width=1, offset=spelt.bom)
    first = lines.one()
    named = re.fullmatch(f"sep=([{DELIMITERS}])", "".join(first[0])) if first else None
    return (lines.offset, named[1]) if named else (spelt.bom, DELIMITERS)


def _reading(sample: bytes, spelt: Encoding, start: int, delimiter: str, chosen: Collection[str]) -> _Reading | None:
    """What one delimiter makes of the sample; None if there is no record in it."""
    source = Records(io.BytesIO(sample), spelt, delimiter, width=1, offset=start)
    seen: list[tuple[list[str], str | None]] = []
    ends: list[int] = []
    while len(seen) < _RECORDS_SEEN and (record := source.one()):
        seen.append(record)
        ends.append(source.offset)
    if not seen:
        return None
    place = _header_place([cells for cells, _ in seen], chosen)
    width = len(seen[place][0])
    below = [len(cells) == width for cells, _ in seen[place + 1 :]]
    alike = sum(below) / len(below) if below and width > 1 else 0.0
    return _Reading(delimiter, seen[place], ends[place], (headers.known(seen[place][0], chosen), alike, width))


def _header_place(records: Sequence[Sequence[str]], chosen: Collection[str]) -> int:
    """Which record is the header: the first, unless notes stand above one that is a header without doubt."""
    if headers.known(records[0], chosen):
        return 0
    for place, cells in enumerate(records[:_HEADER_WITHIN]):
        if any(map(_ADDRESS.search, cells)):
            return 0
        if headers.known(cells, chosen) >= max(3, sum(map(bool, cells)) / 2):
            return place
    return 0


def _check_header(cells: Sequence[str], fault: str | None, name: str) -> None:
    hint = "Put a line of column names first, such as: email,first_name,last_name,company"
    if fault is not None:
        raise InvalidInput(f"The first line of {name} {_FAULTS[fault]}, so it is no header.", hint=hint)
    if len(cells) > MOST_COLUMNS:
        raise InvalidInput(f"{name} has {len(cells):,} columns; at most {MOST_COLUMNS:,} are read.", hint=hint)
    lead = next((cell for cell in cells if _ADDRESS.search(cell) or _WEB.match(cell)), None)
    if lead is not None:
        # The cell on a line of its own: alerts and logs take the first line of an error.
        raise InvalidInput(
            f"{name} has no header row: its first line looks like a lead.\nIt holds {lead[:60]!r}.", hint=hint
        )
