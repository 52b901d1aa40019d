"""Head counts, budgets and time to a decision, from the ways in which people write numbers."""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache

import polars as pl

from touchline.stages.normalise.text import each, either, only, phrases, words

MOST_EMPLOYEES = 10_000_000
MOST_BUDGET = 1e12
MOST_MONTHS = 120
"""Beyond these a number is a mistake, such as a year or a phone number in the wrong column."""

SCALE = {
    "": 1.0,
    **dict.fromkeys(words("k tsd thousand tausend"), 1e3),
    **dict.fromkeys(words("m mm mn mio million millionen millions"), 1e6),
    **dict.fromkeys(words("b bn mrd billion"), 1e9),
}
DAY = 12 / 365.25
MONTHS = {
    "": 1.0,
    **dict.fromkeys(words("d day days tag tage tagen jour jours dia dias giorni dagen"), DAY),
    **dict.fromkeys(words("w wk wks week weeks woche wochen semaine semaines semana semanas settimane weken"), 7 * DAY),
    **dict.fromkeys(words("m mo mos month months mth mths monat monate monaten mois mes meses mese mesi maanden"), 1.0),
    **dict.fromkeys(words("quarter quarters quartal quartale trimestre trimestres"), 3.0),
    **dict.fromkeys(words("y yr yrs year years jahr jahre jahren an ans ano anos anno anni jaar"), 12.0),
}
SOON = dict.fromkeys(
    phrases("""
        asap, as soon as possible, immediate, immediately, now, right now, right away, today, urgent, this week, this month,
        sofort, ab sofort, jetzt, dringend, umgehend, immediatement, maintenant, des que possible, inmediatamente,
        inmediato, ahora, ya, subito, adesso, immediatamente, imediatamente, imediato, agora, direct, nu, meteen"""),
    0.0,
) | dict.fromkeys(phrases("next week, next month, nachsten monat, mois prochain"), 1.0)
ALONE = dict.fromkeys(phrases("self employed, selfemployed, freelancer, freelance, solo, solopreneur, just me"), 1.0)

NOISE = frozenset(
    words("""
        about approx approximately around circa ca ungefahr etwa rund environ unos over more than mehr als uber plus de
        less under up to bis zu below max maximum min minimum at least from von between zwischen entre and und et y
        within in innerhalb the next der nachsten or so
        employees employee people persons staff mitarbeiter mitarbeiterinnen beschaftigte angestellte ftes fte vollzeit
        headcount personen salaries employes empleados dipendenti medewerkers funcionarios total
        eur euro euros usd us dollar dollars gbp pound pounds chf cad aud sek nok dkk pln jpy
        per year annually annual pa p a jahr yr budget""")
)
"""Words around a number that do not change it. Any other word makes the cell unknown: "Fortune 500" is no head count."""

NUMBER = r"\d{1,3}(?:[ '\u2019]\d{3})+(?:[.,]\d+)?(?!\d)|\d+(?:[.,]\d+)*"
QUANTITY = re.compile(rf"({NUMBER})(e[+-]?\d{{1,3}}(?!\d))?\s*\+?\s*([a-z]+)?")
RANGE = re.compile(r"\s*(?:[-\u2013\u2014]|to|bis|and|und|a|et|y)\s*")
SKIPPED = re.compile(r"[$€£¥<>≤≥~+*.,()\s]+|\b(?:eur|euros?|usd|gbp|chf|employees|people|mitarbeiter)\b")
SIGNS = re.compile(r"[^-\u2013\u2014a-z0-9$€£¥<>≤≥~+*.,()'\u2019\s]|^\s*[-\u2013\u2014\u2212]")
"""What makes a cell something other than one number or range, with minus signs among it."""


def employees(series: pl.Series) -> pl.Series:
    """Head counts above zero; of a range its geometric mean, since sizes spread over powers of ten; of `1000+` the bound."""
    return _numbers(series, _employees, pl.Int64(), 1, MOST_EMPLOYEES)


def budget(series: pl.Series) -> pl.Series:
    """Amounts of zero and more, whatever the currency; of a range the middle; of `50k+` or `< 50k` the bound."""
    return _numbers(series, _budget, pl.Float64(), 0, MOST_BUDGET)


def timeline(series: pl.Series) -> pl.Series:
    """Whole months until a decision, rounded up; of a range the middle.

    `asap` and its like are 0. What needs a calendar, such as `Q1` or `next year`, is null.
    """
    return _numbers(series, _months, pl.Int64(), 0, MOST_MONTHS)


Reader = Callable[[str], float | None]


def _numbers(series: pl.Series, read: Reader, kind: pl.DataType, least: int, most: float) -> pl.Series:
    plain = series.str.contains(r"^[0-9]{1,9}$")
    found = either(only(series, plain).cast(kind), each(only(series, ~plain), read, kind))
    return only(found, found.is_between(least, most))


@lru_cache(maxsize=50_000)
def _employees(text: str) -> int | None:
    value = _value(text, SCALE, ALONE)
    return None if value is None else round(math.sqrt(value[0] * value[1]))


@lru_cache(maxsize=50_000)
def _budget(text: str) -> float | None:
    value = _value(text, SCALE, {})
    return None if value is None else sum(value) / 2


@lru_cache(maxsize=50_000)
def _months(text: str) -> int | None:
    value = _value(text, MONTHS, SOON)
    # A hair less, so that 12 weeks and their like do not become a month more by rounding.
    return None if value is None else math.ceil(sum(value) / 2 - 1e-6)


def _value(text: str, units: Mapping[str, float], words: Mapping[str, float]) -> tuple[float, float] | None:
    """Both ends of the range in a text, the same for a single number; None where it is anything else."""
    letters = unicodedata.normalize("NFKD", text[:60].casefold())
    plain = "".join(c for c in letters if not unicodedata.combining(c))
    found = list(QUANTITY.finditer(plain))
    if not found:
        alone = words.get(" ".join(re.findall(r"[a-z]+", plain)))
        return None if alone is None else (alone, alone)
    if len(found) > 2 or SIGNS.search(plain):
        return None
    first, last = found[0], found[-1]
    around = plain[: first.start()] + " " + plain[_end(last, units) :]
    if not NOISE.issuperset(re.findall(r"[a-z]+", around)):
        return None
    if len(found) == 2 and not RANGE.fullmatch(SKIPPED.sub(" ", plain[_end(first, units) : last.start()])):
        return None
    low, high = _number(first, units), _number(last, units)
    if low is None or high is None:
        return None
    if first[3] not in units and last[3] in units and low <= high:
        # "5-10k" are thousands on both sides, "500-1k" on one.
        low *= units[last[3]]
    low, high = sorted((low * units.get(first[3] or "", 1.0), high * units.get(last[3] or "", 1.0)))
    # Infinity, too, which is where 1e999 ends.
    return (low, high) if high <= MOST_BUDGET else None


def _end(found: re.Match[str], units: Mapping[str, float]) -> int:
    """Where the quantity ends: behind its unit, or behind the number if another word follows."""
    return found.end() if found[3] is None or found[3] in units else found.start(3)


def _number(found: re.Match[str], units: Mapping[str, float]) -> float | None:
    """The number without its unit, in either of the two ways to write thousands and decimals."""
    digits = re.sub(r"[ '\u2019]", "", found[1])
    point = max(digits.rfind("."), digits.rfind(","))
    if point < 0:
        return float(digits + (found[2] or ""))
    whole, rest = re.sub(r"[.,]", "", digits[:point]), digits[point + 1 :]
    groups = re.split(r"[.,]", digits)
    # "1.234 million" and "1.5k" are decimals; "1,234" and "1.234" are more than a thousand.
    scaled = units.get(found[3] or "", 1.0) >= (1e6 if digits[point] == "," else 1e3)
    thousands = groups[0].strip("0") != "" and len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
    if thousands and not found[2] and not (scaled and len(groups) == 2) and len(set(re.findall(r"[.,]", digits))) == 1:
        return float(whole + rest)
    return float(f"{whole}.{rest}{found[2] or ''}") if digits.count(digits[point]) == 1 else None
