"""Finds how the bytes of a file spell text, and refuses files that are no text at all."""

import codecs
import contextlib
import re
from dataclasses import dataclass
from typing import Final

from touchline.model.errors import InvalidInput

SAMPLE: Final = 1 << 20
"""Bytes at the start of a file that decide its encoding and layout, so that the answer never depends on the rest."""

_BOMS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)

_SAVE_AS_CSV: Final = "Open it in a spreadsheet and save it as CSV (UTF-8)."
_UNPACK: Final = "Unpack it and import the CSV file inside."
_MAGIC: Final = (
    (b"PK\x03\x04", b"xl/", "an Excel workbook", _SAVE_AS_CSV),
    (b"PK\x03\x04", b"", "a zip archive", _UNPACK),
    (b"\xd0\xcf\x11\xe0", b"", "an old Excel workbook", _SAVE_AS_CSV),
    (b"\x1f\x8b", b"", "a gzip archive", _UNPACK),
    (b"%PDF", b"", "a PDF document", "Export the list as CSV where it comes from."),
    (b"PAR1", b"", "a Parquet file", "Export it as CSV."),
    (b"SQLite format 3", b"", "a SQLite database", "Export the table as CSV."),
    (b"<!doctype", b"", "a web page", "The download probably ended on a login page: download the CSV again."),
    (b"<html", b"", "a web page", "The download probably ended on a login page: download the CSV again."),
    (b"<?xml", b"", "an XML document", "Export the list as CSV where it comes from."),
)
"""First bytes, bytes further on, what such a file is, and what to do with it."""

_STRAY_BYTES: Final = "touchline.stray_bytes"
_STRAY: Final = re.compile("[\udc80-\udcff]")


def _stray_bytes(error: UnicodeError) -> tuple[str, int]:
    """Bytes that are not UTF-8, read as cp1252: in practice they come from an older export pasted into the file."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(_STRAY_BYTES, _stray_bytes)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a file spells text.

    UTF-16 is read as UTF-8 block by block, so that every stored form is one in which an ASCII byte is that
    character; UTF-8 and cp1252 are stored as they are.

    Attributes:
        name: utf-8, cp1252, utf-16-le or utf-16-be.
        bom: Bytes of the byte order mark before the text.
    """

    name: str
    bom: int = 0

    @property
    def wide(self) -> bool:
        """True where two bytes or more make a character."""
        return self.name.startswith("utf-16")

    def text(self, stored: bytes) -> str:
        """The text of stored bytes; never fails.

        A byte that is not UTF-8 in a UTF-8 file is read as cp1252, one that cp1252 lacks becomes U+FFFD.
        """
        if self.name == "cp1252":
            return stored.decode("cp1252", "replace")
        return stored.decode("utf-8", _STRAY_BYTES)

    def utf8(self, stored: bytes) -> bytes:
        """`text` in UTF-8."""
        if self.name != "cp1252":
            with contextlib.suppress(UnicodeDecodeError):
                stored.decode()
                return stored
        return self.text(stored).encode()

    def size(self, stored: bytes) -> int:
        """How many bytes of the file the stored bytes came from."""
        return len(stored.decode("utf-8").encode(self.name)) if self.wide else len(stored)


def found(sample: bytes, name: str) -> Encoding:
    """The encoding of a file.

    Args:
        sample: Its first bytes, `SAMPLE` at most.
        name: Its name, for messages.

    Raises:
        InvalidInput: It is no text file, or text in UTF-32.
    """
    for mark, encoding in _BOMS:
        if sample.startswith(mark):
            if encoding == "utf-32":
                raise InvalidInput(f"{name} is text in UTF-32, which is not read.", hint="Save it as UTF-8.")
            return Encoding(encoding, len(mark))
    _refuse_binary(sample, name)
    # Latin text in UTF-16 without its mark: every other byte is zero.
    tilt = sample[1::2].count(0) - sample[0::2].count(0)
    if abs(tilt) > len(sample) // 3:
        return Encoding("utf-16-le" if tilt > 0 else "utf-16-be")
    if sample.count(0) > len(sample) // 10:
        raise InvalidInput(f"{name} is not a text file: it is full of NUL bytes.", hint=_SAVE_AS_CSV)
    return Encoding("utf-8" if _mostly_utf8(sample) else "cp1252")


def _refuse_binary(sample: bytes, name: str) -> None:
    start = sample.lstrip()
    for magic, inside, what, hint in _MAGIC:
        # Only what begins a page is written in either case.
        first = start[: len(magic)].lower() if magic.startswith(b"<") else start[: len(magic)]
        if first == magic and inside in sample:
            raise InvalidInput(f"{name} is {what}, not a CSV file.", hint=hint)


def _mostly_utf8(sample: bytes) -> bool:
    """True unless bytes that are not UTF-8 are more common than characters that are UTF-8 beyond ASCII."""
    # The incremental decoder keeps back a character that the sample's end cuts in two.
    text = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(sample)
    stray = len(_STRAY.findall(text))
    beyond = len(text) - len(text.encode("ascii", "ignore")) - stray
    return stray <= beyond
