"""People's names: titles off, case mended, full names split; the common forms by expression, the rest once for each name."""

import re
from collections.abc import Callable
from functools import lru_cache

import polars as pl

from touchline.stages.normalise.text import (
    EMPTY,
    LATIN,
    VALUE,
    clean,
    compute,
    each,
    either,
    only,
    repaired,
    settled,
    words,
)

LETTER = rf"[[A-Za-z{LATIN}]&&\p{{L}}]"
SOLID = rf"^{LETTER}+(?:[-'\u2019]{LETTER}+)*$"
"""A word, or some with hyphens or apostrophes: clean text with nothing in it to take off, unless it is one of `NOTHING`."""

NOTHING = ("null", "none", "undefined")

PARTICLES = frozenset(
    words("van von der den de del della di da do dos das du zu zum zur la las los ter ten vom und y e af av")
)
"""Words inside of family names that stay in small letters."""

SPECIAL = frozenset({*PARTICLES, *words("le al bin ibn abu abdul abd san santa st ste mac mc and")})
"""Words that may belong to the name after them."""

TITLES = words(
    "dr prof professor professeur mr mrs ms miss mx herr frau monsieur madame mme mlle sir "
    "sra srta dra dott dott.ssa ing dipl.-ing dipl.ing rev capt lt sgt ir drs"
)
"""Honorifics, which are no name even alone."""

_TITLES = "|".join(title.replace(".", r"\.") for title in TITLES)
HONORIFIC = rf"(?i:^(?:(?:{_TITLES})(?:\.\s*|\s+))+)"
CREDENTIAL = r"(?i:(?:[\s,]+(?:jr|sr|ii|iii|iv|2nd|3rd|4th|ph\.?\s?d|m\.?d|m\.?b\.?a|m\.?sc|b\.?sc|cpa|cfa|esq|pmp|phr|cissp|dds|llm|edd)\.?)+$)"
ASIDE = r"\s*(?:\([^)]*\)|\[[^\]]*\]|\"[^\"]*\"|“[^”]*”|«[^»]*»)"
"""Nicknames and remarks."""

NO_NAME = r"^[=+@-]|[@0-9<>{}=\\|_]|://|^www\."
"""No person is called that: such a name is null. A cell that begins with = + - or @ may be a formula."""

WORD = r"\p{L}[\p{L}\p{M}'\u2019.-]*"
FIRST_LAST = rf"^({WORD})(?: {WORD})? ({WORD})$"
LAST_FIRST = rf"^({WORD}(?: {WORD})?), ({WORD})(?: {WORD})?$"
_PARTICLES, _SPECIAL = "|".join(sorted(PARTICLES - {"y", "e", "und"})), "|".join(sorted(SPECIAL))
PARTICLED = rf"^({WORD})(?: {WORD})?? ((?:(?i:{_PARTICLES}) )+{WORD})$"
UNUSUAL = rf"{HONORIFIC}|{CREDENTIAL}|(?i:(?:^| )(?:{_SPECIAL})(?:\.? |,|$))"
"""Whole names in which a word is not simply a given, middle or family name."""
HARD = rf"{HONORIFIC}|{CREDENTIAL}|(?i:^(?:{_SPECIAL})[. ])"
"""Whole names in which more is unusual than particles before the family name."""


def names(first: pl.Series, last: pl.Series, full: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Given and family names from what a source has of them.

    Args:
        first: Given names as given.
        last: Family names as given.
        full: Whole names, `First Last` or `Last, First`; used where one of the two is missing.

    Returns:
        Given and family names: honorifics, credentials, nicknames and middle initials off; case mended where a name is
        all in capitals or all in small letters; null where it cannot be a name.
    """
    given, family, whole = (_cleaned(series) for series in (first, last, full))
    given, family, whole = _moved(given, family, whole)
    given, family = _part(given), _part(family)
    at = ((given.is_null() | family.is_null()) & whole.is_not_null()).arg_true()
    if not at.is_empty():
        found_given, found_family = _split(whole.gather(at))
        given = given.clone().scatter(at, either(given.gather(at), found_given))
        family = family.clone().scatter(at, either(family.gather(at), found_family))
    return _cased(given, family)


def _cleaned(series: pl.Series) -> pl.Series:
    return repaired(series, ~series.str.contains(SOLID) | series.str.to_lowercase().is_in(NOTHING), clean)


def _moved(given: pl.Series, family: pl.Series, whole: pl.Series) -> tuple[pl.Series, pl.Series, pl.Series]:
    """`Last, First` is a whole name also where it stands in the only one of the two columns that is filled."""
    lone = (given.is_null() != family.is_null()) & whole.is_null()
    moved = lone & either(given, family).str.contains(",", literal=True)
    if not moved.any():
        return given, family, whole
    return only(given, ~moved), only(family, ~moved), either(whole, only(either(given, family), moved))


def _part(series: pl.Series) -> pl.Series:
    """A given or a family name without what does not belong to it; null where it is no name."""
    odd = ~series.str.contains(SOLID) | series.str.to_lowercase().is_in(TITLES)
    return repaired(series, odd, lambda part: settled(part, lambda names: compute(names, _bare(VALUE))))


def _bare(value: pl.Expr) -> pl.Expr:
    bare = value.str.replace_all(ASIDE, "").str.replace(CREDENTIAL, "").str.replace(r"\s*,.*$", "")
    bare = bare.str.replace(HONORIFIC, "").str.strip_chars(" ;:*~")
    # "John M." is John to those who write to him, and "john m" too.
    bare = bare.str.replace(r"^(\S{2,}(?: \S{2,})*?)(?: [\p{Lu}\p{Ll}]\.?)+$", "${1}")
    bare = bare.str.replace(r"(\p{L}{3})\.$", "${1}")
    known = ~value.str.contains(NO_NAME) & ~bare.str.contains(NO_NAME) & bare.str.contains(r"\p{L}")
    known &= ~bare.str.contains(EMPTY)
    return pl.when(known & ~bare.str.to_lowercase().str.strip_chars(".").is_in(TITLES)).then(bare)


def _split(series: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Whole names as given and family names; nameparser decides where words of other kinds are in it."""
    odd = series.str.contains(UNUSUAL)
    plain, particled = only(series, ~odd), only(series, odd & ~series.str.contains(HARD))
    given = either(
        plain.str.extract(FIRST_LAST, 1),
        either(plain.str.extract(LAST_FIRST, 2), only(plain, plain.str.contains(SOLID))),
    )
    family = either(plain.str.extract(FIRST_LAST, 2), plain.str.extract(LAST_FIRST, 1))
    given, family = (
        either(given, particled.str.extract(PARTICLED, 1)),
        either(family, particled.str.extract(PARTICLED, 2)),
    )
    at = given.is_null().arg_true()
    if not at.is_empty():
        pairs = each(series.gather(at), _parsed).str.split_exact("\t", 1).struct.unnest()
        given, family = given.scatter(at, pairs["field_0"]), family.scatter(at, pairs["field_1"])
    return _part(given), _part(family)


@lru_cache(maxsize=50_000)
def _parsed(text: str) -> str | None:
    """`given TAB family` of a whole name, by nameparser."""
    from nameparser import HumanName

    name = HumanName(text)
    return f"{name.first}\t{name.last}" if text[0] not in "=+@-" else None


def _cased(given: pl.Series, family: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Both with their case mended where it is flat, but "AJ Smith" stays AJ."""
    shouted = (family == family.str.to_uppercase()) & (family.str.len_chars() > 1)
    initials = (given.str.len_chars() == 2) & (given == given.str.to_uppercase()) & ~shouted.fill_null(value=False)
    return (
        repaired(given, _is_flat(given) & ~initials, lambda part: _mended(part, _proper_given)),
        repaired(family, _is_flat(family), lambda part: _mended(part, _proper_family)),
    )


def _is_flat(series: pl.Series) -> pl.Series:
    upper, lower = series.str.to_uppercase(), series.str.to_lowercase()
    return ((series == upper) | (series == lower)) & (upper != lower)


def _mended(part: pl.Series, proper: Callable[[str], str]) -> pl.Series:
    odd = ~part.str.contains(r"^\p{L}+(?:[-'\u2019]\p{L}+)*$") | part.str.contains("^(?i:mc)")
    return repaired(part.str.to_titlecase(), odd, lambda rest: each(rest, proper))


def _proper_given(text: str) -> str:
    head, *rest = text.split(" ")
    return " ".join([_capital(head), *(_proper(word) for word in rest)])


def _proper_family(text: str) -> str:
    *rest, tail = text.split(" ")
    return " ".join([*(_proper(word) for word in rest), _capital(tail)])


def _proper(word: str) -> str:
    return word.lower() if word.lower() in PARTICLES else _capital(word)


def _capital(word: str) -> str:
    """A word with capitals at its start, after hyphens, apostrophes and full stops, and after Mc."""
    title = re.sub(r"[^\W_]+", lambda match: match[0][:1].upper() + match[0][1:].lower(), word)
    return re.sub(r"\bMc([a-z])(?=[a-z])", lambda match: "Mc" + match[1].upper(), title)
