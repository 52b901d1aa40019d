"""A file in a multipart request, written as it comes: it is never in memory, nor twice on the disk."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from touchline.web.problems import Stop

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

LARGEST = 2_000_000_000
"""Bytes of a file."""
ENVELOPE = 100_000
"""Bytes of a request besides its file."""
AT_ONCE = 1 << 20
"""Bytes that are gathered before they are written."""


def check_length(request: Request) -> None:
    """Refuse what says that it is too large, before any of it is read.

    Raises:
        Stop: It is.
    """
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > LARGEST + ENVELOPE:
        raise _too_large()


async def receive(request: Request, file: BinaryIO) -> str:
    """Write the part called `file` to a file; gives the name that its sender gave it.

    Raises:
        Stop: The request holds no such part, is cut short, or the file is too large.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise Stop(415, "Send the file as multipart/form-data.", hint="curl -F file=@leads.csv")
    if getattr(request, "_form", None) is not None:
        # A page's form without a script: its token stands in a field, so the form has been read to check it.
        return await _copied(request, file)
    _, options = parse_options_header(request.headers["content-type"])
    if not options.get(b"boundary"):
        raise _unreadable()
    parts, written = _Parts(), 0
    parser = MultipartParser(options[b"boundary"], parts.callbacks())
    try:
        async for chunk in request.stream():
            parser.write(chunk)
            if len(parts.ready) >= AT_ONCE:
                written += await _write(file, parts)
                if written > LARGEST:
                    raise _too_large()
        parser.finalize()
    except MultipartParseError as error:
        raise _unreadable() from error
    if not parts.ended:
        raise _unreadable()
    if parts.name is None:
        raise _missing()
    if written + await _write(file, parts) > LARGEST:
        raise _too_large()
    return parts.name


async def _write(file: BinaryIO, parts: "_Parts") -> int:
    ready, parts.ready = parts.ready, bytearray()
    await run_in_threadpool(file.write, ready)
    return len(ready)


async def _copied(request: Request, file: BinaryIO) -> str:
    async with request.form() as form:
        return await _copied_of(form.get("file"), file)


async def _copied_of(given: UploadFile | str | None, file: BinaryIO) -> str:
    if not isinstance(given, UploadFile):
        raise _missing()
    written = 0
    while block := await given.read(AT_ONCE):
        written += await run_in_threadpool(file.write, block)
        if written > LARGEST:
            raise _too_large()
    return given.filename or ""


def _too_large() -> Stop:
    return Stop(413, f"The file is larger than {LARGEST // 10**6:,} MB.", hint="Split it and upload the parts.")


def _unreadable() -> Stop:
    return Stop(400, "The request is cut short, or is no multipart/form-data.", hint="curl -F file=@leads.csv")


def _missing() -> Stop:
    return Stop(422, "No part called `file` holds a file.", code="no_file", hint="curl -F file=@leads.csv")


@dataclass(slots=True)
class _Parts:
    """What the parser has told so far.

    Attributes:
        name: Of the file, as its sender calls it.
        ready: Its bytes that are not written yet.
    """

    name: str | None = None
    ready: bytearray = field(default_factory=bytearray)
    _header: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _found: str | None = None
    _field: bytes = b""
    ended: bool = False

    def callbacks(self) -> "MultipartCallbacks":
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_header,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._add,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._found, self._field = None, b""

    def _add_header(self, text: bytes, start: int, end: int) -> None:
        self._header += text[start:end]

    def _add_value(self, text: bytes, start: int, end: int) -> None:
        self._value += text[start:end]

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._field = options.get(b"name", b"")
            if b"filename" in options:
                self._found = options[b"filename"].decode("utf-8", "replace")
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        if self._field == b"file" and self._found is not None and self.name is None:
            self.name = self._found
        else:
            self._found = None

    def _add(self, text: bytes, start: int, end: int) -> None:
        if self._found is not None:
            self.ready += text[start:end]

    def _end(self) -> None:
        self.ended = True
