"""Composing: one rendered text becomes the exact bytes that go over SMTP, the same bytes each time."""

import binascii
import hashlib
import html as markup
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

import idna

from touchline.model.campaign import Sender
from touchline.model.errors import InvalidInput, Refused
from touchline.model.template import one_line

LINE = 76
"""Longest line written by choice: RFC 2045, 6.7 and RFC 2047, 2. RFC 5322, 2.1.1 would allow 998."""

ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ADDRESS = re.compile(rf"(?=.{{3,254}}\Z)(?=[^@]{{1,64}}@){ATOM}(?:\.{ATOM})*@{LABEL}(?:\.{LABEL})*")
MESSAGE_ID = re.compile(r"<[!-;=?A-~]{1,120}@[!-;=?A-~]{1,255}>")
HTTPS = re.compile(r"https://[!-;=?-~]{1,900}")
MAILTO = re.compile(r"mailto:[!-;=?-~]{1,900}")

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]+")
PLAIN = re.compile(r"[ -~]*")
ATOMS = re.compile(rf"{ATOM}(?: {ATOM})*")
LINK = re.compile(r"https?://[^\s<>\"']+")


@dataclass(frozen=True, slots=True)
class Letter:
    """One message, rendered and addressed, before it becomes bytes.

    Args:
        recipient_name: May be empty.
        html: None makes the HTML part from the text.
        message_id: `<token@domain>`, see `message_id`.
        references: Message-IDs of the earlier messages of the thread, oldest first.
        unsubscribe_mailto: A `mailto:` URI (RFC 6068).
        unsubscribe_url: An `https:` URL that acts on a POST (RFC 8058), where there is one.
        date: Aware.
    """

    sender_address: str
    sender_name: str
    recipient: str
    recipient_name: str
    subject: str
    text: str
    html: str | None
    message_id: str
    references: tuple[str, ...]
    unsubscribe_mailto: str
    unsubscribe_url: str | None
    date: datetime


def compose(letter: Letter) -> bytes:
    """The message as RFC 5322 bytes with CRLF line ends: multipart/alternative, text first, then HTML.

    Equal letters give equal bytes. Subject and names are normalised by `one_line`, the bodies by `lines`;
    apart from that a reader gets back what was put in. No line is longer than 998 octets.

    Raises:
        InvalidInput: An address that is not a plain ASCII mailbox (RFC 5321, 4.1.2, without quoted local
            parts and address literals), a Message-ID or an opt-out link that could not stand in its header,
            or a naive date.
    """
    boundary = "=_" + hashlib.blake2b(letter.message_id.encode(), digest_size=12).hexdigest()
    text = lines(letter.text)
    html = lines(letter.html) if letter.html is not None else html_of(text)
    head = [
        _mailbox("From", letter.sender_name, letter.sender_address),
        _mailbox("To", letter.recipient_name, letter.recipient),
        _unstructured("Subject", letter.subject),
        f"Date: {format_datetime(_aware(letter.date))}",
        f"Message-ID: {_id(letter.message_id)}",
        *_thread(letter.references),
        *_unsubscribe(letter.unsubscribe_mailto, letter.unsubscribe_url),
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
    ]
    opening = b"\r\n--" + boundary.encode()
    return b"".join(
        (
            "\r\n".join(head).encode("ascii"),
            b"\r\n" + opening + b"\r\n",
            _part("plain", text),
            opening + b"\r\n",
            _part("html", html),
            opening + b"--\r\n",
        )
    )


def lines(text: str) -> str:
    """Text for a body: line ends become LF, other control characters than TAB go, one LF ends it."""
    unix = _whole(text).replace("\r\n", "\n").replace("\r", "\n")
    return CONTROLS.sub("", unix).rstrip("\n") + "\n"


def _whole(text: str) -> str:
    """The text with lone surrogates, which no encoding has, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def wire_address(text: str) -> str:
    """The address with its domain as DNS and SMTP have it (RFC 5891); one that has no such form stays as it is."""
    local, _, host = text.rpartition("@")
    if host.isascii():
        return text
    try:
        return f"{local}@{idna.encode(host, uts46=True).decode()}"
    except idna.IDNAError:
        return text


def plain_address(text: str) -> str:
    """The same text, if it is one plain mailbox that can open no second header, recipient or command.

    Raises:
        InvalidInput: It is not.
    """
    if ADDRESS.fullmatch(text) is None:
        raise InvalidInput(
            f"{text[:300]!r} is not an address that mail can be sent to.",
            hint="Write it as name@example.com, in ASCII; a domain in other letters needs its xn-- form.",
        )
    return text


def _mailbox(header: str, name: str, address: str) -> str:
    address = plain_address(address)
    phrase = one_line(name)
    if not phrase:
        return f"{header}: {address}"
    if _readable(phrase) and len(phrase) < LINE - 12:
        if ATOMS.fullmatch(phrase) is None:
            phrase = '"' + phrase.replace("\\", "\\\\").replace('"', '\\"') + '"'
    else:
        phrase = "\r\n ".join(_encoded_words(phrase))
    last = phrase.rpartition("\n")[2]
    gap = " " if len(header) + len(last) + len(address) + 5 <= LINE else "\r\n "
    return f"{header}: {phrase}{gap}<{address}>"


def _unstructured(header: str, value: str) -> str:
    text = one_line(value)
    if not _readable(text):
        return f"{header}: " + "\r\n ".join(_encoded_words(text))
    folded, room = [f"{header}:"], LINE - len(header) - 1
    for word in text.split(" "):
        if room < len(word) + 1:
            folded.append("\r\n")
            room = LINE
        folded += (" ", word)
        room -= len(word) + 1
    return "".join(folded)


def _readable(text: str) -> bool:
    """True where the text may stand in a header as it is and be folded at its spaces."""
    return (
        PLAIN.fullmatch(text) is not None
        and "=?" not in text
        and (len(text) < LINE - 12 or max(map(len, text.split(" "))) < LINE - 12)
    )


def _encoded_words(text: str) -> list[str]:
    """RFC 2047 words of at most 60 characters, each of whole characters (5, rule 3)."""
    raw, words, start = text.encode(), [], 0
    while start < len(raw):
        end = start + 36
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{binascii.b2a_base64(raw[start:end], newline=False).decode()}?=")
        start = end
    return words


def _id(text: str) -> str:
    if MESSAGE_ID.fullmatch(text) is None:
        raise InvalidInput(
            f"{text[:300]!r} is not a Message-ID.", hint="It has the form <token@domain> (RFC 5322, 3.6.4)."
        )
    return text


def _thread(references: tuple[str, ...]) -> list[str]:
    if not references:
        return []
    ids = [_id(reference) for reference in references]
    return [f"In-Reply-To: {ids[-1]}", "References: " + "\r\n ".join(ids)]


def _unsubscribe(mailto: str, url: str | None) -> list[str]:
    """RFC 2369 and, with an HTTPS address that acts on a POST, RFC 8058."""
    if MAILTO.fullmatch(mailto) is None:
        raise InvalidInput(
            f"{mailto[:300]!r} is not a mailto: link.", hint="An opt-out by e-mail starts with 'mailto:'."
        )
    if url is None:
        return [f"List-Unsubscribe: <{mailto}>"]
    if HTTPS.fullmatch(url) is None:
        raise InvalidInput(
            f"{url[:300]!r} cannot be a one-click opt-out link.",
            hint="RFC 8058 wants https; set public_url to an https address.",
        )
    return [f"List-Unsubscribe: <{url}>,\r\n <{mailto}>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"]


def _aware(date: datetime) -> datetime:
    if date.utcoffset() is None:
        raise InvalidInput(f"The date {date} of a message has no offset.", hint="Pass an aware instant.")
    return date


def _part(subtype: str, text: str) -> bytes:
    """One body part with its headers: 7bit where safe, else the shorter of quoted-printable and base64."""
    raw = text.replace("\n", "\r\n").encode()
    if _bare(raw):
        encoding, body = b"7bit", raw
    elif 6 * len(raw.translate(None, delete=_ASCII)) < len(raw):
        # b2a_qp writes the line end that it finds first, and the text ends with CRLF.
        encoding, body = b"quoted-printable", binascii.b2a_qp(raw, istext=True)
    else:
        packed = binascii.b2a_base64(raw, newline=False)
        body = b"".join(packed[at : at + LINE] + b"\r\n" for at in range(0, len(packed), LINE))
        encoding = b"base64"
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: ".encode()
    return head + encoding + b"\r\n\r\n" + body


_ASCII = bytes(range(128))


def _bare(raw: bytes) -> bool:
    """True where the text may travel as it is: no relay would change it, and no boundary (`=_`) is in it."""
    return (
        raw.isascii()
        and max(map(len, raw.split(b"\r\n"))) <= LINE
        and b" \r\n" not in raw
        and b"\t\r\n" not in raw
        and b"=_" not in raw
    )


def html_of(text: str) -> str:
    """A small HTML page from a text: paragraphs at blank lines, line breaks kept, web links made links."""
    return f"<!doctype html>\n<html>\n<body>\n{_paragraphs(text)}</body>\n</html>\n"


def _paragraphs(text: str) -> str:
    blocks = (_linked(block.strip("\n")) for block in re.split(r"\n[ \t]*\n", text) if block.strip())
    return "".join("<p>" + block.replace("\n", "<br>\n") + "</p>\n" for block in blocks)


def _linked(text: str) -> str:
    pieces: list[str] = []
    end = 0
    for found in LINK.finditer(text):
        url = found[0].rstrip(".,;:!?" if "(" in found[0] else ".,;:!?)")
        target = markup.escape(url)
        pieces += (markup.escape(text[end : found.start()]), f'<a href="{target}">{target}</a>')
        end = found.start() + len(url)
    return "".join(pieces) + markup.escape(text[end:])


def footer(sender: Sender, opt_out_url: str | None) -> str:
    """What every message ends with: the opt-out sentence, its link if any, company and postal address.

    Raises:
        Refused: The sentence or the postal address is missing; the law wants both (15 U.S.C. 7704(a)(5)).
    """
    if not sender.opt_out.strip() or not sender.postal_address.strip():
        raise Refused(
            "A message needs a visible opt-out and a postal address.",
            hint="Set opt_out and postal_address under [sender].",
        )
    way_out = (sender.opt_out.strip(), opt_out_url or "")
    origin = (sender.company.strip(), sender.postal_address.strip())
    return "\n\n".join("\n".join(filter(None, block)) for block in (way_out, origin))


def with_footer(text: str, html: str | None, sender: Sender, opt_out_url: str | None) -> tuple[str, str | None]:
    """Text and HTML with the footer at their end, inside the body of the HTML.

    No HTML stays None: `compose` makes it from the text, footer included.
    """
    closing = footer(sender, opt_out_url)
    whole = text.rstrip() + "\n\n" + closing + "\n"
    if html is None:
        return whole, None
    ends = [found.start() for found in re.finditer(r"(?i)</body\s*>", html)]
    at = ends[-1] if ends else len(html)
    return whole, html[:at] + "\n" + _paragraphs(closing) + html[at:]


def message_id(secret: bytes, campaign: str, identity: str, step: int, domain: str) -> str:
    """The one Message-ID of a touch: the same for the same touch, unguessable without the secret.

    Args:
        secret: Key of this installation, not empty.
        campaign: Name of the campaign.
        identity: What names the lead for good.
        step: Position of the step.
        domain: Domain of the sending mailbox.

    Returns:
        `<32 hex digits@domain>`: 128 bits of keyed BLAKE2b (RFC 7693).
    """
    return message_ids(secret, campaign, [identity], step, domain)[0]


def message_ids(secret: bytes, campaign: str, identities: Iterable[str], step: int, domain: str) -> list[str]:
    """`message_id` of many people at one step, in their order."""
    if not secret:
        raise InvalidInput("Message-IDs need a secret.", hint="Set secret to a long random text.")
    key = hashlib.blake2b(secret, digest_size=32).digest()
    # The step stands before the identity, so that no two touches can give the same bytes.
    start = hashlib.blake2b(f"{campaign}\0{step}\0".encode(), digest_size=16, key=key, person=b"message-id")
    found = []
    for identity in identities:
        token = start.copy()
        token.update(identity.encode())
        found.append(f"<{token.hexdigest()}@{domain}>")
    return found
