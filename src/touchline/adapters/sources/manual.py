"""A lead that a person typed, as a source of one row."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from touchline.model.columns import LEAD

FIELDS = frozenset(column.name for column in LEAD) | {"full_name"}


@dataclass(frozen=True, slots=True)
class TypedIn:
    """What a person typed, described as a file would be."""

    name: str
    bytes: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class OneRow:
    """The one batch."""

    rows: pl.DataFrame
    next_offset: int


class ManualSource:
    """One lead from values by field name; other names go to `extra`.

    Args:
        values: Raw text by field.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = {name.strip().lower(): value for name, value in values.items() if value.strip()}

    def describe(self) -> TypedIn:
        """Equal values have equal fingerprints."""
        text = json.dumps(self.values, sort_keys=True)
        return TypedIn("typed in", len(text), hashlib.blake2b(text.encode(), digest_size=16).hexdigest())

    def batches(self, offset: int = 0, row: int = 0) -> Iterator[OneRow]:
        """The row, unless it has been read."""
        if offset == 0 and row == 0:
            known = {name: value for name, value in self.values.items() if name in FIELDS and name != "extra"}
            others = {name: value for name, value in self.values.items() if name not in FIELDS}
            extra = json.dumps(others, ensure_ascii=False) if others else None
            text = json.dumps(self.values, ensure_ascii=False)
            values = {**known, "extra": extra, "fault": None, "raw": text}
            frame = pl.DataFrame(
                {name: [value] for name, value in values.items()}, schema=dict.fromkeys(values, pl.String)
            )
            yield OneRow(frame.with_columns(row=pl.lit(1, pl.Int64)), self.describe().bytes)
