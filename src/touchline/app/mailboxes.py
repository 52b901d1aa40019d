"""Mailboxes as people see them: what each has used of its cap, when it has room again, and whether it works."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from touchline.app.claims import DAY, resting
from touchline.app.ports import Row, Store, Unit
from touchline.model.campaign import Mailbox


@dataclass(frozen=True, slots=True)
class MailboxUse:
    """One mailbox.

    Attributes:
        campaigns: Names of those that send from it.
        cap: Messages in any 24 hours; where campaigns give different ones, the largest.
        used: Messages that count against it now.
        frees_at: When it may send again, where the cap is used up; None where it has room, or nobody can say.
        state: ready or error.
        retry_at: Until when it rests; None where it does not.
        last_sent: When its newest message left that the server took.
    """

    address: str
    campaigns: list[str]
    cap: int
    used: int
    frees_at: datetime | None
    state: str
    error: str | None
    retry_at: datetime | None
    last_sent: datetime | None

    @property
    def free(self) -> int:
        """Messages that it may send now."""
        return max(0, self.cap - self.used)

    @property
    def needs_a_look(self) -> bool:
        """Whether something keeps it from sending."""
        return self.state == "error" or not self.free


def mailbox_use(store: Store, campaign: str | None, now: datetime) -> list[MailboxUse]:
    """The mailboxes of a campaign, or of all, by address.

    Raises:
        NotFound: No such campaign.
    """
    with store.reading() as unit:
        if campaign is not None:
            unit.campaigns.get(campaign)
        return uses(unit, now, campaign)


def uses(unit: Unit, now: datetime, campaign: str | None = None) -> list[MailboxUse]:
    """The same inside a transaction."""
    known = {row["address"]: row for row in unit.desk.mailboxes()}
    users: dict[str, list[str]] = {}
    caps: dict[str, int] = {}
    for outline in unit.desk.outlines():
        for address, cap in _caps(outline["body"]).items():
            users.setdefault(address, []).append(outline["name"])
            if campaign in (None, outline["name"]):
                caps[address] = max(cap, caps.get(address, 0))
    return [_use(unit, now, known.get(address), address, users[address], caps[address]) for address in sorted(caps)]


def _caps(body: dict[str, Any]) -> dict[str, int]:
    default = Mailbox.model_fields["daily_cap"].default
    return {mailbox["address"]: mailbox.get("daily_cap", default) for mailbox in body.get("mailboxes", ())}


def _use(unit: Unit, now: datetime, known: Row | None, address: str, campaigns: list[str], cap: int) -> MailboxUse:
    used = unit.touches.used(address, now - DAY)
    return MailboxUse(
        address=address,
        campaigns=campaigns,
        cap=cap,
        used=used,
        frees_at=frees_at(unit, address, cap, used, now),
        state=known["state"] if known else "ready",
        error=known["error"] if known else None,
        retry_at=known["retry_at"] if known and resting(known, now) else None,
        last_sent=unit.desk.last_sent(address),
    )


def frees_at(unit: Unit, address: str, cap: int, used: int, now: datetime) -> datetime | None:
    """When a cap that is used up has room again; None where it has, or will not by itself."""
    if used < cap or cap == 0:
        return None
    gone = unit.desk.gone_at(address, now - DAY, used - cap)
    return gone + DAY if gone is not None else None
