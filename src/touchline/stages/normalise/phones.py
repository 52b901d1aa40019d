"""Phone numbers in E.164: the common forms by expression, the rest by Google's library, once for each number."""

import re
from functools import lru_cache

import phonenumbers
import polars as pl

from touchline.stages.normalise.text import VALUE, compute, only

INTERNATIONAL = r"^\+[1-9][0-9]{7,14}$"
EXTENSION = r"(?i)\s*(?:ext|extension|extn|x|#|durchwahl|poste)[.:]?\s*[0-9]*\s*$"
SECOND = r"^((?:[^0-9;,|/]*[0-9]){7,}[^;,|/]*)[;,|/].*$"
"""A number and what follows it in one cell; a slash after fewer digits stands inside of the number."""


def phone(series: pl.Series, country: pl.Series) -> pl.Series:
    """Phone numbers in E.164 (ITU-T, at most 15 digits) where they are international or their country is known.

    Args:
        series: Numbers as given.
        country: ISO 3166-1 alpha-2, lower case, or null; same length.

    Returns:
        `+` and 8 to 15 digits, else the digits as given if there are 5 to 20, else null.
    """
    at = (~series.str.contains(INTERNATIONAL)).fill_null(value=False).arg_true()
    if at.is_empty():
        return series
    given = compute(
        series.gather(at), VALUE.str.normalize("NFKC").str.replace(SECOND, "${1}").str.replace(EXTENSION, "")
    )
    bare = given.str.replace_all("(0)", "", literal=True)
    numbers = pl.DataFrame({"given": bare, "country": country.gather(at)}).with_columns(
        pl.col("given").str.replace_all(r"[^0-9]", "").alias("digits")
    )
    plus, zeros = pl.col("given").str.contains(r"^[^0-9]*\+"), pl.col("digits").str.starts_with("00")
    abroad = pl.when(plus).then(pl.col("digits")).when(zeros).then(pl.col("digits").str.slice(2))
    e164 = pl.when(("+" + abroad).str.contains(INTERNATIONAL)).then("+" + abroad)
    numbers = numbers.with_columns(e164.alias("e164"), abroad.is_null().alias("national"))
    found = _national(numbers)
    national = only(found, found.str.contains(INTERNATIONAL))
    digits = pl.when(pl.col("digits").str.len_bytes().is_between(5, 20)).then(pl.col("digits"))
    done = numbers.select(pl.coalesce("e164", national, digits)).to_series()
    return series.clone().scatter(at, done)


PLAN = {"country": pl.String, "code": pl.String, "trunk": pl.String, "others": pl.Boolean, "plain": pl.Boolean}


def _national(numbers: pl.DataFrame) -> pl.Series:
    """National numbers as E.164; null where the country is unknown or the length is impossible there."""
    wanted = pl.col("national") & pl.col("country").is_not_null() & (pl.col("digits") != "")
    pairs = numbers.filter(wanted).select("country", "digits").unique()
    plans = pl.DataFrame(
        [_plan(country) for country in pairs["country"].unique()], {**PLAN, "lengths": pl.List(pl.Int64)}, orient="row"
    )
    digits, rest = pl.col("digits"), pl.col("rest")
    simple = pl.col("plain") & digits.str.contains("^[1-9]") & ~digits.str.starts_with(pl.col("code"))
    simple &= ~((pl.col("others") | (pl.col("trunk") == "1").fill_null(value=False)) & digits.str.starts_with("1"))
    trunk = pl.col("plain") & (
        ((pl.col("trunk") == "0") & digits.str.contains("^0[1-9]"))
        | ((pl.col("code") == "1") & digits.str.contains("^1[2-9][0-9]{9}$"))
    )
    pairs = pairs.join(plans, on="country", how="left").with_columns(
        pl.when(trunk).then(digits.str.slice(1)).when(simple).then(digits).alias("rest"), simple.alias("simple")
    )
    fits = pl.col("lengths").list.contains(rest.str.len_bytes().cast(pl.Int64))
    pairs = pairs.with_columns(pl.when(fits).then("+" + pl.col("code") + rest).alias("found"))
    open_ = pl.col("found").is_null() & ~pl.col("simple").fill_null(value=False)
    hard = pairs.filter(open_)
    asked = [_parsed(number, country) for country, number in hard.select("country", "digits").iter_rows()]
    answers = pl.concat([pairs.filter(~open_), hard.with_columns(pl.Series("found", asked, pl.String))])
    return numbers.join(answers, on=["country", "digits"], how="left", maintain_order="left")["found"]


@lru_cache(maxsize=300)
def _plan(country: str) -> tuple[str, str | None, str | None, bool, bool, list[int]]:
    """How a country's numbers are dialled, as rows of `PLAN` with the possible lengths.

    `plain`: nothing but the trunk prefix is ever taken off a number, except, where `others`, off numbers that begin with 1.
    """
    plan = phonenumbers.PhoneMetadata.metadata_for_region(country.upper())
    if plan is None:
        return country, None, None, False, False, []
    trunk, parsing, abroad = plan.national_prefix, plan.national_prefix_for_parsing, plan.international_prefix or ""
    others = "|" in abroad or (parsing is not None and bool(re.fullmatch(r"0\|1\d+|\(1.*\)\|0", parsing)))
    plain = (parsing == trunk or others) and abroad.startswith(("00", "011")) and not re.search(r"\|[^01]", abroad)
    plain &= plan.national_prefix_transform_rule is None and trunk in (None, "0", "1")
    # Countries that share a calling code share the lengths of the first of them.
    code = phonenumbers.country_code_for_region(country.upper())
    main = phonenumbers.PhoneMetadata.metadata_for_region(phonenumbers.region_code_for_country_code(code))
    lengths = main.general_desc.possible_length if main and main.general_desc else ()
    return country, str(code), trunk, others, plain, list(lengths)


@lru_cache(maxsize=100_000)
def _parsed(digits: str, country: str) -> str | None:
    try:
        number = phonenumbers.parse(digits, country.upper())
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
