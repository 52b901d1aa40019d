"""Finds where each record of a file of separated values ends, whatever is in it, holding a bounded part of the file."""

import codecs
import re
from typing import BinaryIO, Final

from touchline.adapters.sources.encoding import Encoding

_BLANK: Final = re.compile(rb"[\r\n]*+")
_LINE_END: Final = re.compile(rb"[\r\n]")


class Window:
    """The stored bytes of a file from one place on, read block by block.

    Attributes:
        data: Stored bytes that are held.
        at: Where in `data` reading stands.
        start: Stored bytes before `data`, counted from the place where reading began.
        offset: Where in the file reading stands, in bytes.
        done: True once `data` holds the file's end.
    """

    __slots__ = ("_block", "_decoder", "_encoding", "_file", "at", "data", "done", "offset", "start")

    def __init__(self, file: BinaryIO, encoding: Encoding, offset: int, block: int) -> None:
        file.seek(offset)
        self._file, self._encoding, self._block = file, encoding, block
        self._decoder = codecs.getincrementaldecoder(encoding.name)("replace") if encoding.wide else None
        self.data, self.at, self.start, self.offset, self.done = b"", 0, 0, offset, False

    def fill(self, size: int) -> None:
        """Hold at least `size` bytes from here on, unless the file ends before."""
        while not self.done and len(self.data) - self.at < size:
            block = self._file.read(max(self._block, size - len(self.data) + self.at))
            self.done = not block
            if self._decoder is not None:
                block = self._decoder.decode(block, final=self.done).encode()
            self.start += self.at
            self.data, self.at = self.data[self.at :] + block, 0

    @property
    def place(self) -> int:
        """Stored bytes that reading has passed."""
        return self.start + self.at

    def take(self, end: int) -> bytes:
        """The bytes up to `end` in `data`; reading goes on there."""
        piece = self.data[self.at : end]
        self.at = end
        at_the_end = self.done and end == len(self.data)
        # Half a character at the end of a UTF-16 file has no size of its own.
        self.offset = self._file.tell() if at_the_end else self.offset + self._encoding.size(piece)
        return piece


class Spans:
    """Finds the end of the record at a window's place, in time proportional to what is read even on hostile input.

    Args:
        window: Where to read.
        delimiter: One ASCII character.
        limit: Longest record in bytes, its line end not counted.
    """

    def __init__(self, window: Window, delimiter: str, limit: int) -> None:
        self._window, self._limit = window, limit
        cell = rf"[^\x{ord(delimiter):02x}\r\n]*+"
        more = rf"(?:\x{ord(delimiter):02x}%s)*+"
        within, anywhere = r'(?:[^"\r\n]++|"")*+', r'(?:[^"]++|"")*+'
        line, field = (rf'(?:"{quoted}"{cell}|(?!"){cell})' for quoted in (within, anywhere))
        self._line = re.compile((line + more % line).encode())
        self._record = re.compile((field + more % field).encode())
        # A record from inside a quoted field on.
        self._rest = re.compile((anywhere + '"' + cell + more % field).encode())
        self._open_until = self._open_end = -1

    def more(self) -> bool:
        """Go past line ends and blank lines; False at the end of the file."""
        window = self._window
        window.fill(1)
        while (end := end_of(_BLANK, window.data, window.at)) > window.at:
            window.take(end)
            window.fill(1)
        return window.at < len(window.data)

    def here(self) -> tuple[int, str | None]:
        """Where in the window's data the record here ends, without its line end, and the fault that cuts it there."""
        window, limit = self._window, self._limit
        window.fill(2 * limit + 2)
        at, data = window.at, window.data
        end = self._closed(self._line, at)
        if end is not None:
            return end, None
        line_end = _LINE_END.search(data, at, at + limit + 1)
        if line_end is None:
            return min(len(data), at + limit), "unclosed_quote" if len(data) - at <= limit else "line_too_long"
        end = self._closed_later(at, line_end.start())
        return (line_end.start(), "unclosed_quote") if end is None else (end, None)

    def _closed_later(self, at: int, line_end: int) -> int | None:
        """The end of a record whose quote is open at the end of its first line; None if it ends too late.

        Two records that are both inside quotes at one line end are in the same state from there on and end together.
        So when one has been found open up to a line end, each that is open at an earlier one ends where that one does:
        without this, a hostile file of lines that all open a quote would be read once per line.
        """
        start = self._window.start
        if start + line_end > self._open_until:
            end = self._closed(self._record, at)
            if end is not None:
                return end
            data, stop = self._window.data, at + self._limit + 1
            last = max(data.rfind(b"\n", at, stop), data.rfind(b"\r", at, stop))
            end = self._closed(self._rest, last)
            self._open_until, self._open_end = start + last, -1 if end is None else start + end
            return None
        ends_in_time = 0 <= self._open_end <= start + at + self._limit
        return self._open_end - start if ends_in_time else None

    def _closed(self, pattern: re.Pattern[bytes], at: int) -> int | None:
        """Where `pattern` ends from `at` on, if that is the end of a record and within the limit."""
        data, stop = self._window.data, at + self._limit
        end = end_of(pattern, data, at, stop + 1)
        if at <= end <= stop and (data[end : end + 1] in (b"\n", b"\r") or (end == len(data) and self._window.done)):
            return end
        return None

    def skip_line(self, kept: int) -> bytes:
        """Go to the end of the line here, however far that is; gives its first `kept` bytes."""
        window = self._window
        head = b""
        while window.at < len(window.data):
            found = _LINE_END.search(window.data, window.at)
            piece = window.take(len(window.data) if found is None else found.start())
            head += piece[: kept - len(head)]
            if found is not None:
                break
            window.fill(1)
        return head


def after_lines(data: bytes, at: int, end: int, rows: int) -> int:
    """The place behind line end number `rows`, by halving."""
    while end - at > 1:
        middle = (at + end) // 2
        count = data.count(b"\n", at, middle)
        if count >= rows:
            end = middle
        else:
            at, rows = middle, rows - count
    return end


def end_of(pattern: re.Pattern[bytes], data: bytes, at: int, stop: int | None = None) -> int:
    """The end of `pattern` at a place; -1 if it does not stand there."""
    found = pattern.match(data, at, len(data) if stop is None else stop)
    return -1 if found is None else found.end()
