"""Claims: due touches become a sender's own through every gate at once, and what a dead sender held is settled."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from touchline.app.caps import cap_of, room_of
from touchline.app.ledger import batch_of, following, hold, stop_prospect
from touchline.app.letters import Content, OptOut, Unrenderable, contents
from touchline.app.ports import Clock, Probe, Progress, Row, Stopwatch, Store, StoredCampaign, Transport, Unit
from touchline.model.calendar import in_window, place_of
from touchline.model.campaign import Mailbox
from touchline.stages import nurture

STOPPED = "stopped"
"""Name of the switch that every claim looks at."""

LOOK = timedelta(seconds=10)
"""How long one look for touches that may leave goes on where those that are due are closed out."""

STALE = timedelta(seconds=60)
"""A sender that has not been heard of for so long is taken for dead."""


@dataclass(frozen=True, slots=True)
class Identity:
    """This process as a sender: unique, with what others need to see whether it is alive."""

    name: str
    host: str
    pid: int


@dataclass(slots=True)
class Post:
    """What sending needs from outside, and what it has counted so far."""

    store: Store
    transport: Transport
    clock: Clock
    probe: Probe
    progress: Progress
    password: Callable[[str], str | None]
    """Value of an environment variable."""
    is_alive: Callable[[int], bool]
    """Whether a process of this host is running."""
    identity: Identity
    opt_out: OptOut
    stopwatch: Stopwatch
    ending: Callable[[], bool] = lambda: False
    """Whether this process is to stop: nothing more is claimed then, and what is claimed and has not begun goes back."""
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def recover(post: Post) -> Counter[str]:
    """Settle what dead senders held: a claim goes back to planned; what had begun to leave is uncertain, for a person to decide."""
    found: Counter[str] = Counter()
    now = post.clock.now()
    with post.store.transaction() as unit:
        for holder in unit.touches.holders():
            known = unit.senders.get(holder)
            if holder == post.identity.name or (known and _alive(post, known, now)):
                continue
            for held in unit.touches.of_sender(holder):
                if held["state"] == "claimed":
                    unit.touches.release([held["id"]], now)
                    found["released"] += 1
                else:
                    unit.touches.settle(
                        held["id"], ("sending",), "uncertain", now, reason="the sender died while this was leaving"
                    )
                    unit.touches.close_deliveries([held["id"]], "uncertain", now)
                    found["uncertain"] += 1
            unit.senders.drop(holder)
    return found


def _alive(post: Post, sender: Row, now: datetime) -> bool:
    if sender["host"] == post.identity.host and not post.is_alive(sender["pid"]):
        return False
    # A beat from the future means that a clock was set back: wait for the process table or the next beat.
    return bool(now - sender["beat_at"] < STALE)


@dataclass(frozen=True, slots=True)
class Claim:
    """A touch that is ours, with what it says."""

    row: Row
    content: Content
    earlier: list[Row]
    following: Row | None
    """The touch to plan when this one has left."""


def claim_due(post: Post, stored: StoredCampaign, mailbox: Mailbox, wanted: int) -> list[Claim]:
    """Take due touches through every gate in one transaction: stop switch, campaign, mailbox, cap, suppression, window."""
    now = begun = post.clock.now()
    # Where very many are closed out, the next run goes on; this one can be told to end.
    while not post.ending() and now - begun <= LOOK:
        with post.store.transaction() as unit:
            if unit.controls.get(STOPPED) is not None:
                post.counts["stopped"] += 1
                return []
            unit.senders.beat(post.identity.name, post.identity.host, post.identity.pid, now)
            unit.mailboxes.know(mailbox.address, now)
            state = unit.mailboxes.state(mailbox.address, lock=True)
            if state and resting(state, now):
                post.notes.append(
                    f"{mailbox.address} rests until {state['retry_at']:%Y-%m-%d %H:%M} UTC: {state['error']}"
                )
                return []
            room = min(wanted, room_of(unit, mailbox, now))
            if room <= 0:
                cap = cap_of(unit, mailbox, now)
                warms = f", which is on its way to {mailbox.daily_cap}" if cap < mailbox.daily_cap else ""
                post.notes.append(f"{mailbox.address} has reached its cap of {cap} messages in 24 hours{warms}")
                return []
            due = unit.touches.due(mailbox.address, stored.id, now, room)
            if not due:
                return []
            claims = _through_gates(post, unit, stored, due, now)
            unit.touches.claim([claim.row["touch_id"] for claim in claims], post.identity.name, now)
        post.probe.reached("claimed")
        if claims:
            return claims
        now = post.clock.now()
    return []


def _through_gates(post: Post, unit: Unit, stored: StoredCampaign, due: list[Row], now: datetime) -> list[Claim]:
    """Those of the due touches that may leave now. The others are cancelled or postponed, so the next look finds other ones."""
    suppressed = dict(unit.suppressions.matching(batch_of(due)).iter_rows())
    allowed, closed = list[Row](), list[Row]()
    for row in due:
        if row["identity"] in suppressed:
            stop_prospect(unit, row, f"suppressed: {suppressed[row['identity']]}", now)
            post.counts["suppressed"] += 1
        elif not window_open(stored, row, now):
            closed.append(row)
        else:
            allowed.append(row)
    _postpone(post, unit, stored, closed, now)
    earlier = unit.touches.earlier([row["prospect_id"] for row in allowed if row["step"] > 1])
    after = following(stored, allowed, post.opt_out.secret, now)
    claims = []
    for row, content in zip(allowed, contents(allowed, stored.campaign, earlier, post.opt_out), strict=True):
        if isinstance(content, Unrenderable):
            hold(unit, row, content.reason, now)
            post.counts["unwritable"] += 1
        else:
            claims.append(Claim(row, content, earlier.get(row["prospect_id"], []), after.get(row["touch_id"])))
    return claims


def _postpone(post: Post, unit: Unit, stored: StoredCampaign, closed: list[Row], now: datetime) -> None:
    """Plan for the next window what the recipient's clock keeps from leaving now."""
    for step in sorted({row["step"] for row in closed}):
        group = [row for row in closed if row["step"] == step]
        later = nurture.due(batch_of(group), stored.campaign.window, stored.campaign.timezone, now, step - 1)
        for row, due_at in zip(group, later["due_at"], strict=True):
            unit.touches.postpone(row["touch_id"], due_at, now)
            post.counts["postponed"] += 1


def resting(mailbox: Row | None, now: datetime) -> bool:
    """Whether a mailbox, as the store knows it, is not to be tried yet."""
    return mailbox is not None and mailbox["state"] == "error" and mailbox["retry_at"] > now


def window_open(stored: StoredCampaign, row: Row, now: datetime) -> bool:
    """Whether the recipient's clock lets a touch leave now."""
    place = place_of(row["timezone"], row["country"], row["region"], stored.campaign.timezone)
    return in_window(place.zone, row["country"], stored.campaign.window, now, row["region"])
