"""The outbox: what waits for a person's yes, and what only a person can settle."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from touchline.app.ledger import batch_of, following, record_sent
from touchline.app.letters import Content, OptOut, Unrenderable, contents
from touchline.app.ports import Row, Store, Unit
from touchline.model.errors import NotFound, Refused

SHOWN = ("drafted", "planned", "claimed", "sending", "uncertain")


@dataclass(frozen=True, slots=True)
class Draft:
    """A touch with what it says, or why it cannot be written."""

    row: Row
    content: Content | Unrenderable


def listed(
    store: Store, *, campaign: str | None, states: Sequence[str], opt_out: OptOut, limit: int, after: int = 0
) -> list[Draft]:
    """Touches in these states, rendered by the code that sends, in order of key."""
    with store.reading() as unit:
        campaign_id = unit.campaigns.get(campaign).id if campaign else None
        return _drafts(
            unit, unit.touches.listed(states=states, campaign_id=campaign_id, after=after, limit=limit), opt_out
        )


def _drafts(unit: Unit, rows: Sequence[Row], opt_out: OptOut) -> list[Draft]:
    earlier = unit.touches.earlier({row["prospect_id"] for row in rows if row["step"] > 1})
    found: dict[int, Draft] = {}
    for key in sorted({row["campaign_id"] for row in rows}):
        campaign = unit.campaigns.by_id(key).campaign
        mine = [row for row in rows if row["campaign_id"] == key]
        for row, content in zip(mine, contents(mine, campaign, earlier, opt_out), strict=True):
            found[row["touch_id"]] = Draft(row, content)
    return [found[row["touch_id"]] for row in rows]


@dataclass(frozen=True, slots=True)
class Approved:
    """What an approval did: every touch named is approved, was not waiting, or cannot be written."""

    approved: int
    not_waiting: int
    unwritable: list[tuple[int, str]]


def approve(store: Store, ids: Iterable[int], *, by: str, opt_out: OptOut, now: datetime) -> Approved:
    """Say yes to touches: the text that is kept now is the one that will leave.

    Raises:
        NotFound: One of them does not exist; nothing is approved then.
    """
    wanted = sorted(set(ids))
    approved, unwritable = 0, []
    with store.transaction() as unit:
        rows = _existing(unit, wanted)
        suppressed = _suppressed(unit, rows)
        for draft in _drafts(unit, [row for row in rows if row["state"] == "drafted"], opt_out):
            key = draft.row["touch_id"]
            if isinstance(draft.content, Unrenderable):
                unwritable.append((key, draft.content.reason))
            elif draft.row["identity"] in suppressed:
                unwritable.append((key, f"suppressed: {suppressed[draft.row['identity']]}"))
            else:
                approved += unit.touches.approve(key, draft.content.as_tuple(), by, now)
    return Approved(approved, len(wanted) - approved - len(unwritable), unwritable)


def approve_all(store: Store, campaign: str, *, by: str, opt_out: OptOut, now: datetime, page: int = 500) -> Approved:
    """Approve every draft of a campaign, page by page; each page is kept on its own."""
    approved, unwritable, after = 0, list[tuple[int, str]](), 0
    while True:
        with store.reading() as unit:
            key = unit.campaigns.get(campaign).id
            rows = unit.touches.listed(states=("drafted",), campaign_id=key, after=after, limit=page)
        if not rows:
            return Approved(approved, 0, unwritable)
        after = rows[-1]["touch_id"]
        done = approve(store, [row["touch_id"] for row in rows], by=by, opt_out=opt_out, now=now)
        approved += done.approved
        unwritable += done.unwritable


def reject(store: Store, ids: Iterable[int], reason: str, now: datetime) -> int:
    """Say no to touches: they are cancelled and their prospects stopped. Gives how many were still open."""
    with store.transaction() as unit:
        rows = [row for row in _existing(unit, sorted(set(ids))) if row["state"] in ("drafted", "planned")]
        said = f"rejected: {reason}"
        prospects = [row["prospect_id"] for row in rows]
        if prospects:
            unit.prospects.set(prospects, now, state="stopped", state_reason=said, pending=0)
        return unit.touches.cancel_open(prospects, said, now)


def resolve(
    store: Store, key: int, how: Literal["sent", "resend", "drop"], *, by: str, secret: bytes, now: datetime
) -> str:
    """Settle a touch of unknown fate as a person found it: it arrived, it shall go again, or it shall be dropped.

    Returns:
        The touch's new state.

    Raises:
        NotFound: No such touch.
        Refused: Its fate is known.
    """
    with store.transaction() as unit:
        row = _existing(unit, [key])[0]
        if row["state"] != "uncertain":
            raise Refused(
                f"Touch {key} is {row['state']}, not uncertain.", hint="See: touchline outbox list --state uncertain"
            )
        state = {"sent": "sent", "resend": "planned", "drop": "cancelled"}[how]
        said = f"settled as {how} by {by}"
        if how == "sent":
            unit.touches.settle(key, ("uncertain",), "sent", now, sent_at=now, reason=said)
            unit.touches.close_deliveries([key], "sent", now, frm=("uncertain",))
            after = following(unit.campaigns.by_id(row["campaign_id"]), [row], secret, now).get(key)
            record_sent(unit, row, said, after, now)
        elif how == "resend":
            unit.touches.settle(key, ("uncertain",), "planned", now, reason=said, claimed_by=None, due_at=now)
            unit.touches.close_deliveries([key], "failed", now, frm=("uncertain",))
        else:
            unit.touches.settle(key, ("uncertain",), "cancelled", now, reason=said)
            unit.prospects.set([row["prospect_id"]], now, state="stopped", state_reason=said, pending=0)
        return state


def _existing(unit: Unit, ids: Sequence[int]) -> list[Row]:
    rows = unit.touches.letters(ids)
    missing = sorted(set(ids) - {row["touch_id"] for row in rows})
    if missing:
        raise NotFound(
            f"There is no touch {', '.join(map(str, missing))}.", hint="See them with: touchline outbox list"
        )
    return rows


def _suppressed(unit: Unit, rows: Sequence[Row]) -> dict[str, str]:
    return dict(unit.suppressions.matching(batch_of(list(rows))).iter_rows()) if rows else {}
