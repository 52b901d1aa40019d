"""Checks addresses: can they exist, does their domain take mail, and does one person read them. Pure, no look-ups."""

from collections.abc import Mapping
from functools import cache

import polars as pl
from disposable_email_domains import blocklist
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, ValidatedEmail, validate_email

from touchline.model.errors import InvalidInput
from touchline.model.mail_domains import FREE, ROLES

ANSWERS: dict[str, tuple[str, str | None]] = {
    "mx": ("safe", None),
    "a": ("risky", "implicit_mx"),
    "none": ("invalid", "no_mx"),
    "nxdomain": ("invalid", "no_domain"),
    "null_mx": ("invalid", "null_mx"),
    "timeout": ("unknown", "dns_timeout"),
    "unasked": ("unknown", "dns_unasked"),
}
"""Address status and reason that follow from what the DNS says of a domain."""

INVALIDATING = ("bad_syntax", "special_use", "non_ascii_local", "no_domain", "no_mx", "null_mx")
"""Reasons that make an address invalid; an invalid address has exactly one of them."""

SPECIAL_USE = (*SPECIAL_USE_DOMAIN_NAMES, "example", "example.com", "example.net", "example.org")
"""Names that never reach a mailbox (RFC 2606, 6761, 6762, 7686), with all names below them."""

_SPECIAL = r"(?:^|\.)(?:" + "|".join(name.replace(".", r"\.") for name in SPECIAL_USE) + ")$"
_ROLE = r"^(?:" + "|".join(sorted(ROLES)).replace(".", r"\.") + r")(?:\+[^@]*)?@"

# Exactly the plain addresses of RFC 5321: dot-atoms of at most 64 bytes (RFC 5322, 3.2.3) before the @, and after it
# host names of two or more labels of 1 to 63 letters, digits and inner hyphens (RFC 1123, 2.1), the last one ending
# in a letter. Labels with "--" in third place are reserved (RFC 5891, 4.2.3.1) unless they are international, "xn--".
_DOT_ATOM = r"^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@"
_HOST = r"^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z0-9][a-z0-9-]{0,61})?[a-z]$"
_RESERVED = r"(?:^|\.)[^.]{2}--"
_INTERNATIONAL = r"[^\x00-\x7f]|(?:^|\.)xn--"
_NON_ASCII_LOCAL = r"^[^@]*[^@\x00-\x7f][^@]*@"
_LOCAL_LIMIT, _HOST_LIMIT, _LIMIT = 64, 253, 254


@cache
def _disposable() -> pl.Series:
    """Made at first use: importing this module must cost nothing and start no thread."""
    return pl.Series(sorted(blocklist)).implode()


_LABELS = range(2, 1 + max(name.count(".") + 1 for name in blocklist))


def domains_to_resolve(leads: pl.DataFrame) -> set[str]:
    """The domains of a batch's addresses that are worth asking the DNS for: those that can exist and take mail."""
    domains = _domains(leads)
    return set(domains.filter(pl.col("bytes").is_not_null(), ~pl.col("special"))["email_domain"].to_list())


def check_addresses(leads: pl.DataFrame, mx: Mapping[str, str] | pl.DataFrame) -> pl.DataFrame:
    """Add `address_status` and `address_reasons`; both null where a lead has no address.

    Syntax is judged as `email_validator` does, without quoted names and address literals. The worst finding decides
    the status: invalid, then unknown, risky, safe. `free` and no finding leave an address safe.

    Args:
        leads: A batch with cleaned `email` and `email_domain` (see `touchline.model.address`).
        mx: What the DNS said, by domain, in the words of `ANSWERS`; or a frame of `domain` (each once) and `answer`.

    Raises:
        InvalidInput: An answer is not one of these words.
    """
    domains = _judged(_domains(leads), _answers(mx))
    facts = leads.select("email", "email_domain").join(domains, on="email_domain", how="left", maintain_order="left")
    facts = facts.with_columns(fault=_fault(facts), role=pl.col("email").str.contains(_ROLE))
    # Other findings say something only of an address that can exist, so a fault stands alone.
    faulty = pl.when(pl.col("fault").is_not_null())
    found = facts.select(
        address_status=faulty.then(pl.lit("invalid")).when("role").then("role_status").otherwise("status"),
        address_reasons=faulty.then("fault").when("role").then("role_reasons").otherwise("reasons"),
    )
    return leads.with_columns(found.get_columns())


def _answers(mx: Mapping[str, str] | pl.DataFrame) -> pl.DataFrame:
    """Answers as a frame of `email_domain` and `answer`."""
    if isinstance(mx, pl.DataFrame):
        given = mx.select(email_domain="domain", answer="answer")
    else:
        schema = {"email_domain": pl.String, "answer": pl.String}
        given = pl.DataFrame({"email_domain": list(mx), "answer": list(mx.values())}, schema=schema)
    strange = set(given["answer"].unique()) - ANSWERS.keys()
    if strange:
        raise InvalidInput(
            f"{min(map(str, strange))!r} is not an answer of the DNS.", hint=f"Answers are {', '.join(ANSWERS)}."
        )
    return given


def _domains(leads: pl.DataFrame) -> pl.DataFrame:
    """The batch's domains, each once.

    Gives `email_domain`, `bytes` (length of its longest form; null where no such name can exist) and `special`.
    """
    name = pl.col("email_domain")
    fits = name.str.contains(_HOST) & ~name.str.contains(_RESERVED) & (name.str.len_bytes() <= _HOST_LIMIT)
    domains = (
        leads.select(name.unique())
        .drop_nulls()
        .with_columns(
            bytes=pl.when(fits).then(name.str.len_bytes()),
            special=name.str.contains(_SPECIAL),
            international=name.str.contains(_INTERNATIONAL),
        )
    )
    odd = domains.filter("international")["email_domain"]
    longest = {domain: _longest_form(domain) for domain in odd}
    return domains.with_columns(
        bytes=pl.when("international")
        .then(name.replace_strict(longest, default=None, return_dtype=pl.UInt32))
        .otherwise("bytes")
    ).drop("international")


def _longest_form(domain: str) -> int | None:
    found = _validated(f"a@{domain}")
    return max(len(form.encode()) for form in (domain, found.domain, found.ascii_domain)) if found else None


def _validated(email: str) -> ValidatedEmail | None:
    try:
        return validate_email(email, check_deliverability=False, strict=True)
    except EmailNotValidError:
        return None


def _judged(domains: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Add status and reasons of each domain, for personal addresses and for those of a role."""
    meaning = pl.DataFrame(
        [(word, *found) for word, found in ANSWERS.items()], schema=["answer", "status", "reason"], orient="row"
    )
    name = pl.col("email_domain")
    # A throw-away domain makes those below it throw-away too.
    parents = [name.str.extract(rf"((?:[^.]+\.){{{labels - 1}}}[^.]+)$") for labels in _LABELS]
    disposable = pl.any_horizontal(parent.is_in(_disposable()) for parent in parents)
    tags = pl.concat_list(
        pl.when("disposable").then(pl.lit("disposable")),
        pl.when(name.is_in(FREE)).then(pl.lit("free")),
        "reason",
    ).list.drop_nulls()
    risky = pl.when(pl.col("status") == "safe").then(pl.lit("risky")).otherwise("status")
    return (
        domains.join(answers, on="email_domain", how="left", validate="m:1")
        .with_columns(pl.col("answer").fill_null("unasked"))
        .join(meaning, on="answer", how="left")
        .with_columns(disposable=disposable)
        .with_columns(
            status=pl.when("disposable").then(risky).otherwise("status"),
            role_status=risky,
            reasons=_bars(tags),
            role_reasons=_bars(pl.concat_list(tags, pl.lit("role"))),
        )
    )


def _bars(tags: pl.Expr) -> pl.Expr:
    """Lists of words in the form of TAGS, in order; null where there are none."""
    return pl.when(tags.list.len() > 0).then("|" + tags.list.sort().list.join("|") + "|")


def _fault(facts: pl.DataFrame) -> pl.Expr:
    """The finding that no answer of the DNS can mend, in the form of TAGS; null where there is none, or no address."""
    email = pl.col("email")
    local = email.str.len_bytes() - pl.col("email_domain").str.len_bytes() - 1
    fits = email.str.contains(_DOT_ATOM) & (local <= _LOCAL_LIMIT) & (local + 1 + pl.col("bytes") <= _LIMIT)
    odd = facts.filter(pl.col("bytes").is_not_null(), email.str.contains(_NON_ASCII_LOCAL))["email"].unique()
    needs_smtputf8 = [address for address in odd if _validated(address)]
    return (
        pl.when(email.is_null())
        .then(None)
        .when("special")
        .then(pl.lit("|special_use|"))
        .when(fits)
        .then(None)
        .when(email.is_in(needs_smtputf8))
        .then(pl.lit("|non_ascii_local|"))
        .otherwise(pl.lit("|bad_syntax|"))
    )
