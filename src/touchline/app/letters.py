"""What a touch says: template, snippets and footer rendered for one person, by the same code for preview, approval and sending."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from touchline.app import tokens
from touchline.app.ports import Row
from touchline.model import template
from touchline.model.campaign import Campaign, Mailbox, Step, Variant
from touchline.model.columns import LEAD, lead_schema, shadows
from touchline.model.errors import TouchlineError
from touchline.stages.route import choose_snippets
from touchline.stages.send import Letter, compose, wire_address, with_footer


@dataclass(frozen=True, slots=True)
class Content:
    """A rendered message, footer included: what a person approves is what leaves."""

    subject: str
    text: str
    html: str | None

    def as_tuple(self) -> tuple[str, str, str | None]:
        """As the ledger keeps it."""
        return self.subject, self.text, self.html


@dataclass(frozen=True, slots=True)
class Unrenderable:
    """Why a message cannot be written to this person."""

    reason: str


@dataclass(frozen=True, slots=True)
class OptOut:
    """How a recipient says no: always by mail, and by link where there is a public address."""

    secret: bytes
    public_url: str | None

    def url(self, prospect_id: int) -> str | None:
        """The opt-out page of one prospect."""
        return f"{self.public_url.rstrip('/')}/o/{tokens.sign(self.secret, prospect_id)}" if self.public_url else None

    def mailto(self, mailbox: str, prospect_id: int) -> str:
        """The opt-out by mail of one prospect (RFC 6068); the token says who, whatever address answers."""
        return f"mailto:{mailbox}?subject=unsubscribe%20{tokens.sign(self.secret, prospect_id)}"


def contents(
    rows: Sequence[Row], campaign: Campaign, earlier: Mapping[int, Sequence[Row]], opt_out: OptOut
) -> list[Content | Unrenderable]:
    """The messages of some touches of one campaign, in their order.

    Args:
        rows: Touches with their leads (`touches.letters`). One with a `subject` has been approved: it stays as it is.
        earlier: Sent touches by prospect, oldest first.
        opt_out: For the link in the footer.
    """
    fresh = [row for row in rows if row["subject"] is None]
    written = dict(zip((row["touch_id"] for row in fresh), _written(fresh, campaign, earlier, opt_out), strict=True))
    return [written.get(row["touch_id"]) or Content(row["subject"], row["text"], row["html"]) for row in rows]


def _written(
    rows: Sequence[Row], campaign: Campaign, earlier: Mapping[int, Sequence[Row]], opt_out: OptOut
) -> list[Content | Unrenderable]:
    if not rows:
        return []
    leads = pl.DataFrame([{c.name: row[c.name] for c in LEAD} for row in rows], schema=lead_schema())
    chosen = choose_snippets(leads.with_columns(shadows()), campaign.snippets)
    texts = [{name: picked[f"snippet_{name}"] for name in campaign.snippets} for picked in chosen.iter_rows(named=True)]
    mailboxes = {mailbox.address: mailbox for mailbox in campaign.mailboxes}
    made: list[Content | Unrenderable] = []
    for row, snippets in zip(rows, texts, strict=True):
        try:
            mailbox, before = mailboxes.get(row["mailbox"]), earlier.get(row["prospect_id"], ())
            made.append(_one(row, snippets, campaign, mailbox, before, opt_out))
        except TouchlineError as error:
            made.append(Unrenderable(error.message))
    return made


def _one(
    row: Row,
    snippets: Mapping[str, str | None],
    campaign: Campaign,
    mailbox: Mailbox | None,
    earlier: Sequence[Row],
    opt_out: OptOut,
) -> Content | Unrenderable:
    sequence = campaign.sequences.get(row["sequence"])
    if sequence is None or row["step"] > len(sequence.steps):
        return Unrenderable(f"the campaign has no step {row['step']} in sequence {row['sequence']!r} any more")
    if mailbox is None:
        return Unrenderable(f"the campaign has no mailbox {row['mailbox']} any more")
    step = sequence.steps[row["step"] - 1]
    source: Step | Variant = next((v for v in step.variants if v.name == row["variant"]), step)
    values: dict[str, Any] = {c.name: row[c.name] for c in LEAD} | {
        "sender": {"name": campaign.sender.name, "company": campaign.sender.company},
        "mailbox": {"name": mailbox.name},
    }
    used = frozenset[str]().union(
        *(template.compiled(t).variables for t in (source.subject, step.subject, source.text, source.html) if t)
    )
    # A snippet that this message does not use cannot keep it from being written.
    values["snippets"] = {
        name: template.compiled(text).render(values)
        for name, text in snippets.items()
        if text is not None and f"snippets.{name}" in used
    }
    subject = _subject(source.subject or step.subject, values, earlier)
    html = None if source.html is None else template.compiled(source.html).render(values, html=True)
    text, html = with_footer(
        template.compiled(source.text).render(values), html, campaign.sender, opt_out.url(row["prospect_id"])
    )
    return Content(subject, text, html)


def _subject(source: str | None, values: Mapping[str, Any], earlier: Sequence[Row]) -> str:
    if source is not None:
        return template.one_line(template.compiled(source).render(values))
    first = str(earlier[0]["subject"]) if earlier else ""
    return f"Re: {first.removeprefix('Re: ')}"


def message(
    row: Row, content: Content, campaign: Campaign, earlier: Sequence[Row], opt_out: OptOut, date: datetime
) -> bytes:
    """The bytes that leave: the content with its headers, threaded under what the same mailbox sent before."""
    mailbox = next(m for m in campaign.mailboxes if m.address == row["mailbox"])
    name = " ".join(part for part in (row["first_name"], row["last_name"]) if part)
    return compose(
        Letter(
            sender_address=mailbox.address,
            sender_name=mailbox.name or campaign.sender.name,
            recipient=wire_address(row["email"]),
            recipient_name=name,
            subject=content.subject,
            text=content.text,
            html=content.html,
            message_id=row["message_id"],
            references=tuple(e["message_id"] for e in earlier if e["mailbox"] == row["mailbox"]),
            unsubscribe_mailto=opt_out.mailto(mailbox.address, row["prospect_id"]),
            unsubscribe_url=opt_out.url(row["prospect_id"]),
            date=date,
        )
    )
