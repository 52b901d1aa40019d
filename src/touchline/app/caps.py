"""What a mailbox may still send: its cap in any 24 hours, smaller while it warms up, less what counts against it."""

from collections.abc import Collection
from datetime import datetime, timedelta

from touchline.app.ports import Unit
from touchline.model.campaign import Mailbox

DAY = timedelta(hours=24)


def day_of(unit: Unit, mailbox: Mailbox, now: datetime) -> int:
    """Whole days since the first message of a mailbox that warms up began to leave; 0 where none has."""
    if mailbox.ramp is None:
        return 0
    first = unit.touches.first_sent(mailbox.address)
    return max(0, (now - first) // DAY) if first is not None else 0


def cap_of(unit: Unit, mailbox: Mailbox, now: datetime) -> int:
    """Messages in any 24 hours, as of now."""
    return mailbox.cap_on(day_of(unit, mailbox, now))


def caps_ahead(unit: Unit, mailboxes: Collection[Mailbox], now: datetime, days: int) -> list[int]:
    """What mailboxes may send together on each of the next days, today first; one that has sent nothing begins today."""
    at = {mailbox: day_of(unit, mailbox, now) for mailbox in mailboxes}
    return [sum(mailbox.cap_on(day + ahead) for mailbox, day in at.items()) for ahead in range(days)]


def room_of(unit: Unit, mailbox: Mailbox, now: datetime) -> int:
    """How many messages a mailbox may send now; 0 or less where its cap is used up."""
    return cap_of(unit, mailbox, now) - unit.touches.used(mailbox.address, now - DAY)


def frees_at(unit: Unit, address: str, cap: int, used: int, now: datetime) -> datetime | None:
    """When a cap that is used up has room again; None where it has, or will not by itself.

    A cap that grows may have it before that; each message that leaves by then is one more that counts.
    """
    if used < cap or cap == 0:
        return None
    gone = unit.desk.gone_at(address, now - DAY, used - cap)
    return gone + DAY if gone is not None else None
