"""E-mail addresses as identities: one cleaning and one base address, used by harvest and suppression alike."""

import re
from collections.abc import Sequence

import polars as pl

GMAIL = ("gmail.com", "googlemail.com")
"""Gmail ignores dots in the local part and treats both domains as one (support.google.com/mail/answer/7436150)."""

SHAPE = r"^[^\s@,;:<>()\[\]\\\x00-\x20\x7f]+@[^\s@,;:<>()\[\]\\\x00-\x20\x7f.][^\s@,;:<>()\[\]\\\x00-\x20\x7f]*$"
"""What may stand as an address at all: one @, something on both sides, nothing that could open a second recipient."""

PLAIN = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*@[a-z0-9-]+(\.[a-z0-9-]+)+")


def cleaned(expr: pl.Expr) -> pl.Expr:
    """The address inside what people paste: `mailto:`, angle brackets, quotes and outer punctuation removed, lower case.

    Gives null where what is left does not have the shape of an address.
    """
    text = expr.str.normalize("NFKC").str.strip_chars()
    inner = text.str.extract(r"<([^<>]*)>\s*$", 1).fill_null(text)
    bare = inner.str.replace(r"(?i)^mailto:", "").str.replace(r"\?.*$", "").str.strip_chars(" \t\r\n\"'.,;:<>")
    lower = bare.str.to_lowercase()
    return pl.when(lower.str.contains(SHAPE)).then(lower)


def base_address(expr: pl.Expr) -> pl.Expr:
    """The address that identifies a person: tags removed, and dots too where Gmail ignores them.

    Args:
        expr: Cleaned addresses (see `cleaned`); null stays null.
    """
    local = expr.str.extract(r"^(.*)@", 1)
    host = expr.str.extract(r"@([^@]*)$", 1)
    # "+tag@x" has an empty name before its tag: keep it whole rather than give everyone at x one identity.
    untagged = local.str.replace(r"^([^+]+)\+.*$", "${1}")
    gmail = host.is_in(list(GMAIL))
    undotted = untagged.str.replace_all(".", "", literal=True)
    return pl.when(gmail).then(undotted + "@gmail.com").otherwise(untagged + "@" + host)


def base_address_of(text: str) -> str | None:
    """`base_address` of one raw string, by the same code; None where it is not an address."""
    return base_addresses_of([text])[0]


def base_addresses_of(texts: Sequence[str]) -> list[str | None]:
    """`base_address` of raw strings, by the same code; None for what is not an address."""
    odd = [text for text in texts if not _is_plain(text)]
    if not odd:
        return list(texts)
    column = pl.DataFrame({"text": odd}, schema={"text": pl.String}).select(base_address(cleaned(pl.col("text"))))
    found = dict(zip(odd, column.to_series(), strict=True))
    return [found.get(text, text) for text in texts]


def _is_plain(text: str) -> bool:
    """Nothing in it is cleaned or removed. Most addresses are such, and a column of one takes a millisecond to make."""
    return PLAIN.fullmatch(text) is not None and not text.endswith(GMAIL)
