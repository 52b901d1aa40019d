"""What a reader gets back from composed messages, and what can never get in."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import compat32, default
from email.utils import parseaddr
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchline.model.campaign import Sender
from touchline.model.errors import InvalidInput, Refused
from touchline.stages.send import (
    Letter,
    compose,
    footer,
    html_of,
    lines,
    message_id,
    message_ids,
    one_line,
    plain_address,
    with_footer,
)

LETTER = Letter(
    sender_address="bob@acme.test",
    sender_name="Bob Builder",
    recipient="ada@example.com",
    recipient_name="Ada Lovelace",
    subject="Engines",
    text="Hello Ada,\n\nshort lines.\n",
    html=None,
    message_id="<0a1b@acme.test>",
    references=(),
    unsubscribe_mailto="mailto:bob@acme.test?subject=unsubscribe",
    unsubscribe_url=None,
    date=datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
)
SENDER = Sender(company="Acme Ltd", postal_address="1 High Street\nLeeds", opt_out="Reply with no thanks.")

NASTY = (
    "\r\nBcc: eve@evil.test", "\n.\n", "\r", "\n", "\x00", "=?utf-8?q?x?=", "=_", " ", "\t", "a" * 1200, "é" * 90, "🐎🐎",
    "שלום", "\u2028", "\x85", "\ud800", '"', "\\", "<eve@evil.test>", ",", ";", "From ", "(c)", "--",
)  # fmt: skip
# Everything a lead's file can hold, lone surrogates too, and what an attacker would put there.
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=())),
    st.text(st.characters(max_codepoint=127)),
    st.lists(st.sampled_from(NASTY)).map("".join),
)


def parsed(letter: Letter) -> EmailMessage:
    return cast("EmailMessage", BytesParser(policy=default).parsebytes(compose(letter)))


def display_name(header: str) -> str:
    """Not `policy.default`, which in Python 3.11 puts a space between encoded words (RFC 2047, 6.2 has none)."""
    return str(make_header(decode_header(parseaddr(header)[0])))


def bodies(message: EmailMessage) -> list[str]:
    return [part.get_content().replace("\r\n", "\n") for part in message.iter_parts()]


@given(TEXT, TEXT, TEXT, TEXT, st.none() | TEXT)
def test_any_text_comes_back_equal_and_opens_no_second_header_or_recipient(sender_name, name, subject, text, html):
    letter = replace(LETTER, sender_name=sender_name, recipient_name=name, subject=subject, text=text, html=html)
    message, raw = parsed(letter), BytesParser(policy=compat32).parsebytes(compose(letter))

    assert message["subject"] == one_line(subject)
    for header, phrase, address in (("from", sender_name, "bob@acme.test"), ("to", name, "ada@example.com")):
        (only,) = message[header].addresses
        assert only.addr_spec == address
        assert display_name(raw[header]) == one_line(phrase)
    assert bodies(message) == [lines(text), lines(html) if html is not None else html_of(lines(text))]
    assert [key for key, _ in message.items()] == [
        "From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "MIME-Version", "Content-Type"
    ]  # fmt: skip
    assert not message.defects
    assert not any(part.defects for part in message.iter_parts())


@given(TEXT, TEXT, TEXT, st.none() | TEXT)
def test_the_wire_sees_ascii_with_crlf_and_no_line_that_a_relay_would_cut(name, subject, text, html):
    content = compose(replace(LETTER, recipient_name=name, subject=subject, text=text, html=html))

    assert content.isascii()
    assert content.endswith(b"\r\n")
    assert content.count(b"\r\n") == content.count(b"\r") == content.count(b"\n")
    assert max(map(len, content.split(b"\r\n"))) <= 78


@given(TEXT, TEXT)
def test_equal_letters_are_equal_bytes(subject, text):
    letter = replace(LETTER, subject=subject, text=text)

    assert compose(letter) == compose(replace(letter))


@given(TEXT)
def test_normalising_twice_is_normalising_once(text):
    assert one_line(one_line(text)) == one_line(text)
    assert lines(lines(text)) == lines(text)
    assert not re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", one_line(text))


@given(st.text(st.characters(max_codepoint=127)).filter(lambda text: "=" not in text))
def test_short_ascii_lines_travel_as_they_are(text):
    short = "\n".join(line.rstrip()[:76].rstrip() for line in lines(text).split("\n"))
    content = compose(replace(LETTER, text=short))

    assert lines(short).replace("\n", "\r\n").encode() in content


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("short", "7bit"),
        ("a long line " * 20, "quoted-printable"),
        ("a signature\n-- \nBob", "quoted-printable"),
        ("a tab at the end\t\nBob", "quoted-printable"),
        ("--=_" + "0" * 24, "quoted-printable"),
        ("Grüße aus Köln an alle Kollegen im Norden", "quoted-printable"),
        ("Добрый день", "base64"),
    ],
)
def test_each_text_takes_the_encoding_that_fits_it(text, encoding):
    plain = next(parsed(replace(LETTER, text=text)).iter_parts())

    assert plain["content-transfer-encoding"] == encoding
    assert plain.get_content().replace("\r\n", "\n") == text + "\n"


def test_a_long_plain_subject_is_folded_at_its_spaces():
    subject = "How others build " + "many very good engines " * 8
    content = compose(replace(LETTER, subject=subject))

    assert b"Subject: How others build many very good engines" in content
    assert parsed(replace(LETTER, subject=subject))["subject"] == subject.strip()


def test_a_long_name_and_a_long_address_stand_on_lines_of_their_own():
    address = "a" * 60 + "@" + "b" * 60 + ".test"
    (only,) = parsed(replace(LETTER, recipient=address, recipient_name="Ada King, Countess"))["to"].addresses

    assert (only.display_name, only.addr_spec) == ("Ada King, Countess", address)


def test_text_comes_before_html_and_the_html_given_is_kept():
    message = parsed(replace(LETTER, html="<html><body><p>Hello</p></body></html>"))

    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert bodies(message)[1] == "<html><body><p>Hello</p></body></html>\n"


def test_html_made_from_text_escapes_it_and_links_web_addresses():
    html = html_of(
        "a <b> & c\nsee http://x.test/?a=1&b=2, (https://y.test) or http://z.test/a_(b).\n\n \n\njavascript:x\n"
    )

    assert "<p>a &lt;b&gt; &amp; c<br>\nsee " in html
    assert '<a href="http://x.test/?a=1&amp;b=2">http://x.test/?a=1&amp;b=2</a>, (' in html
    assert '<a href="https://y.test">https://y.test</a>) or ' in html
    assert '<a href="http://z.test/a_(b)">http://z.test/a_(b)</a>.</p>' in html
    assert "<p>javascript:x</p>" in html


def test_the_date_keeps_its_instant_and_offset():
    date = datetime(2026, 3, 2, 9, 30, tzinfo=timezone(timedelta(hours=-5)))

    assert parsed(replace(LETTER, date=date))["date"].datetime == date


def test_a_follow_up_names_the_whole_thread_and_answers_its_last_message():
    thread = tuple(f"<{n:032x}@acme.test>" for n in range(7))
    message = parsed(replace(LETTER, references=thread))

    assert message["in-reply-to"] == thread[-1]
    assert tuple(message["references"].split()) == thread
    assert message["message-id"] == LETTER.message_id


def test_opt_out_by_mail_only_is_not_one_click():
    message = parsed(LETTER)

    assert message["list-unsubscribe"] == "<mailto:bob@acme.test?subject=unsubscribe>"
    assert "list-unsubscribe-post" not in message


def test_opt_out_by_https_comes_first_and_is_one_click():
    message = parsed(replace(LETTER, unsubscribe_url="https://out.test/u/abc.def"))

    assert message["list-unsubscribe"] == ("<https://out.test/u/abc.def>, <mailto:bob@acme.test?subject=unsubscribe>")
    assert message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "@example.com",
        "ada@",
        "ada@example.com, eve@evil.test",
        "ada@example.com\r\nRCPT TO:<eve@evil.test>",
        "ada@example.com\n",
        "ada@example.com> <eve@evil.test",
        "<ada@example.com>",
        "Ada <ada@example.com>",
        "ada@eve@example.com",
        "ada;eve@example.com",
        "ada(x)@example.com",
        '"ada b"@example.com',
        "ada b@example.com",
        ".ada@example.com",
        "ada..b@example.com",
        "ada@-example.com",
        "ada@example..com",
        "ada@[127.0.0.1]",
        "ädi@example.com",
        "ada@exämple.com",
        "a" * 65 + "@example.com",
        "ada@" + "b.c" * 90 + ".test",
        "ada@" + "b" * 64 + ".test",
    ],
)
def test_an_address_that_is_not_one_plain_mailbox_is_refused(address):
    for change in ({"recipient": address}, {"sender_address": address}):
        with pytest.raises(InvalidInput, match="not an address that mail can be sent to"):
            compose(replace(LETTER, **change))


@given(TEXT)
def test_what_passes_as_an_address_holds_nothing_that_ends_it(text):
    for candidate in (text, f"ada@{text}", f"{text}@example.com"):
        try:
            accepted = plain_address(candidate)
        except InvalidInput:
            continue
        assert re.fullmatch(r"[^\s,;:<>()\[\]\"\\@]+@[A-Za-z0-9.-]+", accepted, re.ASCII)


@pytest.mark.parametrize(
    "address", ["ada+tag@example.com", "o'hara@mail.example.co.uk", "a@localhost", "x_y=z@xn--e1afmkfd.test"]
)
def test_plain_addresses_pass_unchanged(address):
    assert plain_address(address) == address


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"message_id": "<a@b>\r\nBcc: eve@evil.test"}, "not a Message-ID"),
        ({"message_id": "a@b"}, "not a Message-ID"),
        ({"message_id": f"<{'a' * 121}@b>"}, "not a Message-ID"),
        ({"references": ("<a@b>", "<a@b> <c@d>")}, "not a Message-ID"),
        ({"unsubscribe_mailto": "bob@acme.test"}, "not a mailto: link"),
        ({"unsubscribe_mailto": "mailto:bob@acme.test>, <https://evil.test"}, "not a mailto: link"),
        ({"unsubscribe_url": "http://out.test/u"}, "one-click"),
        ({"unsubscribe_url": "https://out.test/u\r\nBcc: eve@evil.test"}, "one-click"),
        ({"date": datetime(2026, 3, 2)}, "has no offset"),  # noqa: DTZ001 - that is the fault
    ],
)
def test_what_could_not_stand_in_its_header_is_refused(change, message):
    with pytest.raises(InvalidInput, match=message):
        compose(replace(LETTER, **change))


def test_the_footer_has_the_opt_out_its_link_the_company_and_the_postal_address():
    assert footer(SENDER, "https://out.test/u/abc") == (
        "Reply with no thanks.\nhttps://out.test/u/abc\n\nAcme Ltd\n1 High Street\nLeeds"
    )
    assert footer(SENDER.model_copy(update={"company": ""}), None) == "Reply with no thanks.\n\n1 High Street\nLeeds"


@pytest.mark.parametrize("missing", ["opt_out", "postal_address"])
def test_no_message_goes_without_opt_out_and_postal_address(missing):
    with pytest.raises(Refused, match="visible opt-out and a postal address"):
        footer(SENDER.model_copy(update={missing: " \n"}), None)


@pytest.mark.parametrize(
    ("html", "before", "after"),
    [
        ("<html><body><p>Hi</p></BODY ></html>", "<html><body><p>Hi</p>", "</BODY ></html>"),
        ("<p>Hi</p>", "<p>Hi</p>", ""),
        ("<body><p>write &lt;/body&gt;</p></body></body>", "<body><p>write &lt;/body&gt;</p></body>", "</body>"),
    ],
)
def test_both_parts_end_with_the_footer(html, before, after):
    text, whole = with_footer("Hi\n\n\n", html, SENDER, "https://out.test/?a=1&b=2")

    assert text == "Hi\n\n" + footer(SENDER, "https://out.test/?a=1&b=2") + "\n"
    assert whole == (
        before
        + '\n<p>Reply with no thanks.<br>\n<a href="https://out.test/?a=1&amp;b=2">https://out.test/?a=1&amp;b=2</a></p>\n'
        + "<p>Acme Ltd<br>\n1 High Street<br>\nLeeds</p>\n"
        + after
    )


def test_html_made_from_text_has_the_footer_too():
    text, html = with_footer("Hi", None, SENDER, None)

    assert html is None
    assert all("Reply with no thanks." in body for body in bodies(parsed(replace(LETTER, text=text, html=html))))


def test_a_message_id_is_stable_and_differs_for_whatever_differs():
    same = (b"secret", "spring", "ada@example.com", 1, "acme.test")
    ids = {
        message_id(*same),
        message_id(b"other", *same[1:]),
        message_id(b"secret", "autumn", *same[2:]),
        message_id(b"secret", "spring", "bob@example.com", 1, "acme.test"),
        message_id(b"secret", "spring", "ada@example.com", 2, "acme.test"),
    }

    assert message_id(*same) == message_id(*same)
    assert len(ids) == 5
    assert all(re.fullmatch(r"<[0-9a-f]{32}@acme\.test>", one) for one in ids)
    assert parsed(replace(LETTER, message_id=message_id(*same)))["message-id"] == message_id(*same)


@given(st.lists(st.text()), st.integers(0, 50))
def test_many_message_ids_are_the_single_ones(identities, step):
    assert message_ids(b"key", "spring", identities, step, "acme.test") == [
        message_id(b"key", "spring", identity, step, "acme.test") for identity in identities
    ]


def test_message_ids_without_a_secret_are_refused():
    with pytest.raises(InvalidInput, match="need a secret"):
        message_id(b"", "spring", "ada@example.com", 1, "acme.test")
