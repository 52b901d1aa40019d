"""Reads a file of separated values as frames of text, in bounded memory, and says which records cannot be trusted.

What a record is follows RFC 4180 as Python's `csv` module reads it: a quote opens a quoted field only at the field's
start, a doubled quote inside it is one quote, and LF, CR LF or CR ends a record outside quotes. Beyond that:

- a blank line is no record;
- an empty cell is null, and so is one that a short record lacks;
- a record that does not end within `RECORD_LIMIT` bytes, or that the file ends inside of, is faulted together with
  its first line only, and reading goes on at the next line: a forgotten quote never swallows the rest of a file.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Final

import polars as pl

from touchline.adapters.sources.encoding import Encoding
from touchline.adapters.sources.spans import Spans, Window, after_lines, end_of

RECORD_LIMIT: Final = 1 << 20
"""Longest record in bytes, its line end not counted."""

RAW_LIMIT: Final = 2_000
"""Characters of a faulted record that are kept."""

_BLOCK: Final = 2 << 20
"""Bytes read, and handed to Polars, at a time: bigger ones are slower, since each is new memory to the system."""

_MARK: Final = b"\0\n"
"""What stands for a record that Polars does not read: clean ones hold no NUL."""

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
        self._clean = _clean_pattern(delimiter, width)
        self._names = [str(index) for index in range(width)]
        self._cells_schema = dict.fromkeys(self._names, pl.String())
        self._schema = self._cells_schema | {"fault": pl.String(), "raw": pl.String()}
        self._block = block

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
        while have * 10 < rows * 9 and self._window.place < end and self._spans.more():
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
        """About a block of records: Polars reads the clean ones in one go, the others are read one by one."""
        window, end = self._window, self._window.place + self._block
        pieces, odd = list[bytes](), list[tuple[str, str | None]]()
        while rows > 0 and window.place < end and self._spans.more():
            piece = self._clean_piece(rows)
            if not piece:
                odd.append(self._next())
                piece = _MARK
            pieces.append(piece)
            rows -= piece.count(b"\n")
        frame = self._quick(b"".join(pieces))
        if not odd:
            return frame
        at = frame.select((pl.col("0") == _MARK.decode().rstrip()).fill_null(value=False).arg_true()).to_series()
        order = pl.int_range(frame.height, eager=True)
        read = pl.int_range(frame.height, frame.height + len(odd), eager=True)
        return pl.concat([frame, self._frame(odd)]).gather(order.scatter(at, read))

    def _clean_piece(self, rows: int) -> bytes:
        """Whole records from here on, as stored, of which there is no second opinion; empty where the next is not clean."""
        window = self._window
        # A record within so many bytes is not too long.
        window.fill(self._limit)
        end = end_of(self._clean, window.data, window.at, window.at + self._limit)
        if window.data.count(b"\n", window.at, end) > rows:
            # That line end may stand inside quotes, so the record there is left for the next batch.
            stop = after_lines(window.data, window.at, end, rows)
            end = end_of(self._clean, window.data, window.at, stop)
        return window.take(end)

    def _quick(self, clean: bytes) -> pl.DataFrame:
        """Clean records by Polars."""
        # A header line of its own keeps Polars from taking the first bytes for a byte order mark or an archive.
        head = self._delimiter.join(self._names) + "\n"
        frame = pl.read_csv(
            head.encode() + self._encoding.utf8(clean),
            separator=self._delimiter,
            schema=self._cells_schema,
            truncate_ragged_lines=True,
        )
        cells = pl.when(pl.all() != "").then(pl.all()) if b'""' in clean else pl.all()
        return frame.select(cells, fault=pl.lit(None, pl.String()), raw=pl.lit(None, pl.String()))

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


def _clean_pattern(delimiter: str, width: int) -> re.Pattern[bytes]:
    """Records that every reader takes alike: no blank line, no NUL, quotes only around whole fields, no cell too many."""
    comma = rf"\x{ord(delimiter):02x}"
    cell = rf'(?:"(?:[^"\x00]++|"")*+"|[^"{comma}\r\n\x00]*+)'
    record = rf"(?!\r?\n){cell}(?:{comma}{cell}){{0,{width - 1}}}+{comma}*+\r?\n"
    return re.compile(rf"(?:{record})*+".encode())
