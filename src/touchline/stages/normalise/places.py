"""Countries, languages and time zones as codes, from the names that CLDR knows for them in twenty languages."""

import functools
import re
import unicodedata
from zoneinfo import available_timezones

import polars as pl
from babel import Locale
from babel.core import get_global

from touchline.stages.normalise.text import each, words

LANGUAGES = words("en de fr es it pt nl pl sv da nb fi cs tr ru uk ja zh ko ar")
"""Languages whose names for countries and languages are understood."""

ALSO = {
    "ae": "uae",
    "ba": "bosnia",
    "bo": "bolivia plurinational state of",
    "cd": "congo democratic republic of, dr congo, drc",
    "ci": "ivory coast",
    "cn": "prc, peoples republic of china, mainland china",
    "cv": "cape verde",
    "cz": "czech republic",
    "de": "federal republic of germany, brd",
    "gb": "uk, england, scotland, wales, northern ireland, great britain, britain, grossbritannien, schottland, inglaterra, "
    "angleterre, inghilterra, united kingdom of great britain northern ireland",
    "gr": "el, hellas",
    "hk": "hong kong",
    "ie": "republic of ireland, eire",
    "ir": "iran islamic republic of, islamic republic of iran",
    "kr": "south korea, korea, republic of korea, korea republic of",
    "la": "lao peoples democratic republic",
    "md": "moldova republic of, republic of moldova",
    "mk": "macedonia, former yugoslav republic of macedonia",
    "mm": "burma",
    "mo": "macau, macao",
    "nl": "holland",
    "ps": "palestine, state of palestine",
    "ru": "russian federation",
    "sa": "ksa, kingdom of saudi arabia",
    "sk": "slovak republic",
    "sy": "syrian arab republic",
    "sz": "swaziland",
    "tl": "east timor",
    "tr": "turkey, turkiye",
    "tw": "taiwan province of china, republic of china",
    "tz": "tanzania united republic of, united republic of tanzania",
    "us": "usa, us of a, america, united states of america, estados unidos de america, etats unis d amerique, "
    "vereinigte staaten von amerika, stati uniti d america",
    "ve": "venezuela bolivarian republic of",
    "vn": "viet nam",
}
"""Names in use that CLDR does not give."""

NO_COUNTRY = frozenset({"eu", "ez", "un", "qo", "zz", "xa", "xb"})
"""Two-letter codes of CLDR that are no ISO 3166-1 country."""


def country(series: pl.Series) -> pl.Series:
    """ISO 3166-1 alpha-2 codes, lower case, from codes and names; null where the text names no one country."""
    return each(series, _country)


def language(series: pl.Series) -> pl.Series:
    """ISO 639-1 codes, lower case, from codes, locales and names; null where the text names no language."""
    return each(series, _language)


def timezone(series: pl.Series) -> pl.Series:
    """IANA time zones by their exact name; null for all else."""
    return each(series, lambda name: name.strip() if name.strip() in _zones() else None)


@functools.cache
def _zones() -> set[str]:
    return available_timezones()


def _bare(text: str) -> str:
    """Letters and digits, small and without accents, words apart by one space, articles and "and" left out."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in letters if not unicodedata.combining(c))
    plain = re.sub(r"[.'\u2019]", "", plain)
    return " ".join(word for word in re.findall(r"\w+", plain) if word not in ("and", "the"))


@functools.cache
def _countries() -> dict[str, str]:
    """Every known name and code of a country, bare, with its alpha-2 code."""
    names = {name: code for code, many in ALSO.items() for name in many.split(", ")}
    for tag in LANGUAGES:
        for code, name in Locale.parse(tag).territories.items():
            if len(code) == 2 and code.isalpha() and code.lower() not in NO_COUNTRY:
                names.setdefault(_bare(name), code.lower())
                names.setdefault(code.lower(), code.lower())
    for code, now in get_global("territory_aliases").items():
        if len(now) == 1 and len(now[0]) == 2:
            names.setdefault(code.lower(), now[0].lower())
    return names


def _country(text: str) -> str | None:
    return _countries().get(_bare(text[:100]))


@functools.cache
def _languages() -> dict[str, str]:
    """Every known name and code of a language, bare, with its two-letter code."""
    names: dict[str, str] = {}
    for tag in LANGUAGES:
        for code, name in Locale.parse(tag).languages.items():
            if len(code) == 2:
                names.setdefault(_bare(name), code)
                names.setdefault(code, code)
    for code, now in get_global("language_aliases").items():
        if len(now) == 2:
            names.setdefault(code.lower(), now)
    return names


def _language(text: str) -> str | None:
    bare = _bare(text[:100])
    # A locale begins with its language (BCP 47): en-US, pt_BR.
    locale = re.match(r"\s*([A-Za-z]{2,3})[-_][A-Za-z0-9_-]+\s*$", text)
    return _languages().get(bare) or (_languages().get(locale[1].lower()) if locale else None)
