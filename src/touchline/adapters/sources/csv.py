"""Leads from a CSV file, in batches that can be resumed, in bounded memory, whatever the file holds."""

import contextlib
import hashlib
import json
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Final

import polars as pl

from touchline.adapters.sources import layout
from touchline.adapters.sources.encoding import SAMPLE
from touchline.adapters.sources.headers import Columns
from touchline.adapters.sources.records import Records
from touchline.model.cells import restored
from touchline.model.errors import InvalidInput, SourceUnavailable

BATCH_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class SourceFile:
    """What a file is before its leads are read.

    Attributes:
        name: File name without folders.
        bytes: Size.
        fingerprint: BLAKE2b of the content, 128 bits in hexadecimal: equal for equal content.
        encoding: utf-8, cp1252, utf-16-le or utf-16-be.
        delimiter: What stands between cells.
        columns: For each header its field, `extra` or `ignored`; a second `Notes` is called `Notes (2)`.
    """

    name: str
    bytes: int
    fingerprint: str
    encoding: str
    delimiter: str
    columns: dict[str, str]


@dataclass(frozen=True, slots=True)
class Batch:
    """Raw records with the place to go on from.

    Attributes:
        rows: Text columns: the fields that were recognised, as the file has them without an export's apostrophe before
            a formula, null where empty; `extra`, a JSON
            object of the other cells that are not empty, or null; `fault`, why a record cannot be trusted, or null
            (too_many_fields, nul_byte, unclosed_quote, line_too_long); `raw`, the first 2,000 characters of a faulted
            record, whose fields are null. And `row` (Int64): the record's number, from 1, the header not counted.
        first_row: `row` of the first record.
        next_offset: Byte to give `batches` as `offset` to go on behind this batch.
    """

    rows: pl.DataFrame
    first_row: int
    next_offset: int


class CsvSource:
    """A CSV file of leads.

    Encoding, delimiter and columns are found from the first `SAMPLE` bytes, when first asked for.

    Args:
        path: The file.
        batch_rows: Records in a batch, at most.
        column_map: Header to field, `extra` or `ignored`, where the user chose; comes before all recognition.
        name: What people call it, if not by the path's last part.
    """

    def __init__(
        self,
        path: Path,
        batch_rows: int = BATCH_ROWS,
        column_map: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        self._path, self._batch_rows, self._column_map = Path(path), batch_rows, dict(column_map or {})
        self._name = name or self._path.name

    def describe(self) -> SourceFile:
        """Name, size, fingerprint and layout; reads the whole file once, for the fingerprint.

        Raises:
            InvalidInput: The file cannot be a list of leads; the message says why and what to do.
            SourceUnavailable: The file cannot be read now.
        """
        found = self._layout
        with self._open() as file:
            digest = hashlib.blake2b(digest_size=16)
            while block := file.read(SAMPLE):
                digest.update(block)
            size = file.tell()
        meanings = found.columns.meanings()
        return SourceFile(self._name, size, digest.hexdigest(), found.encoding.name, found.delimiter, meanings)

    def columns(self, rows: int) -> list[tuple[str, str, list[str]]]:
        """Each column: its header, its field, `extra` or `ignored`, and what its first rows hold, empty cells left out.

        Args:
            rows: How many rows to look at.

        Raises:
            InvalidInput: The file cannot be a list of leads.
            SourceUnavailable: The file cannot be read now.
        """
        found = self._layout.columns
        first = next(CsvSource(self._path, rows, self._column_map, self._name).batches(), None)
        extra = [json.loads(text) for text in first.rows["extra"].drop_nulls()] if first else []
        names = {position: name for name, position in found.extra.items()}
        told = []
        for position, (header, meaning) in enumerate(found.meanings().items()):
            if position in names:
                held = [str(cells[names[position]]) for cells in extra if names[position] in cells]
            else:
                held = first.rows[meaning].drop_nulls().to_list() if first and meaning in found.fields else []
            told.append((header, meaning, held))
        return told

    def batches(self, offset: int = 0, row: int = 0) -> Iterator[Batch]:
        """Every record of the file, in order, each in one batch.

        Args:
            offset: `next_offset` of the batch to go on behind; 0 for the file's start.
            row: Records before that place.

        Raises:
            InvalidInput: The file cannot be a list of leads, or ends before `offset`.
            SourceUnavailable: The file cannot be read now.
        """
        found = self._layout
        with self._open() as file:
            if offset > self._path.stat().st_size:
                raise InvalidInput(
                    f"{self._name} is shorter than when it was read before.", hint="Import it again as a new file."
                )
            records = Records(
                file,
                found.encoding,
                found.delimiter,
                width=len(found.columns.names),
                offset=max(offset, found.start),
            )
            while (frame := records.read(self._batch_rows)).height:
                yield Batch(_leads(frame, found.columns, row), row + 1, records.offset)
                row += frame.height

    @cached_property
    def _layout(self) -> layout.Layout:
        with self._open() as file:
            return layout.found(file.read(SAMPLE), self._name, self._column_map)

    @contextlib.contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        """The file, open; what the system says against it becomes an error that a person can act on."""
        path = self._path
        try:
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode):
                raise InvalidInput(f"{path} is a directory.", hint="Name a CSV file in it.")
            if not stat.S_ISREG(mode):
                raise InvalidInput(f"{path} is not a regular file.", hint="Save the input to a file first.")
            with path.open("rb") as file:
                yield file
        except (FileNotFoundError, NotADirectoryError):
            raise InvalidInput(f"There is no file {path}.", hint="Check the path.") from None
        except PermissionError:
            raise InvalidInput(f"{path} may not be read by this user.", hint="Change its permissions.") from None
        except OSError as error:
            raise SourceUnavailable(f"{path} cannot be read: {error.strerror}.", hint="Try again later.") from error


def _leads(frame: pl.DataFrame, columns: Columns, before: int) -> pl.DataFrame:
    """Records by position as records by field."""
    fields = [restored(pl.col(str(position))).alias(field) for field, position in columns.fields.items()]
    return frame.select(
        *fields,
        _extra(columns).alias("extra"),
        pl.int_range(before + 1, before + 1 + pl.len(), dtype=pl.Int64).alias("row"),
        "fault",
        "raw",
    )


def _extra(columns: Columns) -> pl.Expr:
    """The cells that belong to no field and are not empty, as the text of a JSON object; null if there are none."""
    members = [_member(name, pl.col(str(position))) for name, position in columns.extra.items()]
    if columns.nested is not None:
        # Columns come last: where a name stands twice in an object, its last value counts.
        members.insert(0, pl.col(str(columns.nested)).map_elements(_inside, return_dtype=pl.String))
    if not members:
        return pl.lit(None, pl.String)
    joined = pl.concat_str(members, separator=",", ignore_nulls=True)
    return pl.when(joined != "").then("{" + joined + "}")


def _member(name: str, cell: pl.Expr) -> pl.Expr:
    """`"name":"cell"`, with JSON's escapes; null for null."""
    whole = pl.struct(cell.alias(name)).struct.json_encode()
    return pl.when(cell.is_not_null()).then(whole.str.strip_prefix("{").str.strip_suffix("}"))


def _inside(text: str) -> str | None:
    """The members of a JSON object, as an exported list has them under `extra`; other text is a member itself."""
    try:
        given = json.loads(text)
        value = given if isinstance(given, dict) else {"extra": text}
        members = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))[1:-1]
        members.encode()
    except (ValueError, RecursionError):
        return json.dumps({"extra": text}, ensure_ascii=False)[1:-1]
    return members or None
