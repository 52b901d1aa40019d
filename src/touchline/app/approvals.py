"""Approvals: drafts as they would leave, read, edited, approved and rejected by a person."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.policy import default

from touchline.app import outbox
from touchline.app.desk import MOST, Count
from touchline.app.letters import Content, OptOut, Unrenderable, contents, message
from touchline.app.ports import Row, Store, StoredCampaign, Unit
from touchline.model.campaign import Sender
from touchline.model.errors import InvalidInput, NotFound, Refused
from touchline.model.template import LONGEST, one_line
from touchline.stages.send import footer, lines, with_footer

EDITED = "edited by "
SUPPRESSED = "suppressed: "


@dataclass(frozen=True, slots=True)
class Waiting:
    """One draft in the queue.

    Attributes:
        row: The touch with its lead: `touch_id`, `campaign`, `sequence`, `step`, `variant`, `due_at`, `mailbox`,
            `lead_id`, `prospect_id`, `email`, `first_name`, `last_name`, `company`, `timezone`, and what else a lead has.
        subject: As it would leave; None where it cannot be written.
        problem: Why it cannot be written.
    """

    row: Row
    subject: str | None
    problem: str | None

    @property
    def touch_id(self) -> int:
        """Its key."""
        return int(self.row["touch_id"])

    @property
    def edited_by(self) -> str | None:
        """Who has edited it."""
        reason = self.row["reason"] or ""
        return reason.removeprefix(EDITED) if reason.startswith(EDITED) else None


@dataclass(frozen=True, slots=True)
class Rendered:
    """One message as it would leave.

    Attributes:
        touch: The touch with its lead.
        headers: In order, decoded.
        body: The text without its footer: what a person may edit.
        problem: Why it cannot be written; the rest is empty then.
    """

    touch: Row
    subject: str = ""
    text: str = ""
    html: str = ""
    body: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Approved:
    """What an approval did; the four add up to what was named.

    Attributes:
        gone: Not waiting any more: approved, rejected or cancelled by others, or not there at all.
        unwritable: Touch and reason.
    """

    approved: int
    suppressed: int
    gone: int
    unwritable: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Rejected:
    """What a rejection did; `gone` had left or was at an end."""

    rejected: int
    gone: int


def waiting(
    store: Store, *, campaign: str | None = None, after: int = 0, limit: int = 50, opt_out: OptOut
) -> list[Waiting]:
    """Drafts in order of key, those behind `after`.

    Raises:
        NotFound: No such campaign.
    """
    drafts = outbox.listed(store, campaign=campaign, states=("drafted",), opt_out=opt_out, limit=limit, after=after)
    return [
        Waiting(draft.row, None, draft.content.reason)
        if isinstance(draft.content, Unrenderable)
        else Waiting(draft.row, draft.content.subject, None)
        for draft in drafts
    ]


def waiting_count(store: Store, campaign: str | None = None) -> Count:
    """How many drafts wait.

    Raises:
        NotFound: No such campaign.
    """
    with store.reading() as unit:
        key = unit.campaigns.get(campaign).id if campaign is not None else None
        return Count.upto(unit.desk.drafts(key, MOST + 1))


def rendered(store: Store, touch_id: int, opt_out: OptOut, now: datetime) -> Rendered:
    """One touch as it would leave, by the code that sends; one that has left, as it did.

    Raises:
        NotFound: No such touch.
    """
    with store.reading() as unit:
        row = _touch(unit, touch_id)
        stored = unit.campaigns.by_id(row["campaign_id"])
        return render(stored, row, unit.touches.earlier([row["prospect_id"]]), opt_out, now)


def render(stored: StoredCampaign, row: Row, earlier: dict[int, list[Row]], opt_out: OptOut, now: datetime) -> Rendered:
    """The message of a touch.

    Args:
        row: The touch with its lead.
        earlier: What its prospect has got, oldest first.
    """
    before = [one for one in earlier.get(row["prospect_id"], ()) if one["step"] < row["step"]]
    content = contents([row], stored.campaign, {row["prospect_id"]: before}, opt_out)[0]
    if isinstance(content, Unrenderable):
        return Rendered(row, problem=content.reason)
    if row["mailbox"] not in [mailbox.address for mailbox in stored.campaign.mailboxes]:
        return Rendered(row, problem=f"the campaign has no mailbox {row['mailbox']} any more")
    try:
        raw = message(row, content, stored.campaign, before, opt_out, now)
    except InvalidInput as error:
        return Rendered(row, problem=error.message)
    return _read(row, raw, content, stored.campaign.sender, opt_out)


def _read(row: Row, raw: bytes, content: Content, sender: Sender, opt_out: OptOut) -> Rendered:
    mail = message_from_bytes(raw, policy=default)
    plain, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    text = plain.get_content().replace("\r\n", "\n")
    return Rendered(
        touch=row,
        subject=content.subject,
        text=text,
        html=html.get_content(),
        body=_without_footer(content.text, sender, opt_out.url(row["prospect_id"])),
        headers=[(name, str(value)) for name, value in mail.items()],
    )


def _without_footer(text: str, sender: Sender, url: str | None) -> str:
    closing = footer(sender, url).strip()
    return text.strip().removesuffix(closing).rstrip()


def edit(store: Store, touch_id: int, subject: str, text: str, *, by: str, opt_out: OptOut, now: datetime) -> Rendered:
    """Give a draft another subject and text; its footer stays, and its HTML is made from the text.

    Args:
        text: With or without the footer.

    Raises:
        NotFound: No such touch.
        Refused: It does not wait for a yes any more.
        InvalidInput: Subject or text is empty, or the message cannot be sent.
    """
    if not (wanted := one_line(subject)) or not text.strip():
        raise InvalidInput("A message needs a subject and a text.", hint="To send none of it, reject it.")
    if len(wanted) + len(text) > LONGEST:
        raise InvalidInput(f"A message has at most {LONGEST} characters.", hint="Make it shorter.")
    with store.transaction() as unit:
        row = _touch(unit, touch_id)
        stored = unit.campaigns.by_id(row["campaign_id"])
        sender, url = stored.campaign.sender, opt_out.url(row["prospect_id"])
        body, _ = with_footer(_without_footer(lines(text), sender, url), None, sender, url)
        kept = {"subject": wanted, "text": body, "html": None, "reason": f"{EDITED}{by}"}
        if not unit.touches.settle(touch_id, ("drafted",), "drafted", now, **kept):
            raise Refused(f"Touch {touch_id} is {row['state']}, not drafted.", hint="What is approved stays as it is.")
        found = render(stored, row | kept, unit.touches.earlier([row["prospect_id"]]), opt_out, now)
        if found.problem is not None:
            raise InvalidInput(f"This cannot be sent: {found.problem}")
        return found


def approve(store: Store, ids: Collection[int], *, by: str, opt_out: OptOut, now: datetime) -> Approved:
    """Say yes to drafts: their texts as they are now are what will leave. Who is suppressed gets nothing all the same."""
    known = _known(store, ids)
    done = outbox.approve(store, known, by=by, opt_out=opt_out, now=now)
    suppressed = sum(reason.startswith(SUPPRESSED) for _, reason in done.unwritable)
    return Approved(
        approved=done.approved,
        suppressed=suppressed,
        gone=done.not_waiting + len(set(ids)) - len(known),
        unwritable=[(key, reason) for key, reason in done.unwritable if not reason.startswith(SUPPRESSED)],
    )


def reject(store: Store, ids: Collection[int], *, by: str, reason: str, now: datetime) -> Rejected:
    """Say no to drafts: they are cancelled, and their prospects get nothing more from the campaign."""
    said = f"{by}: {' '.join(reason.split())}" if reason.strip() else f"by {by}"
    rejected = outbox.reject(store, _known(store, ids), said, now)
    return Rejected(rejected, len(set(ids)) - rejected)


def _known(store: Store, ids: Collection[int]) -> list[int]:
    """Those that are there: erasure may have been quicker than a page."""
    with store.reading() as unit:
        return [row["touch_id"] for row in unit.touches.letters(set(ids))]


def _touch(unit: Unit, touch_id: int) -> Row:
    rows = unit.touches.letters([touch_id])
    if not rows:
        raise NotFound(f"There is no touch {touch_id}.", hint="See what waits: touchline outbox list")
    return rows[0]
