"""Sending: claims due touches through every gate, hands them to the mail server, and writes down what became of each."""

import asyncio
import re
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from itertools import takewhile

import structlog

from touchline.app.claims import STOPPED, Claim, Post, claim_due, recover
from touchline.app.ledger import hold, record, record_sent, stop_prospect
from touchline.app.letters import message
from touchline.app.ports import MailSession, Reply, StoredCampaign, Unit
from touchline.app.suppression import suppress as suppress_entries
from touchline.model.campaign import Mailbox
from touchline.model.errors import InvalidInput, MailboxUnavailable, Misconfigured, StoreUnavailable
from touchline.stages.send import wire_address

log = structlog.get_logger(__name__)

CLAIM = 50
"""Touches claimed at once: planning what follows costs many of them little more than one. Stop, pause, reply and
suppression are obeyed before each message all the same; window and text are as old as the claim."""

BACK_OFF = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4), timedelta(hours=12), timedelta(days=1))
"""Waits after each temporary refusal (RFC 5321, 4.5.4.1 wants at least 30 minutes in general and 4-5 days in all)."""

SETTLE_AGAIN = (0.2, 1.0, 3.0)
"""Seconds before a server's answer is written down again that the store did not take. A lost answer is a person's work."""

BEAT_SECONDS = 15
LOST_IN_A_ROW = 3
RETRY_MAILBOX = timedelta(minutes=5)
RETRY_REFUSED_MAILBOX = timedelta(hours=1)

GONE = frozenset({550, 551, 553})
"""Codes by which a server says that there is no such mailbox, when the answer's text does not speak of policy."""


STATUS = re.compile(r"(?<![\d.])5\.(\d{1,3})\.\d{1,3}(?![\d.])")
"""An enhanced status code of a permanent refusal and its subject (RFC 3463, 2); an IP address is none."""


def send_due(post: Post, stored: StoredCampaign, limit: int | None = None) -> Counter[str]:
    """Send what is due of one campaign, every mailbox at its own pace; gives counts by result.

    Args:
        limit: At most so many messages in all.
    """
    post.counts += recover(post)
    asyncio.run(_send_all(post, stored, limit))
    return post.counts


async def _send_all(post: Post, stored: StoredCampaign, limit: int | None) -> None:
    room = _Room(limit, len(stored.campaign.mailboxes))
    heart = asyncio.create_task(_beat(post))
    try:
        drains = (_drain(post, stored, mailbox, room) for mailbox in stored.campaign.mailboxes)
        # Whatever ends one mailbox, no other is cancelled between a message and its answer: nobody would know its fate.
        ends = await asyncio.gather(*drains, return_exceptions=True)
    finally:
        heart.cancel()
        with suppress(asyncio.CancelledError):
            await heart
        with post.store.transaction() as unit:
            unit.senders.drop(post.identity.name)
    if (error := next(filter(None, ends), None)) is not None:
        raise error


async def _beat(post: Post) -> None:
    while True:
        try:
            with post.store.transaction() as unit:
                unit.senders.beat(post.identity.name, post.identity.host, post.identity.pid, post.clock.now())
        except StoreUnavailable as error:
            # One beat that fails is not yet death; whether the run can go on, its next claim finds out.
            log.warning("sender.cannot_beat", error=error.message)
        await asyncio.sleep(BEAT_SECONDS)


class _Room:
    """How many messages this run may still send, over all mailboxes."""

    def __init__(self, limit: int | None, mailboxes: int) -> None:
        self.left = limit
        # No mailbox takes the whole limit with its first claim.
        self.share = CLAIM if limit is None else min(CLAIM, -(-limit // max(1, mailboxes)))

    def take(self) -> int:
        """Reserve what one claim may hold."""
        if self.left is None:
            return self.share
        taken = min(self.share, self.left)
        self.left -= taken
        return taken

    def give_back(self, count: int) -> None:
        """Return what was not used."""
        if self.left is not None:
            self.left += count


async def _drain(post: Post, stored: StoredCampaign, mailbox: Mailbox, room: _Room) -> None:
    """Send what one mailbox may send now."""
    session: MailSession | None = None
    lost, result = 0, ""
    try:
        while True:
            wanted = 0 if post.ending() else room.take()
            with post.stopwatch.timing("claim"):
                claims = claim_due(post, stored, mailbox, wanted) if wanted else []
            room.give_back(wanted - len(claims))
            if not claims:
                return
            waiting = [claim.row["touch_id"] for claim in claims]
            try:
                for claim in takewhile(lambda _: not post.ending(), claims):
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


async def _deliver(post: Post, stored: StoredCampaign, session: MailSession, claim: Claim) -> str:
    """One attempt; gives its result: sent, deferred, failed, uncertain, lost, stopped or gone."""
    row, timing = claim.row, post.stopwatch.timing
    now = post.clock.now()
    try:
        with timing("compose"):
            letter = message(row, claim.content, stored.campaign, claim.earlier, post.opt_out, now)
        with timing("recipient"):
            answer = await session.offer(row["mailbox"], wire_address(row["email"]))
    except InvalidInput as error:
        with post.store.transaction() as unit:
            unit.touches.release([row["touch_id"]], now)
            hold(unit, row, error.message, now)
        return "unwritable"
    post.probe.reached("recipient-accepted")
    if answer.result == "lost":
        _release(post, [row["touch_id"]])
        return "lost"
    with timing("begin"), post.store.transaction() as unit:
        if not unit.campaigns.sending(stored.id, STOPPED):
            unit.touches.release([row["touch_id"]], now)
            return "stopped"
        delivery = unit.touches.begin(row["touch_id"], post.identity.name, claim.content.as_tuple(), now)
        if delivery is None:
            return "gone"
        if answer.result != "accepted":
            return _settle(post, unit, claim, delivery, answer)
        post.probe.reached("sending-before-commit")
    post.probe.reached("sending-committed")
    with timing("transmit"):
        answer = await session.transmit(letter)
    post.probe.reached("answered")
    return await _settled(post, claim, delivery, answer)


async def _settled(post: Post, claim: Claim, delivery: int, answer: Reply) -> str:
    for wait in SETTLE_AGAIN:
        try:
            return _settled_now(post, claim, delivery, answer)
        except StoreUnavailable as error:
            log.warning("sender.cannot_settle", touch=claim.row["touch_id"], error=error.message)
        await asyncio.sleep(wait)
    return _settled_now(post, claim, delivery, answer)


def _settled_now(post: Post, claim: Claim, delivery: int, answer: Reply) -> str:
    with post.stopwatch.timing("settle"), post.store.transaction() as unit:
        result = _settle(post, unit, claim, delivery, answer)
        post.probe.reached("settle-before-commit")
    post.probe.reached("settle-committed")
    return result


def _settle(post: Post, unit: Unit, claim: Claim, delivery: int, answer: Reply) -> str:
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
        record(unit, "deferred", row, said, now)
        return "deferred"
    unit.touches.settle(key, ("sending",), "failed", now, reason=said)
    unit.touches.finish_delivery(delivery, "failed", answer.code, answer.text, now)
    record(unit, "failed", row, said, now)
    stop_prospect(unit, row, f"not delivered: {said}", now)
    if no_such_mailbox(answer.code, answer.text):
        suppress_entries(unit, [("address", row["base_address"], f"not delivered: {said}")], "smtp", now)
    return "failed"


def no_such_mailbox(code: int | None, text: str) -> bool:
    """True where a refusal says that the address does not exist (RFC 3463: X.1.x), not that we are unwelcome (X.7.x)."""
    status = STATUS.search(text)
    if status is not None:
        return status[1] == "1"
    return code in GONE


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
