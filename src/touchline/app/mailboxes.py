"""Mailboxes as people see them: what each has used of its cap, when it has room again, and whether it works."""

from dataclasses import dataclass
from datetime import datetime

from touchline.app.caps import DAY, cap_of, frees_at
from touchline.app.claims import resting
from touchline.app.ports import Row, Store, Unit
from touchline.model.campaign import Mailbox, Ramp


@dataclass(frozen=True, slots=True)
class MailboxUse:
    """One mailbox.

    Attributes:
        campaigns: Names of those that send from it.
        cap: Messages in any 24 hours, as of now; where campaigns give different ones, the largest.
        daily_cap: The same when it has warmed up.
        ramp: How it warms up, if it does.
        used: Messages that count against it now.
        frees_at: When it may send again, where the cap is used up; None where it has room, or nobody can say.
        state: ready or error.
        retry_at: Until when it rests; None where it does not.
        last_sent: When its newest message left that the server took.
    """

    address: str
    campaigns: list[str]
    cap: int
    daily_cap: int
    ramp: Ramp | None
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
    named: dict[str, list[Mailbox]] = {}
    for outline in unit.desk.outlines():
        for mailbox in map(Mailbox.model_validate, outline["body"].get("mailboxes", ())):
            users.setdefault(mailbox.address, []).append(outline["name"])
            if campaign in (None, outline["name"]):
                named.setdefault(mailbox.address, []).append(mailbox)
    return [_use(unit, now, known.get(address), users[address], named[address]) for address in sorted(named)]


def _use(unit: Unit, now: datetime, known: Row | None, campaigns: list[str], named: list[Mailbox]) -> MailboxUse:
    cap, largest = max(((cap_of(unit, one, now), one) for one in named), key=lambda found: found[0])
    address = largest.address
    used = unit.touches.used(address, now - DAY)
    return MailboxUse(
        address=address,
        campaigns=campaigns,
        cap=cap,
        daily_cap=largest.daily_cap,
        ramp=largest.ramp,
        used=used,
        frees_at=frees_at(unit, address, cap, used, now),
        state=known["state"] if known else "ready",
        error=known["error"] if known else None,
        retry_at=known["retry_at"] if known and resting(known, now) else None,
        last_sent=unit.desk.last_sent(address),
    )
