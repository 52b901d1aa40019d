"""Companies: names without their legal form, registrable domains, and the account key made of them."""

import functools
import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING

import polars as pl
from cleanco.clean import custom_basename, normalized, prepare_default_terms, strip_punct

from touchline.model.mail_domains import FREE
from touchline.stages.normalise.text import (
    VALUE,
    clean,
    compute,
    distinct,
    each,
    either,
    folded,
    only,
    repaired,
    settled,
    words,
)

if TYPE_CHECKING:
    from tldextract import TLDExtract

ARTICLES = ("", "the", "a", "die", "das", "der")
"""What may not be left of a name: "The Company" and "GmbH" would be nothing without their last word."""

BEHIND = " ,;:!?)]}\"'*-\u2013"
"""What may stand behind the last word of a name."""


@functools.cache
def _forms() -> dict[str, list[tuple[int, int, list[str]]]]:
    """cleanco's terms, with their place and size, by their last word."""
    found: dict[str, list[tuple[int, int, list[str]]]] = {}
    for place, (size, term) in enumerate(prepare_default_terms()):
        found.setdefault(term[-1], []).append((place, size, term))
    return found


@functools.cache
def _form_words() -> tuple[list[str], list[str]]:
    """Forms of one word, and all words of all forms."""
    terms = [term for many in _forms().values() for _, _, term in many]
    return sorted({term[0] for term in terms if len(term) == 1}), sorted({word for term in terms for word in term})


def company(series: pl.Series) -> pl.Series:
    """Company names without the legal forms at their end; long words mended in names all in capitals."""
    return distinct(series, lambda part: settled(part, _company))


def _company(series: pl.Series) -> pl.Series:
    names = clean(series)
    last = _last_word(names)
    odd = last.is_in(list(_forms())) | last.str.contains(r"[^\x00-\x7f]")
    names = repaired(names, odd, _without_form)
    shouted = names.str.contains(r"^[^\p{Ll}]*\p{Lu}[^\p{Ll}]*$") & (names.str.len_chars() > 4)
    return repaired(names, shouted, lambda part: each(part, _quietened))


def _last_word(names: pl.Series) -> pl.Series:
    """As cleanco compares it: without the punctuation inside and behind it."""
    word = VALUE.str.strip_chars_end(BEHIND).str.extract(r"\S+$", 0)
    return compute(names, word.str.replace_all(r"[^.\w]+$|[.,-]", "").str.to_lowercase())


def _without_form(part: pl.Series) -> pl.Series:
    """A form of one word is taken off by expression where no other can stand before it, all else by cleanco."""
    single, every = _form_words()
    rest = compute(part, VALUE.str.strip_chars_end(BEHIND).str.replace(r" \S+$", "").str.strip_chars_end(BEHIND))
    simple = _last_word(part).is_in(single) & ~_last_word(rest).is_in(every) & rest.str.contains(r"[A-Za-z0-9]$")
    simple &= ~rest.str.to_lowercase().is_in(ARTICLES) & ~part.str.contains("(", literal=True)
    return repaired(rest.zip_with(simple, part), ~simple, lambda hard: each(hard, _basename))


@lru_cache(maxsize=100_000)
def _basename(name: str) -> str:
    """`cleanco.basename`, asked only about the forms whose last word is in the name: the same answer, sooner."""
    forms = _forms()
    near = sorted(
        term for word in {strip_punct(word) for word in normalized(name).split()} for term in forms.get(word, ())
    )
    found: str = custom_basename(name, [(size, term) for _, size, term in near])
    if found.count("(") > found.count(")"):
        found += ")"
    return name if found.casefold() in ARTICLES else found


def _quietened(name: str) -> str:
    """Words of four letters and more made small, unless they cannot be spoken: then they are acronyms."""
    return re.sub(r"[^\W\d_]{4,}", lambda m: m[0].capitalize() if re.search("[AEIOUYÄÖÜÅØÉ]", m[0]) else m[0], name)


NO_COMPANY = frozenset(
    words(
        "linkedin.com facebook.com twitter.com x.com instagram.com xing.com youtube.com github.com github.io crunchbase.com "
        "linktr.ee google.com goo.gl bit.ly wixsite.com wordpress.com blogspot.com weebly.com squarespace.com medium.com "
        "t.co tiktok.com about.me notion.site"
    )
)
"""Hosts of pages about someone: as a company's domain they would make one account of everybody there."""

HOST = r"^(?:[a-z][a-z0-9+.-]*:/*)?(?:[^/@\s]*@)?([^/:?#\s@]+)"
SIMPLE = r"^[a-z0-9][a-z0-9-]*\.[a-z]{2,}$"


def domain(websites: pl.Series, email_domains: pl.Series) -> pl.Series:
    """Registrable domains of companies, from their website, else from an address that is not at a free provider."""
    own = distinct(websites, _own)
    mail = registrable(only(email_domains, own.is_null() & ~email_domains.is_in(list(FREE))))
    return either(own, only(mail, ~mail.is_in(list(FREE))))


def _own(websites: pl.Series) -> pl.Series:
    hosts = registrable(repaired(websites, ~websites.str.contains(SIMPLE), _hosts))
    return only(hosts, ~hosts.is_in(list(FREE | NO_COMPANY)))


def _hosts(part: pl.Series) -> pl.Series:
    return compute(
        folded(clean(part)), VALUE.str.strip_prefix("https://").str.strip_prefix("www.").str.extract(HOST, 1)
    )


@functools.cache
def _suffixes() -> "tuple[TLDExtract, pl.Series, str]":
    """The bundled public suffix list, its rules of two labels, and a pattern of the endings with wildcard rules."""
    from tldextract import TLDExtract  # it brings an HTTP client along

    extract = TLDExtract(suffix_list_urls=(), cache_dir=None)
    rules = extract.tlds
    wild = sorted({rule.rsplit(".", 1)[-1] for rule in rules if "*" in rule})
    return extract, pl.Series([rule for rule in rules if rule.count(".") == 1]), rf"\.(?:{'|'.join(wild)})$"


def registrable(hosts: pl.Series) -> pl.Series:
    """Hosts as registrable domains by the public suffix list (publicsuffix.org); null where there is none."""
    _, pairs, wild = _suffixes()
    plain = hosts.str.contains(SIMPLE) & ~hosts.is_in(pairs.implode()) & ~hosts.str.contains(wild)
    return repaired(hosts, ~plain, lambda part: each(part, _registrable))


@lru_cache(maxsize=100_000)
def _registrable(host: str) -> str | None:
    bare = host.strip(".").removeprefix("www.")
    labels = bare.split(".")
    if len(labels) < 2 or not all(labels) or re.search(r"[^\w.-]", bare) or _is_number(bare):
        return None
    parts = _suffixes()[0](bare)
    if parts.suffix:
        return f"{parts.domain}.{parts.suffix}" if parts.domain else None
    # "If no rules match, the prevailing rule is *" (publicsuffix.org/list).
    return ".".join(labels[-2:])


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def account(domains: pl.Series, companies: pl.Series) -> pl.Series:
    """Keys of companies: their domain, else their folded name."""
    return either(domains, folded(companies))
