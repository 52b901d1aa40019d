"""Reads a file of separated values as frames of text, in bounded memory, and says which records cannot be trusted.

What a record is follows RFC 4180 as Python's `csv` module reads it: a quote opens a quoted field only at the field's
start, a doubled quote inside it is one quote, and LF, CR LF or CR ends a record outside quotes. Beyond that:

- a blank line is no record;
- an empty cell is null, and so is one that a short record lacks;
- a record that does not end within `RECORD_LIMIT` bytes, or that the file ends inside of, is faulted together with
  its first line only, and reading goes on at the next line: a forgotten quote never swallows the rest of a file.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Final

import polars as pl
from polars.exceptions import PolarsError

from touchline.adapters.sources.encoding import Encoding
from touchline.adapters.sources.spans import Spans, Window, clean_cut

RECORD_LIMIT: Final = 1 << 20
"""Longest record in bytes, its line end not counted."""

RAW_LIMIT: Final = 2_000
"""Characters of a faulted record that are kept."""

_BLOCK: Final = 2 << 20
"""Bytes read, and handed to Polars, at a time: bigger ones are slower, since each is new memory to the system."""

_SMALL: Final = 32 << 10
"""Bytes that go record by record where a block is not clean."""

_BATCH: Final = 32 << 20
"""Bytes after which a batch ends, however few its records."""


class Records:
    """Reads records from a place in a file on.

    Args:
        file: The open file.
        encoding: How it spells text.
        delimiter: One ASCII character.
        width: Cells of a record; further ones are a fault unless they are empty.
        offset: Byte at which a record starts.
        block: Bytes to read at a time.
        limit: Longest record in bytes.
    """

    def __init__(
        self,
        file: BinaryIO,
        encoding: Encoding,
        delimiter: str,
        *,
        width: int,
        offset: int,
        block: int = _BLOCK,
        limit: int = RECORD_LIMIT,
    ) -> None:
        self._encoding, self._delimiter, self._width, self._limit = encoding, delimiter, width, limit
        self._window = Window(file, encoding, offset, block)
        self._spans = Spans(self._window, delimiter, limit)
        self._clean = _clean_pattern(delimiter)
        self._names = [str(index) for index in range(width)]
        self._cells_schema = dict.fromkeys(self._names, pl.String())
        self._schema = self._cells_schema | {"fault": pl.String(), "raw": pl.String()}
        self._size = self._block = block

    @property
    def offset(self) -> int:
        """Byte of the file from which reading can go on later."""
        return self._window.offset

    def read(self, rows: int) -> pl.DataFrame:
        """The next records, `rows` at most, in one chunk.

        Fewer come at the file's end, and where records hold many line ends or bytes; none only at the end.

        Returns:
            Text columns `0`, `1`, ... by position, `fault` (null, too_many_fields, nul_byte, unclosed_quote or
            line_too_long) and `raw`: the start of a faulted record, whose cells are null.
        """
        frames = [self._frame([])]
        have, end = 0, self._window.place + _BATCH
        while have * 2 < rows and self._window.place < end and self._spans.more():
            frames.append(self._some(rows - have))
            have += frames[-1].height
        return pl.concat(frames, rechunk=True)

    def one(self) -> tuple[list[str], str | None] | None:
        """The next record's cells, however many, and its fault; None at the file's end."""
        if not self._spans.more():
            return None
        text, fault = self._next()
        return ([] if fault else next(self._cells([text]))), fault

    def _some(self, rows: int) -> pl.DataFrame:
        """A block by Polars where it is clean, else a small stretch of it record by record."""
        while True:
            frame = self._quick(rows, self._size)
            if frame is not None:
                self._size = min(self._size * 2, self._block)
                return frame
            if self._size <= _SMALL:
                return self._exact(rows, self._size)
            self._size = max(self._size // 8, _SMALL)

    def _quick(self, rows: int, size: int) -> pl.DataFrame | None:
        """A block by Polars; None unless the answer is certain to be the one that `_exact` gives."""
        window = self._window
        window.fill(size)
        end = clean_cut(window.data, window.at, size, rows, whole=window.done)
        if end is None:
            return None
        block = self._encoding.utf8(window.data[window.at : end])
        if not block.endswith(b"\n"):
            block += b"\n"
        if not self._is_clean(block):
            return None
        # A header line of its own keeps Polars from taking the first bytes for a byte order mark or an archive.
        head = self._delimiter.join(self._names) + "\n"
        try:
            frame = pl.read_csv(head.encode() + block, separator=self._delimiter, schema=self._cells_schema)
        except PolarsError:
            return None  # Too many cells somewhere: `_exact` says where.
        longest = sum(length or 0 for length in frame.select(pl.all().str.len_bytes().max()).row(0))
        if 2 * longest + 3 * self._width > self._limit:
            return None
        window.take(end)
        cells = pl.when(pl.all() != "").then(pl.all()) if b'""' in block else pl.all()
        return frame.select(cells, fault=pl.lit(None, pl.String()), raw=pl.lit(None, pl.String()))

    def _is_clean(self, block: bytes) -> bool:
        """True if RFC 4180 allows no second opinion about whole lines: see `_clean_pattern`."""
        if not any(byte in block for byte in (b'"', b"\r", b"\0", b"\n\n")):
            return not block.startswith(b"\n")
        return bool(pl.Series([block]).cast(pl.String).str.contains(self._clean).item())

    def _exact(self, rows: int, size: int) -> pl.DataFrame:
        """The records of about `size` bytes, one by one."""
        found = list[tuple[str, str | None]]()
        end = self._window.place + size
        while len(found) < rows and self._window.place < end and self._spans.more():
            found.append(self._next())
        return self._frame(found)

    def _next(self) -> tuple[str, str | None]:
        """The text of the record here and its fault."""
        end, fault = self._spans.here()
        window = self._window
        if fault == "line_too_long":
            raw = self._encoding.text(self._spans.skip_line(4 * RAW_LIMIT))  # No character has more bytes than four.
        else:
            raw = self._encoding.text(window.take(end))
        return raw, fault or ("nul_byte" if "\0" in raw else None)

    def _cells(self, texts: Iterable[str]) -> Iterator[list[str]]:
        # The module's own limit counts for the whole process, so it may only grow.
        csv.field_size_limit(max(csv.field_size_limit(), self._limit))
        return csv.reader(texts, delimiter=self._delimiter)

    def _frame(self, found: Sequence[tuple[str, str | None]]) -> pl.DataFrame:
        """Records as a frame."""
        width, nothing = self._width, [None] * self._width
        parsed = self._cells(text for text, fault in found if fault is None)
        rows = list[Sequence[str | None]]()
        for text, given in found:
            cells: Sequence[str | None] = nothing
            fault = given
            if fault is None:
                values = next(parsed)
                if any(values[width:]):
                    fault = "too_many_fields"
                else:
                    cells = [*(cell or None for cell in values[:width]), *nothing[len(values) :]]
            # PostgreSQL keeps no NUL in a text.
            raw = None if fault is None else text[:RAW_LIMIT].replace("\0", "\N{REPLACEMENT CHARACTER}")
            rows.append((*cells, fault, raw))
        columns = zip(*rows, strict=True) if rows else [()] * len(self._schema)
        return pl.DataFrame(dict(zip(self._schema, columns, strict=True)), schema=self._schema)


def _clean_pattern(delimiter: str) -> str:
    """What RFC 4180 allows and every reader agrees on: no blank line, no NUL, quotes only around whole fields.

    It is for Polars, whose automaton passes a block in one go.
    """
    comma = rf"\x{ord(delimiter):02x}"
    plain, quoted = rf'[^"{comma}\r\n\x00]', r'"(?:[^"\x00]|"")*"'
    rest = rf"(?:{comma}(?:{plain}*|{quoted}))"
    return rf"\A(?:(?:(?:{plain}+|{quoted}){rest}*|{rest}+)\r?\n)*\z"
