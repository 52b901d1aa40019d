"""Addresses: the same syntax as email_validator on everything, one status with its reasons, and no look-up in vain."""

import polars as pl
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given, settings
from hypothesis import strategies as st

from touchline.model.address import cleaned
from touchline.model.errors import InvalidInput
from touchline.model.mail_domains import FREE, ROLES
from touchline.stages.addresses import ANSWERS, INVALIDATING, SPECIAL_USE, check_addresses, domains_to_resolve


def batch(*emails: str | None) -> pl.DataFrame:
    leads = pl.DataFrame({"email": emails}, schema={"email": pl.String})
    return leads.with_columns(email_domain=pl.col("email").str.extract(r"@([^@]*)$", 1))


def checked(leads: pl.DataFrame) -> list[tuple[str | None, str | None]]:
    """Status and reasons where every domain has a mail exchanger."""
    answers = dict.fromkeys(leads["email_domain"].drop_nulls(), "mx")
    return check_addresses(leads, answers).select("address_status", "address_reasons").rows()


def one(email: str, answer: str = "mx") -> tuple[str | None, str | None]:
    leads = batch(email)
    return check_addresses(leads, {leads["email_domain"][0]: answer})["address_status", "address_reasons"].row(0)


def library(email: str) -> str | None:
    """The reason that email_validator's answer amounts to."""
    host = email.partition("@")[2]
    if any(host == name or host.endswith("." + name) for name in SPECIAL_USE):
        return "special_use"
    try:
        found = validate_email(email, check_deliverability=False, strict=True)
    except EmailNotValidError:
        return "bad_syntax"
    return "non_ascii_local" if found.smtputf8 else None


NASTY = [
    "a@b.de",
    "a@b",
    "a@b.c",
    "a@b.c0m",
    "a@b.c9",
    "a@b.9c",
    "a@1.de",
    "a@b..de",
    "a@b.de.",
    "a@-b.de",
    "a@b-.de",
    "a@b.-de",
    "a@b.d-e",
    "a@b_c.de",
    "a@ab--c.de",
    "a@a--bc.de",
    "a@abc--d.de",
    "a@x.ab--c.de",
    "a@xn--bcher-kva.de",
    "a@xn--.de",
    "a@xn--a.de",
    "a@xn--bcher-kva.xn--p1ai",
    "a@bücher.de",
    "a@straße.de",
    "a@b.рф",
    "a@\u0131.de",
    "a@אב.com",
    "a@1.אב.com",
    "a@i❤.ws",
    "a@b。de",
    "a@b。test",
    "a@\u0301b.de",
    "a\u0301@b.de",
    "ü@b.de",
    "ü..a@b.de",
    "ü@b_c.de",
    "ü@b.test",
    "a\u200b@b.de",
    "a\ue000@b.de",
    ".a@b.de",
    "a.@b.de",
    "a..b@b.de",
    "a.b.c@b.de",
    "+@b.de",
    "a+@b.de",
    "-@b.de",
    "o'hara@b.de",
    "!#$%&'*+/=?^_`{|}~-@b.de",
    'a"b@b.de',
    '"a"@b.de',
    '"@b.de',
    "a" * 64 + "@b.de",
    "a" * 65 + "@b.de",
    "ü" * 64 + "@b.de",
    "ü" * 65 + "@b.de",
    "a@" + "b" * 63 + ".de",
    "a@" + "b" * 64 + ".de",
    "a@b." + "c" * 63,
    "a@b." + "c" * 64,
    "a@" + "ü" * 57 + ".de",
    "a@" + "ü" * 58 + ".de",
    "a@" + "b." * 125 + "de",
    "a@" + "b." * 126 + "de",
    "a@" + "b." * 127 + "de",
    "a@" + "b" * 63 + "." + "b" * 63 + "." + "b" * 63 + ".aa.bbb" + "c" * 50,
    "a" * 64 + "@" + "b" * 63 + "." + "b" * 63 + "." + "c" * 61,
    "a" * 64 + "@" + "b" * 63 + "." + "b" * 63 + "." + "c" * 62,
    "a" * 60 + "@" + "ü" * 40 + "." + "ü" * 40 + "." + "ü" * 40 + ".de",
    "a" * 64 + "@" + "bücher." * 9 + "de",
    "a" * 64 + "@" + "xn--bcher-kva." * 12 + "de",
    "a" * 64 + "@" + "xn--bcher-kva." * 13 + "de",
    "a" * 64 + "@" + "xn--bcher-kva." * 14 + "de",
    "a@localhost",
    "a@b.localhost",
    "a@localhost.de",
    "a@notlocalhost.de",
    "a@b.local",
    "a@b.test",
    "a@test.de",
    "a@test",
    "a@invalid",
    "a@b.onion",
    "a@b.arpa",
    "a@b.example",
    "a@example.com",
    "a@mail.example.org",
    "a@myexample.com",
    "a..b@b.test",
    "info@b..de",
]


@pytest.mark.parametrize("email", NASTY)
def test_the_answer_is_that_of_the_library(email):
    status, reasons = one(email)
    reason = library(email)
    assert (status, reasons) == (("invalid", f"|{reason}|") if reason else ("safe", None))


ANY = st.characters(codec="utf-8")
LONG = [letter * times for letter, times in (("b", 61), ("b", 62), ("b", 63), ("b", 64), ("ü", 57), ("ü", 58))]
LOCAL_PARTS = ["a", "1", ".", "-", "+", "_", "'", '"', "`", "~", "ü", "ß", "\u0301", "日", "\u200d", "a" * 62]
LOCALS = st.lists(st.sampled_from(LOCAL_PARTS) | ANY, min_size=1, max_size=5).map("".join)
PLAIN = ["a", "b-c", "-b", "b-", "_b", "a+b", "", "1", "0a", "a0", "test", "localhost", "example", "x--y", "ab--y"]
INTERNATIONAL = ["xn--bcher-kva", "xn--x", "bücher", "ß", "אב", "\u06f1", "\u0131", "日本"]
LABELS = st.sampled_from([*PLAIN, *INTERNATIONAL, *LONG]) | st.text(ANY, min_size=1, max_size=3)
ENDINGS = st.sampled_from(
    ["de", "com", "c0m", "a1", "x", "рф", "xn--p1ai", "test", "onion", "example", "com.", "", "z" * 63]
)


@given(st.lists(st.tuples(LOCALS, st.lists(LABELS, min_size=0, max_size=5), ENDINGS), min_size=1, max_size=30))
@settings(max_examples=120)
def test_near_the_limits_too_the_answers_are_those_of_the_library(parts):
    raw = pl.Series([f"{local}@{'.'.join([*labels, ending])}" for local, labels, ending in parts])
    emails = pl.select(cleaned(pl.lit(raw))).to_series().drop_nulls().to_list()
    faults = [
        next((tag for tag in INVALIDATING if tag in (reasons or "").split("|")), None)
        for _, reasons in checked(batch(*emails))
    ]
    assert dict(zip(emails, faults, strict=True)) == {email: library(email) for email in emails}


@pytest.mark.parametrize(
    ("email", "answer", "status", "reasons"),
    [
        ("anna@acme.de", "mx", "safe", None),
        ("anna@acme.de", "a", "risky", "|implicit_mx|"),
        ("anna@acme.de", "none", "invalid", "|no_mx|"),
        ("anna@acme.de", "nxdomain", "invalid", "|no_domain|"),
        ("anna@acme.de", "null_mx", "invalid", "|null_mx|"),
        ("anna@acme.de", "timeout", "unknown", "|dns_timeout|"),
        ("info@acme.de", "mx", "risky", "|role|"),
        ("info@acme.de", "timeout", "unknown", "|dns_timeout|role|"),
        ("info@acme.de", "none", "invalid", "|no_mx|role|"),
        ("info+lead@acme.de", "mx", "risky", "|role|"),
        ("informer@acme.de", "mx", "safe", None),
        ("anna+info@acme.de", "mx", "safe", None),
        ("customer.service@acme.de", "mx", "risky", "|role|"),
        ("customerxservice@acme.de", "mx", "safe", None),
        ("anna@gmail.com", "mx", "safe", "|free|"),
        ("anna@gmail.com", "timeout", "unknown", "|dns_timeout|free|"),
        ("anna@gmail.com", "a", "risky", "|free|implicit_mx|"),
        ("sales@gmx.de", "mx", "risky", "|free|role|"),
        ("anna@notgmail.com", "mx", "safe", None),
        ("anna@mailinator.com", "mx", "risky", "|disposable|"),
        ("anna@box.mailinator.com", "mx", "risky", "|disposable|"),
        ("anna@a.b.c.d.mailinator.com", "mx", "risky", "|disposable|"),
        ("anna@acmemailinator.com", "mx", "safe", None),
        ("anna@mailinator.com", "nxdomain", "invalid", "|disposable|no_domain|"),
        ("info@mailinator.com", "timeout", "unknown", "|disposable|dns_timeout|role|"),
        ("info@mailinator.com", "mx", "risky", "|disposable|role|"),
        ("jürgen@gmail.com", "mx", "invalid", "|non_ascii_local|"),
        ("info@acme.test", "mx", "invalid", "|special_use|"),
        ("in..fo@mailinator.com", "mx", "invalid", "|bad_syntax|"),
    ],
)
def test_the_worst_finding_decides_and_all_findings_are_named_in_order(email, answer, status, reasons):
    assert one(email, answer) == (status, reasons)


def test_a_domain_that_nobody_asked_for_is_unknown_and_not_safe():
    assert check_addresses(batch("anna@acme.de"), {}).rows()[0][2:] == ("unknown", "|dns_unasked|")


def test_a_lead_without_an_address_has_no_status():
    assert checked(batch(None, "a@b.de", None)) == [(None, None), ("safe", None), (None, None)]


def test_a_batch_without_any_address_or_row_is_fine():
    assert checked(batch(None)) == [(None, None)]
    assert check_addresses(batch(), {}).columns == ["email", "email_domain", "address_status", "address_reasons"]


def test_answers_may_come_as_a_frame_and_other_columns_stay_in_order():
    leads = batch("b@b.de", "a@a.de", "c@b.de").with_columns(key=pl.Series([3, 1, 2]), status=pl.lit("kept"))
    answers = pl.DataFrame({"domain": ["a.de", "b.de"], "answer": ["timeout", "mx"], "asked_at": [1, 2]})
    found = check_addresses(leads, answers)
    assert found["key"].to_list() == [3, 1, 2]
    assert found["status"].to_list() == ["kept"] * 3
    assert found["address_status"].to_list() == ["safe", "unknown", "safe"]


def test_a_second_check_replaces_the_first():
    leads = batch("anna@acme.de")
    again = check_addresses(check_addresses(leads, {"acme.de": "timeout"}), {"acme.de": "mx"})
    assert again.rows() == check_addresses(leads, {"acme.de": "mx"}).rows()


@pytest.mark.parametrize("answer", ["MX", "", None])
def test_an_answer_that_is_no_word_of_ours_is_refused(answer):
    with pytest.raises(InvalidInput, match="not an answer"):
        check_addresses(batch("anna@acme.de"), {"acme.de": answer})


@given(
    st.lists(
        st.sampled_from(
            [None, "a@b.de", "info@b.de", "ü@b.de", "a@gmail.com", "a..b@b.de", "a@b.test", "a@bücher.de", "a@x.de"]
        ),
        max_size=12,
    ),
    st.dictionaries(st.sampled_from(["b.de", "gmail.com", "bücher.de", "x.de"]), st.sampled_from(sorted(ANSWERS))),
    st.integers(0, 12),
)
@settings(max_examples=40)
def test_splitting_or_turning_a_batch_changes_no_answer(emails, mx, cut):
    whole = check_addresses(batch(*emails), mx)
    parts = pl.concat([check_addresses(batch(*emails[:cut]), mx), check_addresses(batch(*emails[cut:]), mx)])
    assert parts.equals(whole)
    assert check_addresses(batch(*emails[::-1]), mx).equals(whole.reverse())


def test_domains_are_asked_for_once_and_only_where_mail_could_go():
    leads = batch(
        "a@b.de", "c@b.de", None, "a@b..de", "a@c.test", "a@example.com", "a@localhost", "a@bücher.de", "ü@d.de"
    )
    assert domains_to_resolve(leads) == {"b.de", "bücher.de", "d.de"}


def test_every_domain_of_a_safe_address_was_worth_asking_for():
    leads = batch(*NASTY)
    asked = domains_to_resolve(leads)
    assert all(
        email.partition("@")[2] in asked
        for email, (status, _) in zip(NASTY, checked(leads), strict=True)
        if status == "safe"
    )


def test_free_domains_and_roles_are_written_as_addresses_are():
    assert {name.lower() for name in FREE} == FREE
    assert checked(batch(*(f"anna@{name}" for name in sorted(FREE)))).count(("safe", "|free|")) >= len(FREE) - 2
    assert checked(batch(*(f"{name}@acme.de" for name in sorted(ROLES)))) == [("risky", "|role|")] * len(ROLES)
