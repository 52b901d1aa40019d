"""Sending: claims due touches through every gate, hands them to the mail server, and writes down what became of each."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl
import structlog

from touchline.app.letters import Content, OptOut, Unrenderable, contents, message
from touchline.app.pipeline import UNWRITABLE, plan
from touchline.app.ports import Clock, MailSession, Probe, Progress, Reply, Row, Store, StoredCampaign, Transport, Unit
from touchline.app.suppression import suppress as suppress_entries
from touchline.model.calendar import in_window, place_of
from touchline.model.campaign import Mailbox
from touchline.model.columns import LEAD, lead_schema, shadows
from touchline.model.errors import InvalidInput, MailboxUnavailable, Misconfigured
from touchline.stages import nurture
from touchline.stages.send import wire_address

log = structlog.get_logger(__name__)

STOPPED = "stopped"
"""Name of the switch that every claim looks at."""

CLAIM = 20
"""Touches claimed at once: few enough that a stop, a reply or a suppression is obeyed soon."""

BACK_OFF = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4), timedelta(hours=12), timedelta(days=1))
"""Waits after each temporary refusal (RFC 5321, 4.5.4.1 wants at least 30 minutes in general and 4-5 days in all)."""

DAY = timedelta(hours=24)
STALE = timedelta(seconds=60)
BEAT_SECONDS = 15
LOST_IN_A_ROW = 3
RETRY_MAILBOX = timedelta(minutes=5)
RETRY_REFUSED_MAILBOX = timedelta(hours=1)

GONE = frozenset({550, 551, 553})
"""Codes by which a server says that there is no such mailbox, when the answer's text does not speak of policy."""


STATUS = re.compile(r"(?<![\d.])5\.(\d{1,3})\.\d{1,3}(?![\d.])")
"""An enhanced status code of a permanent refusal and its subject (RFC 3463, 2); an IP address is none."""


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


def send_due(post: Post, stored: StoredCampaign, limit: int | None = None) -> Counter[str]:
    """Send what is due of one campaign, every mailbox at its own pace; gives counts by result.

    Args:
        limit: At most so many messages in all.
    """
    post.counts += recover(post)
    asyncio.run(_send_all(post, stored, limit))
    return post.counts


async def _send_all(post: Post, stored: StoredCampaign, limit: int | None) -> None:
    room = _Room(limit)
    heart = asyncio.create_task(_beat(post))
    try:
        await asyncio.gather(*(_drain(post, stored, mailbox, room) for mailbox in stored.campaign.mailboxes))
    finally:
        heart.cancel()
        with suppress(asyncio.CancelledError):
            await heart
        with post.store.transaction() as unit:
            unit.senders.drop(post.identity.name)


async def _beat(post: Post) -> None:
    while True:
        with post.store.transaction() as unit:
            unit.senders.beat(post.identity.name, post.identity.host, post.identity.pid, post.clock.now())
        await asyncio.sleep(BEAT_SECONDS)


class _Room:
    """How many messages this run may still send, over all mailboxes."""

    def __init__(self, limit: int | None) -> None:
        self.left = limit

    def take(self, wanted: int) -> int:
        """Reserve up to `wanted`."""
        if self.left is None:
            return wanted
        taken = min(wanted, self.left)
        self.left -= taken
        return taken

    def give_back(self, count: int) -> None:
        """Return what was not used."""
        if self.left is not None:
            self.left += count


async def _drain(post: Post, stored: StoredCampaign, mailbox: Mailbox, room: _Room) -> None:
    """Send what one mailbox may send now."""
    session: MailSession | None = None
    lost = 0
    try:
        while True:
            wanted = room.take(CLAIM)
            claims = _claim(post, stored, mailbox, wanted) if wanted else []
            room.give_back(wanted - len(claims))
            if not claims:
                return
            waiting = [claim.row["touch_id"] for claim in claims]
            try:
                for claim in claims:
                    if session is None or not session.alive:
                        session = await post.transport.connect(mailbox, _password(post, mailbox))
                    result = await _deliver(post, stored, session, claim)
                    waiting.remove(claim.row["touch_id"])
                    if result == "gone":
                        # The server waits for a message that will not come: its next MAIL would be refused.
                        await session.close()
                    post.counts[result] += 1
                    post.progress.step("send", post.counts["sent"], None)
                    lost = lost + 1 if result == "lost" else 0
                    if result == "stopped" or lost >= LOST_IN_A_ROW:
                        break
            finally:
                _release(post, waiting)
            if result == "stopped":
                return
            if lost >= LOST_IN_A_ROW:
                raise MailboxUnavailable(f"{mailbox.host}:{mailbox.port} dropped the connection {lost} times in a row.")
    except MailboxUnavailable as error:
        _mailbox_failed(post, mailbox, error)
    finally:
        if session is not None:
            await session.close()


def _password(post: Post, mailbox: Mailbox) -> str | None:
    if mailbox.password_env is None:
        return None
    password = post.password(mailbox.password_env)
    if password is None:
        raise MailboxUnavailable(
            f"{mailbox.address}: the variable {mailbox.password_env} is not set.",
            permanent=True,
            hint="Put the mailbox's password into it.",
        )
    return password


def _mailbox_failed(post: Post, mailbox: Mailbox, error: MailboxUnavailable) -> None:
    now = post.clock.now()
    wait = RETRY_REFUSED_MAILBOX if error.permanent else RETRY_MAILBOX
    with post.store.transaction() as unit:
        unit.mailboxes.failing(mailbox.address, str(error), now + wait, now)
    post.counts["mailbox_errors"] += 1
    post.notes.append(f"{mailbox.address}: {error}")
    log.warning("mailbox.unavailable", mailbox=mailbox.address, error=error.message, permanent=error.permanent)


def _release(post: Post, ids: list[int]) -> None:
    if ids:
        with post.store.transaction() as unit:
            unit.touches.release(ids, post.clock.now())


@dataclass(frozen=True, slots=True)
class _Claim:
    """A touch that is ours, with what it says."""

    row: Row
    content: Content
    earlier: list[Row]
    following: Row | None
    """The touch to plan when this one has left."""


def _claim(post: Post, stored: StoredCampaign, mailbox: Mailbox, wanted: int) -> list[_Claim]:
    """Take due touches through every gate in one transaction: stop switch, campaign, mailbox, cap, suppression, window."""
    while True:
        now = post.clock.now()
        with post.store.transaction() as unit:
            if unit.controls.get(STOPPED) is not None:
                post.counts["stopped"] += 1
                return []
            unit.senders.beat(post.identity.name, post.identity.host, post.identity.pid, now)
            unit.mailboxes.know(mailbox.address, now)
            state = unit.mailboxes.state(mailbox.address, lock=True)
            if state and state["state"] == "error" and state["retry_at"] > now:
                post.notes.append(
                    f"{mailbox.address} rests until {state['retry_at']:%Y-%m-%d %H:%M} UTC: {state['error']}"
                )
                return []
            room = min(wanted, mailbox.daily_cap - unit.touches.used(mailbox.address, now - DAY))
            if room <= 0:
                post.notes.append(f"{mailbox.address} has reached its cap of {mailbox.daily_cap} messages in 24 hours")
                return []
            due = unit.touches.due(mailbox.address, stored.id, now, room)
            if not due:
                return []
            claims = _through_gates(post, unit, stored, due, now)
            unit.touches.claim([claim.row["touch_id"] for claim in claims], post.identity.name, now)
        post.probe.reached("claimed")
        if claims:
            return claims


def _through_gates(post: Post, unit: Unit, stored: StoredCampaign, due: list[Row], now: datetime) -> list[_Claim]:
    """Those of the due touches that may leave now. The others are cancelled or postponed, so the next look finds other ones."""
    suppressed = dict(unit.suppressions.matching(batch_of(due)).iter_rows())
    allowed, closed = list[Row](), list[Row]()
    for row in due:
        if row["identity"] in suppressed:
            _stop(unit, row, f"suppressed: {suppressed[row['identity']]}", now)
            post.counts["suppressed"] += 1
        elif not _open(stored, row, now):
            closed.append(row)
        else:
            allowed.append(row)
    _postpone(post, unit, stored, closed, now)
    earlier = unit.touches.earlier([row["prospect_id"] for row in allowed if row["step"] > 1])
    after = following(stored, allowed, post.opt_out.secret, now)
    claims = []
    for row, content in zip(allowed, contents(allowed, stored.campaign, earlier, post.opt_out), strict=True):
        if isinstance(content, Unrenderable):
            _hold(unit, row, content.reason, now)
            post.counts["unwritable"] += 1
        else:
            claims.append(_Claim(row, content, earlier.get(row["prospect_id"], []), after.get(row["touch_id"])))
    return claims


def _postpone(post: Post, unit: Unit, stored: StoredCampaign, closed: list[Row], now: datetime) -> None:
    """Plan for the next window what the recipient's clock keeps from leaving now."""
    for step in sorted({row["step"] for row in closed}):
        group = [row for row in closed if row["step"] == step]
        later = nurture.due(batch_of(group), stored.campaign.window, stored.campaign.timezone, now, step - 1)
        for row, due_at in zip(group, later["due_at"], strict=True):
            unit.touches.postpone(row["touch_id"], due_at, now)
            post.counts["postponed"] += 1


def _hold(unit: Unit, row: Row, reason: str, now: datetime) -> None:
    """A message that cannot be written is never sent half: a person looks."""
    said = f"{UNWRITABLE}{reason}"
    unit.touches.settle(row["touch_id"], ("planned",), "cancelled", now, reason=said)
    unit.prospects.set([row["prospect_id"]], now, state="held", state_reason=said)


def _open(stored: StoredCampaign, row: Row, now: datetime) -> bool:
    place = place_of(row["timezone"], row["country"], row["region"], stored.campaign.timezone)
    return in_window(place.zone, row["country"], stored.campaign.window, now, row["region"])


def batch_of(rows: Sequence[Row]) -> pl.DataFrame:
    """Ledger rows as a batch."""
    names = ("identity", *(c.name for c in LEAD))
    frame = pl.DataFrame(
        [{name: row[name] for name in names} for row in rows], schema={"identity": pl.String, **lead_schema()}
    )
    return frame.with_columns(shadows())


async def _deliver(post: Post, stored: StoredCampaign, session: MailSession, claim: _Claim) -> str:
    """One attempt; gives its result: sent, deferred, failed, uncertain, lost, stopped or gone."""
    row = claim.row
    now = post.clock.now()
    try:
        letter = message(row, claim.content, stored.campaign, claim.earlier, post.opt_out, now)
        answer = await session.offer(row["mailbox"], wire_address(row["email"]))
    except InvalidInput as error:
        with post.store.transaction() as unit:
            unit.touches.release([row["touch_id"]], now)
            _hold(unit, row, error.message, now)
        return "unwritable"
    post.probe.reached("recipient-accepted")
    if answer.result == "lost":
        _release(post, [row["touch_id"]])
        return "lost"
    with post.store.transaction() as unit:
        if unit.controls.get(STOPPED) is not None or unit.campaigns.state(stored.id) != "active":
            unit.touches.release([row["touch_id"]], now)
            return "stopped"
        delivery = unit.touches.begin(row["touch_id"], post.identity.name, claim.content.as_tuple(), now)
        if delivery is None:
            return "gone"
        if answer.result != "accepted":
            return _settle(post, unit, claim, delivery, answer)
        post.probe.reached("sending-before-commit")
    post.probe.reached("sending-committed")
    answer = await session.transmit(letter)
    post.probe.reached("answered")
    with post.store.transaction() as unit:
        result = _settle(post, unit, claim, delivery, answer)
        post.probe.reached("settle-before-commit")
    post.probe.reached("settle-committed")
    return result


def _settle(post: Post, unit: Unit, claim: _Claim, delivery: int, answer: Reply) -> str:
    """Write down what the server said, and what follows from it."""
    row, now = claim.row, post.clock.now()
    key, said = row["touch_id"], f"{answer.code or ''} {answer.text}".strip()
    if answer.result == "accepted":
        # Another sender may have taken this one for dead and a person may have settled the touch meanwhile: where it
        # was to go again it need not, and where it is at an end it stays there.
        first = unit.touches.settle(key, ("sending", "uncertain", "planned"), "sent", now, sent_at=now, reason=None)
        unit.touches.finish_delivery(delivery, "sent", answer.code, answer.text, now)
        unit.mailboxes.ready(row["mailbox"], now)
        if first:
            record_sent(unit, row, said, claim.following, now)
        return "sent"
    if answer.result == "lost" and answer.body_begun:
        unit.touches.settle(
            key, ("sending",), "uncertain", now, reason=f"no answer after the message began to leave: {said}"
        )
        unit.touches.finish_delivery(delivery, "uncertain", answer.code, answer.text, now)
        return "uncertain"
    if answer.result == "lost":
        unit.touches.settle(key, ("sending",), "planned", now, claimed_by=None)
        unit.touches.finish_delivery(delivery, "deferred", answer.code, answer.text, now)
        return "lost"
    attempts = row["attempts"] + 1
    if answer.result == "deferred" and attempts <= len(BACK_OFF):
        due_at = now + BACK_OFF[attempts - 1]
        unit.touches.settle(
            key, ("sending",), "planned", now, claimed_by=None, due_at=due_at, reason=f"deferred: {said}"
        )
        unit.touches.finish_delivery(delivery, "deferred", answer.code, answer.text, now)
        _record(unit, "deferred", row, said, now)
        return "deferred"
    unit.touches.settle(key, ("sending",), "failed", now, reason=said)
    unit.touches.finish_delivery(delivery, "failed", answer.code, answer.text, now)
    _record(unit, "failed", row, said, now)
    _stop(unit, row, f"not delivered: {said}", now)
    if no_such_mailbox(answer.code, answer.text):
        suppress_entries(unit, [("address", row["base_address"], f"not delivered: {said}")], "smtp", now)
    return "failed"


def no_such_mailbox(code: int | None, text: str) -> bool:
    """True where a refusal says that the address does not exist (RFC 3463: X.1.x), not that we are unwelcome (X.7.x)."""
    status = STATUS.search(text)
    if status is not None:
        return status[1] == "1"
    return code in GONE


def following(stored: StoredCampaign, rows: Sequence[Row], secret: bytes, now: datetime) -> dict[int, Row]:
    """The next touch of each of these touches, by its key, as the ledger wants it; none at the end of a sequence.

    Planned for many at once: one by one, it would cost a message more than all else together.
    """
    found: dict[int, Row] = {}
    for name, step in sorted({(row["sequence"], row["step"] + 1) for row in rows}):
        sequence = stored.campaign.sequences.get(name)
        if sequence is None or step > len(sequence.steps):
            continue
        group = [row for row in rows if (row["sequence"], row["step"] + 1) == (name, step)]
        after = now + timedelta(days=sequence.steps[step - 1].wait_days)
        timed = nurture.due(batch_of(group), stored.campaign.window, stored.campaign.timezone, after, step - 1)
        planned = timed.with_columns(
            pl.Series("prospect_id", [row["prospect_id"] for row in group], pl.Int64),
            # The thread stays with its mailbox, whatever the campaign's list of mailboxes has become.
            pl.Series("mailbox", [row["mailbox"] for row in group], pl.String),
        )
        touches = plan(planned, stored, sequence=name, step=step, secret=secret).iter_rows(named=True)
        found.update(zip((row["touch_id"] for row in group), touches, strict=True))
    return found


def record_sent(unit: Unit, row: Row, said: str, following: Row | None, now: datetime) -> None:
    """A message has left: the event, and the next touch or the end of the sequence."""
    _record(unit, "sent", row, said, now)
    if unit.prospects.state(row["prospect_id"]) != "enrolled":
        return  # an answer, an opt-out or a rejection came while the message was leaving
    if following is None:
        unit.prospects.set([row["prospect_id"]], now, state="finished", state_reason=None)
    else:
        unit.touches.add(following, now)


def _record(unit: Unit, kind: str, row: Row, detail: str, now: datetime) -> None:
    unit.journal.record(
        kind,
        now,
        lead_id=row["lead_id"],
        prospect_id=row["prospect_id"],
        touch_id=row["touch_id"],
        account=row["account"],
        detail=detail,
    )


def _stop(unit: Unit, row: Row, reason: str, now: datetime) -> None:
    unit.prospects.set([row["prospect_id"]], now, state="stopped", state_reason=reason, pending=0)
    unit.touches.cancel_open([row["prospect_id"]], reason, now)


def may_send(stored: StoredCampaign) -> None:
    """Check that a campaign may send at all.

    Raises:
        Misconfigured: It may not; says what is missing.
    """
    obstacles = stored.campaign.obstacles()
    if stored.state == "draft" or obstacles:
        raise Misconfigured(
            f"Campaign {stored.campaign.name!r} may not send yet: " + " ".join(obstacles or ["it is a draft."]),
            hint="Correct the file and run: touchline campaign apply FILE",
        )
