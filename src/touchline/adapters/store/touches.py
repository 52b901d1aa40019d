"""The ledger of touches: planning, claiming, and every change of state, each guarded by the state it starts from."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import polars as pl
from sqlalchemy import Connection, Update, bindparam, exists, func, insert, or_, select, union_all, update

from touchline.adapters.store.bulk import BulkWriter
from touchline.adapters.store.engine import is_reading
from touchline.adapters.store.query import among, frame, members
from touchline.adapters.store.tables import (
    DRAFTED,
    FIRST,
    FOLLOW_UP,
    UNSETTLED,
    UNSETTLED_STATES,
    campaigns,
    deliveries,
    leads,
    prospects,
    senders,
    touches,
)
from touchline.model.columns import LEAD

OPEN = ("drafted", "planned", "claimed")
"""States before `sending`: a touch here can still be cancelled."""

LETTER = (
    touches.c.id.label("touch_id"),
    touches.c.campaign_id,
    touches.c.prospect_id,
    touches.c.step,
    touches.c.sequence,
    touches.c.variant,
    touches.c.state,
    touches.c.reason,
    touches.c.due_at,
    touches.c.mailbox,
    touches.c.message_id,
    touches.c.subject,
    touches.c.text,
    touches.c.html,
    touches.c.attempts,
    touches.c.approved_by,
    prospects.c.lead_id,
    leads.c.identity,
    *(leads.c[c.name] for c in LEAD),
)

# Built once, since sending runs them for every message, and building a statement takes longer than running it.
# Parameters that no `bindparam` names are the columns to set.
BEGIN = (
    update(touches)
    .where(touches.c.id == bindparam("key"), touches.c.state == "claimed", touches.c.claimed_by == bindparam("sender"))
    .values(state="sending", attempts=touches.c.attempts + 1)
    .returning(touches.c.attempts, touches.c.mailbox)
)
OPEN_DELIVERY = insert(deliveries).returning(deliveries.c.id)
FINISH_DELIVERY = update(deliveries).where(deliveries.c.id == bindparam("key"))


@cache
def _moved(states: tuple[str, ...]) -> Update:
    """A change of one touch that is in one of these states."""
    return update(touches).where(touches.c.id == bindparam("key"), or_(*(touches.c.state == state for state in states)))


class Touches:
    """Rows of `touches`, inside the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.bulk = BulkWriter(connection)

    def insert(self, batch: pl.DataFrame, now: datetime) -> None:
        """Add touches of prospects that have none at this step."""
        if batch.is_empty():
            return
        keys = self.bulk.reserve("touches", batch.height)
        # In the order of the index they go into, a million touches take two thirds of the time.
        ordered = self._rows(batch, now).sort("mailbox", "due_at", maintain_order=True)
        self.bulk.insert("touches", ordered.select(keys, pl.all()))

    def add(self, row: dict[str, Any], now: datetime) -> None:
        """Add one touch."""
        self.connection.execute(insert(touches), {**row, "attempts": 0, "updated_at": now})

    def replace(self, batch: pl.DataFrame, now: datetime) -> None:
        """Add touches; one that stands at the same step and has not gone out is planned anew, and needs its approval anew."""
        present = (
            select(touches.c.id, touches.c.prospect_id, touches.c.step, touches.c.state.label("was"))
            .where(among(self.connection, touches.c.prospect_id, batch["prospect_id"].to_list()))
            .with_for_update()
        )
        rows = batch.join(frame(self.connection, present), on=("prospect_id", "step"), how="left")
        self.insert(rows.filter(pl.col("id").is_null()), now)
        unsent = rows.filter(pl.col("was").is_in(["drafted", "planned", "cancelled"]))
        blank = [pl.lit(None, pl.String).alias(name) for name in ("subject", "text", "html", "approved_by", "reason")]
        self.bulk.update("touches", self._rows(unsent, now).select(unsent["id"], pl.all(), *blank))

    def _rows(self, batch: pl.DataFrame, now: datetime) -> pl.DataFrame:
        return batch.select(
            "campaign_id",
            "prospect_id",
            "step",
            "sequence",
            "variant",
            "state",
            "due_at",
            "mailbox",
            "message_id",
            pl.lit(0).alias("attempts"),
            pl.lit(now, pl.Datetime("us", "UTC")).alias("updated_at"),
        )

    def due(self, mailbox: str, campaign_id: int, now: datetime, limit: int) -> list[dict[str, Any]]:
        """Planned touches whose time has come, of an active campaign and an enrolled prospect, oldest first, with their leads.

        Follow-ups go before first messages: under a full cap conversations go on, and new ones wait.
        """
        found = self._due(FOLLOW_UP, mailbox, campaign_id, now, limit)
        return found + (self._due(FIRST, mailbox, campaign_id, now, limit - len(found)) if len(found) < limit else [])

    def _due(self, which: Any, mailbox: str, campaign_id: int, now: datetime, limit: int) -> list[dict[str, Any]]:
        query = (
            self._letters()
            .where(
                which,
                touches.c.mailbox == mailbox,
                touches.c.due_at <= now,
                touches.c.campaign_id == campaign_id,
                prospects.c.state == "enrolled",
                campaigns.c.state == "active",
            )
            .order_by(touches.c.due_at, touches.c.id)
            .limit(limit)
        )
        if not is_reading(self.connection):
            # The prospects too: who judges them locks them first, and two orders of locking would be a deadlock.
            query = query.with_for_update(of=(touches, prospects), skip_locked=True)
        return self._dicts(query)

    def letters(self, ids: Collection[int]) -> list[dict[str, Any]]:
        """These touches with their leads, in order of key."""
        return self._dicts(self._letters().where(among(self.connection, touches.c.id, ids)).order_by(touches.c.id))

    def listed(self, *, states: Sequence[str], campaign_id: int | None, after: int, limit: int) -> list[dict[str, Any]]:
        """Touches in these states with their leads, in order of key after `after`."""
        query = (
            self._letters().where(touches.c.state.in_(states), touches.c.id > after).order_by(touches.c.id).limit(limit)
        )
        if campaign_id is not None:
            query = query.where(touches.c.campaign_id == campaign_id)
            if set(states) == {"drafted"}:
                return self._dicts(query.where(DRAFTED))
        return self._dicts(query.where(UNSETTLED) if set(states) <= set(UNSETTLED_STATES) else query)

    def _letters(self) -> Any:
        joined = touches.join(prospects, prospects.c.id == touches.c.prospect_id).join(
            leads, leads.c.id == prospects.c.lead_id
        )
        return select(*LETTER, campaigns.c.name.label("campaign")).select_from(
            joined.join(campaigns, campaigns.c.id == touches.c.campaign_id)
        )

    def _dicts(self, query: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in self.connection.execute(query).mappings()]

    def earlier(self, prospect_ids: Collection[int]) -> dict[int, list[dict[str, Any]]]:
        """Sent touches of these prospects, oldest first: what a follow-up answers to."""
        query = (
            select(
                touches.c.prospect_id,
                touches.c.step,
                touches.c.message_id,
                touches.c.subject,
                touches.c.sent_at,
                touches.c.mailbox,
            )
            .where(among(self.connection, touches.c.prospect_id, prospect_ids), touches.c.state == "sent")
            .order_by(touches.c.prospect_id, touches.c.step)
        )
        found: dict[int, list[dict[str, Any]]] = {}
        for row in self.connection.execute(query).mappings():
            found.setdefault(row["prospect_id"], []).append(dict(row))
        return found

    def of_prospects(self, prospect_ids: Collection[int]) -> list[dict[str, Any]]:
        """Every touch of these prospects in order of step."""
        query = (
            select(touches)
            .where(among(self.connection, touches.c.prospect_id, prospect_ids))
            .order_by(touches.c.prospect_id, touches.c.step)
        )
        return self._dicts(query)

    def used(self, mailbox: str, since: datetime) -> int:
        """Messages that count against the mailbox's cap: gone or possibly gone since `since`, or claimed now."""
        gone = select(func.count()).where(
            deliveries.c.mailbox == mailbox,
            deliveries.c.started_at > since,
            deliveries.c.result.in_(("open", "sent", "uncertain")),
        )
        claimed = select(func.count()).where(UNSETTLED, touches.c.state == "claimed", touches.c.mailbox == mailbox)
        # One statement: between two of them a touch could pass from the one to the other and be counted in neither.
        both = select(gone.scalar_subquery() + claimed.scalar_subquery())
        return int(self.connection.execute(both).scalar_one())

    def used_by(self, mailboxes: Collection[str], since: datetime) -> dict[str, int]:
        """The same of many mailboxes; those that have used nothing are left out."""
        gone = select(deliveries.c.mailbox.label("mailbox")).where(
            among(self.connection, deliveries.c.mailbox, mailboxes),
            deliveries.c.started_at > since,
            deliveries.c.result.in_(("open", "sent", "uncertain")),
        )
        claimed = select(touches.c.mailbox).where(
            UNSETTLED, touches.c.state == "claimed", among(self.connection, touches.c.mailbox, mailboxes)
        )
        both = union_all(gone, claimed).subquery()
        query = select(both.c.mailbox, func.count()).group_by(both.c.mailbox)
        return {row[0]: row[1] for row in self.connection.execute(query)}

    def first_sent(self, mailbox: str) -> datetime | None:
        """When the first message of a mailbox began to leave that its server took."""
        query = select(deliveries.c.started_at).where(deliveries.c.mailbox == mailbox, deliveries.c.result == "sent")
        return self.connection.execute(query.order_by(deliveries.c.started_at).limit(1)).scalar_one_or_none()

    def claim(self, ids: Collection[int], sender: str, now: datetime) -> None:
        """planned -> claimed, for one sender."""
        self._move(ids, ("planned",), now, state="claimed", claimed_by=sender)

    def release(
        self,
        ids: Collection[int],
        now: datetime,
        *,
        due_at: datetime | None = None,
        reason: str | None = None,
    ) -> None:
        """claimed -> planned: nothing was sent."""
        later = {"due_at": due_at} if due_at else {}
        self._move(ids, ("claimed",), now, state="planned", claimed_by=None, reason=reason, **later)

    def postpone(self, key: int, due_at: datetime, now: datetime) -> None:
        """planned -> planned at another time."""
        self.settle(key, ("planned",), "planned", now, due_at=due_at)

    def begin(self, key: int, sender: str, content: tuple[str, str, str | None], now: datetime) -> int | None:
        """claimed -> sending with the content that leaves; gives the delivery's key, or None where the claim is lost."""
        subject, body, html = content
        leaving = {"key": key, "sender": sender, "subject": subject, "text": body, "html": html, "updated_at": now}
        row = self.connection.execute(BEGIN, leaving).one_or_none()
        if row is None:
            return None
        attempts, mailbox = row
        delivery = {"touch_id": key, "mailbox": mailbox, "attempt": attempts, "started_at": now, "result": "open"}
        return int(self.connection.execute(OPEN_DELIVERY, delivery).scalar_one())

    def settle(self, key: int, states: Sequence[str], state: str, now: datetime, **values: Any) -> bool:
        """Move one touch from one of `states`; False where it is in none of them."""
        values |= {"key": key, "state": state, "updated_at": now}
        return self.connection.execute(_moved(tuple(states)), values).rowcount == 1

    def finish_delivery(self, key: int, result: str, code: int | None, answer: str, now: datetime) -> None:
        """Close one attempt with the server's answer."""
        said = {"key": key, "result": result, "code": code, "answer": answer, "finished_at": now}
        self.connection.execute(FINISH_DELIVERY, said)

    def close_deliveries(
        self, touch_ids: Collection[int], result: str, now: datetime, *, frm: Sequence[str] = ("open",)
    ) -> None:
        """Close the attempts of these touches that nobody will close any more."""
        query = update(deliveries).where(
            among(self.connection, deliveries.c.touch_id, touch_ids), deliveries.c.result.in_(frm)
        )
        self.connection.execute(query.values(result=result, finished_at=now))

    def approve(self, key: int, content: tuple[str, str, str | None], by: str, now: datetime) -> bool:
        """drafted -> planned with the very text that was approved."""
        subject, body, html = content
        return self.settle(key, ("drafted",), "planned", now, subject=subject, text=body, html=html, approved_by=by)

    def cancel_open(self, prospect_ids: Collection[int], reason: str, now: datetime) -> int:
        """Cancel what has not begun to leave; says how many."""
        query = (
            update(touches)
            .where(among(self.connection, touches.c.prospect_id, prospect_ids), touches.c.state.in_(OPEN))
            .values(state="cancelled", reason=reason, claimed_by=None, updated_at=now)
        )
        return self.connection.execute(query).rowcount

    def hand_over(self, campaign_id: int, gone: Sequence[str], to: str, now: datetime) -> int:
        """Give what waits in mailboxes that a campaign no longer has to another one; says how many."""
        query = (
            update(touches)
            .where(
                touches.c.campaign_id == campaign_id,
                touches.c.mailbox.in_(gone),
                touches.c.state.in_(("drafted", "planned")),
            )
            .values(mailbox=to, updated_at=now)
        )
        return self.connection.execute(query).rowcount

    def of_sender(self, sender: str) -> list[dict[str, Any]]:
        """`id`, `state` of what a sender holds."""
        query = select(touches.c.id, touches.c.state).where(
            UNSETTLED, touches.c.state.in_(("claimed", "sending")), touches.c.claimed_by == sender
        )
        return self._dicts(query)

    def holders(self) -> list[str]:
        """Senders that hold a claim."""
        query = (
            select(touches.c.claimed_by)
            .distinct()
            .where(UNSETTLED, touches.c.state.in_(("claimed", "sending")), touches.c.claimed_by.is_not(None))
        )
        return list(self.connection.execute(query).scalars())

    def forsaken(self, campaign_id: int, since: datetime) -> bool:
        """Whether somebody holds touches of a campaign who is no sender that was heard of after an instant."""
        heard = select(senders.c.name).where(senders.c.beat_at > since)
        query = select(touches.c.id).where(
            UNSETTLED,
            touches.c.state.in_(("claimed", "sending")),
            touches.c.campaign_id == campaign_id,
            touches.c.claimed_by.not_in(heard),
        )
        return self.connection.execute(query.limit(1)).first() is not None

    def counts(self, campaign_id: int | None) -> dict[str, int]:
        """Touches by state."""
        query = select(touches.c.state, func.count()).group_by(touches.c.state).order_by(touches.c.state)
        if campaign_id is not None:
            query = query.where(touches.c.campaign_id == campaign_id)
        return {row[0]: row[1] for row in self.connection.execute(query)}

    def next_due(self, campaign_id: int) -> datetime | None:
        """When the first planned touch of a campaign comes due."""
        soonest = select(func.min(touches.c.due_at, type_=touches.c.due_at.type))
        mine = soonest.where(touches.c.campaign_id == campaign_id)
        found = [self.connection.execute(mine.where(which)).scalar_one() for which in (FIRST, FOLLOW_UP)]
        return min(filter(None, found), default=None)

    def due_in(self, campaign_id: int, mailboxes: Collection[str], now: datetime) -> list[str]:
        """Those of the mailboxes in which a planned touch of a campaign has come due: one look into the index for each."""
        asked = members(self.connection, mailboxes)
        mine = (touches.c.campaign_id == campaign_id, touches.c.mailbox == asked.c.value, touches.c.due_at <= now)
        query = select(asked.c.value).where(or_(*(exists().where(which, *mine) for which in (FOLLOW_UP, FIRST))))
        return list(self.connection.execute(query).scalars())

    def _move(self, ids: Collection[int], states: Sequence[str], now: datetime, **values: Any) -> int:
        query = update(touches).where(among(self.connection, touches.c.id, ids), touches.c.state.in_(states))
        return self.connection.execute(query.values(**values, updated_at=now)).rowcount
