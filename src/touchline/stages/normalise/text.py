"""Text as people and programs leave it in cells, made one clean line; and the ways to visit only odd or unique values."""

import json
import unicodedata
from collections.abc import Callable
from typing import Any

import polars as pl

from touchline.model.columns import fold

LONGEST = 300
"""Characters kept of a text; longer text is cut."""

LONGEST_EXTRA = 10_000
"""Characters kept of the JSON of other columns; keys that do not fit are left out."""

LATIN = r"\u00c0-\u017e"
"""Composed letters that NFC leaves alone, so that text of these and ASCII needs no normalisation."""

EMPTY = r"(?i:^(?:#?n/a|[-\u2013\u2014]+|null|\(null\)|none|\\n|undefined)?$)"
"""Words that mean nothing was there."""

ODD = rf"[^ -~{LATIN}]|^ | $|  |{EMPTY}"

INVISIBLE = r"[\p{Cf}\p{Co}]+"
"""Zero-width characters, bidirectional overrides, soft hyphens, private use: nothing a reader sees."""

GAP = r"[\p{Cc}\p{Z}]+"
"""Spaces of all kinds, line ends and control characters, NUL included."""

BREAKS = frozenset({"Cc", "Zl", "Zp", "Zs"})
UNSEEN = frozenset({"Cf", "Co", "Cs"})

VALUE = pl.col("value")
"""What the expressions of `compute` are about."""


def words(text: str) -> list[str]:
    """The words of a table that is written as running text."""
    return text.split()


def phrases(text: str) -> list[str]:
    """The entries of a table that is written as running text with commas."""
    return " ".join(text.split()).split(", ")


def clean(series: pl.Series, longest: int = LONGEST) -> pl.Series:
    """One line of NFC text: invisible and control characters gone, spaces single, empty words null, cut at `longest`."""
    odd = series.str.contains(ODD) | (series.str.len_bytes() > longest)
    return repaired(series, odd, lambda part: compute(part, _cleaned(longest)))


def _cleaned(longest: int) -> pl.Expr:
    visible = VALUE.str.replace_all(INVISIBLE, "").str.replace_all(GAP, " ").str.normalize("NFC")
    line = visible.str.strip_chars(" ").str.slice(0, longest).str.strip_chars_end(" ")
    return pl.when(~line.str.contains(EMPTY)).then(line)


def folded(series: pl.Series) -> pl.Series:
    """The same as `columns.fold`, which costs most of its time on what ASCII text does not need."""
    plain = series.str.to_lowercase()
    foreign = series.str.len_bytes() != series.str.len_chars()
    at = foreign.fill_null(value=False).arg_true()
    return plain if at.is_empty() else plain.scatter(at, compute(series.gather(at), fold(VALUE)))


def code(series: pl.Series) -> pl.Series:
    """Cleaned text as a folded code."""
    return clean(folded(clean(series)))


def compute(series: pl.Series, expr: pl.Expr) -> pl.Series:
    """An expression over `VALUE`, applied to one series."""
    return series.alias("value").to_frame().select(expr.alias("value")).to_series()


def repaired(series: pl.Series, odd: pl.Series, repair: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """The series with `repair` applied to the values where `odd` is true; the common form pays for the test only."""
    at = odd.fill_null(value=False).arg_true()
    return series if at.is_empty() else series.clone().scatter(at, repair(series.gather(at)))


def settled(series: pl.Series, function: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """A function of texts, value by value, applied until it changes nothing more: what is exported comes back as it was."""
    found = function(series)
    changed = (found != series).fill_null(value=False)
    return repaired(found, changed, lambda part: settled(part, function)) if changed.any() else found


def only(series: pl.Series, keep: pl.Series) -> pl.Series:
    """The values where `keep` is true; null elsewhere."""
    return series.zip_with(keep.fill_null(value=False), pl.Series([None], dtype=series.dtype))


def either(one: pl.Series, other: pl.Series) -> pl.Series:
    """The first of two values that is known."""
    return one.zip_with(one.is_not_null(), other)


def distinct(series: pl.Series, function: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """A function of texts, value by value, applied to the unique values where most are repeated."""
    known = series.drop_nulls().unique()
    if 2 * known.len() > series.len() or known.is_empty():
        return function(series)
    return series.replace_strict(known, function(known), default=None, return_dtype=pl.String)


def each(series: pl.Series, function: Callable[[str], Any], dtype: pl.DataType | None = None) -> pl.Series:
    """A Python function of one value, called once for each unique value; null stays null."""
    kind = dtype or pl.String()
    known = series.drop_nulls().unique()
    if known.is_empty():
        return pl.Series(series.name, [None], kind).new_from_index(0, series.len())
    found = pl.Series([function(value) for value in known], dtype=kind)
    return series.replace_strict(known, found, default=None, return_dtype=kind)


def tags(series: pl.Series) -> pl.Series:
    """Lists separated by `;`, `,`, `|` or line ends as `|a|b|`: folded, unique, in the order given."""
    return distinct(series, _tags)


def _tags(series: pl.Series) -> pl.Series:
    # Folding comes before splitting: NFKC makes a bar of U+FF5C.
    seen = fold(VALUE.str.slice(0, LONGEST_EXTRA).str.replace_all(INVISIBLE, ""))
    cells = seen.str.replace_all(r"[;,|\r\n\t]+", "|").str.replace_all(GAP, " ").str.split("|")
    word = pl.element().str.strip_chars(" \"'[]").str.slice(0, 60).str.strip_chars_end(" ")
    kept = cells.list.eval(word.filter(~word.str.contains(EMPTY))).list.unique(maintain_order=True).list.head(100)
    line = pl.when(kept.list.len() > 0).then("|" + kept.list.join("|") + "|")
    return compute(series, line)


def extras(series: pl.Series) -> pl.Series:
    """A JSON object whose texts are clean lines; null where it is not an object."""
    plain = series.str.starts_with("{") & series.str.ends_with("}") & (series.str.len_bytes() <= LONGEST_EXTRA)
    odd = ~plain | series.str.contains(r"[\p{C}\p{Z}&&[^ ]]|\\|[^\x00-\x{17e}]")
    return repaired(series, odd, lambda part: each(part, _object))


def _object(text: str) -> str | None:
    try:
        # A refused constant is null: NaN and infinity are no JSON (RFC 8259, 6).
        value = _lines(json.loads(text, parse_constant=lambda _: None))
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    size, kept = 1, {}
    for key, item in value.items():
        longer = size + len(_json({key: item})) - 1
        if longer <= LONGEST_EXTRA:
            size, kept[key] = longer, item
    return _json(kept) if kept else None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _lines(value: Any) -> Any:
    """Every text inside of a JSON value as one clean line."""
    if isinstance(value, str):
        return _line(value)
    if isinstance(value, list):
        return [_lines(item) for item in value]
    if isinstance(value, dict):
        return {_line(key): _lines(item) for key, item in value.items()}
    return value


def _line(text: str) -> str:
    kinds = ((c, unicodedata.category(c)) for c in text)
    seen = (" " if kind in BREAKS else c for c, kind in kinds if kind not in UNSEEN)
    return unicodedata.normalize("NFC", " ".join("".join(seen).split()))
