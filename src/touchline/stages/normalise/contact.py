"""Ways to reach a person: e-mail address and public profile in one form each."""

import unicodedata
from urllib.parse import unquote

import polars as pl

from touchline.model.address import GMAIL, base_address, cleaned
from touchline.stages.normalise.text import LATIN, VALUE, clean, compute, each, either, folded, only, repaired

PLAIN_ADDRESS = r"^[A-Za-z0-9][A-Za-z0-9._%-]*@[A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z]{2,}$"
"""Addresses that cleaning would only put in lower case."""

LONGEST_ADDRESS = 254
"""RFC 5321, 4.5.3.1.3, as corrected by its erratum 1690. A cut address would be another person's."""

LONGEST_KEY = 300
"""Keys longer than this are refused, not cut: two people could share the beginning."""


def email(series: pl.Series) -> pl.Series:
    """Addresses as `address.cleaned` gives them; null where there is none or it is no address."""
    odd = ~series.str.contains(PLAIN_ADDRESS)
    lower = repaired(series, odd, lambda part: compute(clean(part, 2_000), cleaned(VALUE))).str.to_lowercase()
    return compute(lower, pl.when(VALUE.str.len_bytes() <= LONGEST_ADDRESS).then(VALUE))


def base(addresses: pl.Series) -> pl.Series:
    """`address.base_address` of cleaned addresses; only those with a tag or at Gmail differ from themselves."""
    odd = addresses.str.contains("+", literal=True)
    for host in GMAIL:
        odd |= addresses.str.ends_with(f"@{host}")
    return repaired(addresses, odd, lambda part: compute(part, base_address(VALUE)))


def host(addresses: pl.Series) -> pl.Series:
    """What stands after the @ of cleaned addresses."""
    return addresses.str.split_exact("@", 1).struct.field("field_1")


def key(series: pl.Series) -> pl.Series:
    """A source's own key, as given: some systems tell keys apart by case alone."""
    return compute(clean(series, LONGEST_KEY + 1), pl.when(VALUE.str.len_chars() <= LONGEST_KEY).then(VALUE))


PROFILE = r"^[^\s/@:.]+(?:\.[^\s/@:.]+)*\.[a-z]{2,}(?:/+[^\s/]+)+$"
"""A host with a dot and a path below it."""

PERSON = rf"^linkedin\.com/in/[[a-z0-9{LATIN}-]--[\u00d7\u00f7]--\p{{Lu}}]{{1,200}}$"
"""The form that most profiles have once scheme and host prefix are off."""

LINKEDIN = r"^(?:[a-z0-9-]+\.)?linkedin\.com/"


def profile_url(series: pl.Series) -> pl.Series:
    """Profiles as `host/path` in lower case, without scheme, www, query, fragment and trailing slash; else null.

    LinkedIn's national and mobile hosts are one; its pages that are no person's give null.
    """
    bare = VALUE.str.to_lowercase().str.strip_prefix("https://").str.strip_prefix("http://").str.strip_prefix("www.")
    plain = compute(series, bare.str.strip_suffix("/"))
    done = plain.str.contains(PERSON)
    return plain if done.all() else either(only(plain, done), _profile(only(series, ~done)))


def _profile(series: pl.Series) -> pl.Series:
    page = (
        VALUE.str.replace(r"^[a-z]+:/*", "")
        .str.strip_prefix("www.")
        .str.replace(r"[?#].*$", "")
        .str.strip_chars_end("/")
    )
    found = compute(folded(clean(series, 2_000)), page)
    found = only(found, found.str.contains(PROFILE) & (found.str.len_chars() <= LONGEST_KEY))
    found = repaired(found, found.str.contains("%", literal=True), lambda part: each(part, _decoded))
    return repaired(found, found.str.contains(LINKEDIN), _linkedin)


def _decoded(url: str) -> str:
    """Percent-encoding undone where that gives letters (RFC 3986, 2.1), and left where it hides anything else."""
    try:
        text = unicodedata.normalize("NFKC", unquote(url, errors="strict")).lower()
    except UnicodeDecodeError:
        return url
    hidden = any(c in "%?#@" or c.isspace() or not c.isprintable() for c in text) or text.count("/") != url.count("/")
    return url if hidden else text


def _linkedin(part: pl.Series) -> pl.Series:
    person = VALUE.str.extract(LINKEDIN + r"((?:in|sales/lead|sales/people)/[^/]+|pub/.+)", 1)
    return compute(part, "linkedin.com/" + person)
