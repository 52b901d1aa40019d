"""What the pages ask at every look: each answer comes from an index, stops counting at a bound, or goes through the ledger in ranges of keys."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import polars as pl
from sqlalchemy import Connection, Select, bindparam, case, func, select

from touchline.adapters.store.query import among, frame
from touchline.adapters.store.tables import (
    BOUNCED,
    DRAFTED,
    FAILED_RUNS,
    FIRST,
    FOLLOW_UP,
    REPLIED,
    UNSETTLED,
    campaign_versions,
    campaigns,
    deliveries,
    events,
    leads,
    mailboxes,
    prospects,
    runs,
    schedules,
    touches,
    users,
)

PLANNED = (FIRST, FOLLOW_UP)
"""The two indexes in which planned touches stand."""


class Desk:
    """Reads over several tables, inside the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    # people, campaigns, mailboxes

    def has_owner(self) -> bool:
        """Whether somebody owns this installation."""
        return self._any(select(users.c.id).where(users.c.role == "owner", users.c.state == "active"))

    def outlines(self) -> list[dict[str, Any]]:
        """`id`, `name`, `state`, `version`, and `body` as plain values without defaults, of every campaign, by name.

        Bodies were checked when they were stored; checking them at every look would take longer than everything else.
        """
        query = (
            select(campaigns.c.id, campaigns.c.name, campaigns.c.state, campaigns.c.version, campaign_versions.c.body)
            .join(
                campaign_versions,
                (campaign_versions.c.campaign_id == campaigns.c.id)
                & (campaign_versions.c.version == campaigns.c.version),
            )
            .order_by(campaigns.c.name)
        )
        return [{**row, "body": json.loads(row["body"])} for row in self.connection.execute(query).mappings()]

    def versions(self, campaign_id: int) -> list[dict[str, Any]]:
        """`version`, `digest`, `applied_at`, the newest first."""
        query = (
            select(campaign_versions.c.version, campaign_versions.c.digest, campaign_versions.c.applied_at)
            .where(campaign_versions.c.campaign_id == campaign_id)
            .order_by(campaign_versions.c.version.desc())
        )
        return self._rows(query)

    def mailboxes(self) -> list[dict[str, Any]]:
        """Every mailbox that was ever known, by address."""
        return self._rows(select(mailboxes).order_by(mailboxes.c.address))

    def last_sent(self, mailbox: str) -> datetime | None:
        """When the newest message of a mailbox began to leave that its server took."""
        query = (
            select(deliveries.c.started_at)
            .where(deliveries.c.mailbox == mailbox, deliveries.c.result == "sent")
            .order_by(deliveries.c.started_at.desc())
            .limit(1)
        )
        return self.connection.execute(query).scalar_one_or_none()

    def gone_at(self, mailbox: str, since: datetime, place: int) -> datetime | None:
        """When the message began to leave that is the `place`-th oldest (from 0) of those that count against the cap."""
        query = (
            select(deliveries.c.started_at)
            .where(
                deliveries.c.mailbox == mailbox,
                deliveries.c.started_at > since,
                deliveries.c.result.in_(("open", "sent", "uncertain")),
            )
            .order_by(deliveries.c.started_at)
            .offset(place)
            .limit(1)
        )
        return self.connection.execute(query).scalar_one_or_none()

    # what happened

    def happened(self, kinds: Collection[str], bounds: Sequence[datetime]) -> dict[tuple[str, int], int]:
        """Events of these kinds by kind and by the place of the span in which they lie: from each bound to the next."""
        at = events.c.at
        span = case(*((at < bound, place) for place, bound in enumerate(bounds[1:])))
        query = (
            select(events.c.kind, span.label("span"), func.count())
            .where(events.c.kind.in_(kinds), at >= bounds[0], at < bounds[-1])
            .group_by(events.c.kind, span)
        )
        return {(row[0], row[1]): row[2] for row in self.connection.execute(query)}

    def failed_runs(self, since: datetime, most: int) -> list[dict[str, Any]]:
        """Runs queued after an instant that failed, the newest first."""
        query = (
            select(
                *(runs.c[name] for name in ("id", "job", "campaign_id", "state", "stage", "error")),
                *(runs.c[name] for name in ("queued_at", "started_at", "finished_at")),
                campaigns.c.name.label("campaign"),
                schedules.c.name.label("schedule"),
            )
            .outerjoin(campaigns, campaigns.c.id == runs.c.campaign_id)
            .outerjoin(schedules, schedules.c.id == runs.c.schedule_id)
            .where(FAILED_RUNS, runs.c.queued_at > since)
            .order_by(runs.c.queued_at.desc())
            .limit(most)
        )
        return self._rows(query)

    def is_mended(self, jobs: Collection[str], campaign_id: int | None, since: datetime) -> bool:
        """Whether a run of one of these jobs that was queued after an instant has succeeded."""
        mine = runs.c.campaign_id.is_(None) if campaign_id is None else runs.c.campaign_id == campaign_id
        return self._any(
            select(runs.c.id).where(mine, runs.c.queued_at > since, runs.c.state == "done", runs.c.job.in_(jobs))
        )

    # touches

    def drafts(self, campaign_id: int | None, most: int) -> int:
        """How many touches wait for a yes, at most `most`."""
        return self._count(self._drafts(campaign_id).limit(most))

    def oldest_draft(self) -> datetime | None:
        """Since when the draft with the lowest key has been waiting."""
        return self.connection.execute(
            select(touches.c.updated_at).where(UNSETTLED, touches.c.state == "drafted").order_by(touches.c.id).limit(1)
        ).scalar_one_or_none()

    def drafts_due(self, campaign_id: int, most: int) -> datetime | None:
        """When the first of a campaign's drafts is to leave, among the `most` oldest."""
        page = self._drafts(campaign_id, touches.c.due_at).order_by(touches.c.id).limit(most).subquery()
        found: datetime | None = self.connection.execute(
            select(func.min(page.c.due_at, type_=touches.c.due_at.type))
        ).scalar_one()
        return found

    def _drafts(self, campaign_id: int | None, *columns: Any) -> Select[Any]:
        query = select(*(columns or (touches.c.id,)))
        if campaign_id is None:
            return query.where(UNSETTLED, touches.c.state == "drafted")
        return query.where(DRAFTED, touches.c.campaign_id == campaign_id)

    def uncertain(self, most: int) -> int:
        """How many touches are of unknown fate, at most `most`."""
        return self._count(select(touches.c.id).where(UNSETTLED, touches.c.state == "uncertain").limit(most))

    def next_due(self, campaign_id: int, mailbox: str) -> datetime | None:
        """When the first planned touch of a mailbox in a campaign comes due."""
        soonest = select(func.min(touches.c.due_at, type_=touches.c.due_at.type))
        mine = soonest.where(touches.c.campaign_id == campaign_id, touches.c.mailbox == mailbox)
        found = [self.connection.execute(mine.where(which)).scalar_one() for which in PLANNED]
        return min(filter(None, found), default=None)

    def coming(self, campaign_id: int, mailbox: str, bounds: Sequence[datetime], most: int) -> list[int]:
        """Planned touches by span: before the second bound, then from each bound to the next; each at most `most`."""
        given: dict[str, Any] = {f"at_{place}": bound for place, bound in enumerate(bounds)}
        given |= {"campaign": campaign_id, "mailbox": mailbox, "most": most}
        found = [self.connection.execute(_coming(which, len(bounds) - 1), given).one() for which in range(2)]
        return [first + later for first, later in zip(*found, strict=True)]

    def newest_touch(self) -> int:
        """The highest key of a touch."""
        return int(self.connection.execute(select(func.coalesce(func.max(touches.c.id), 0))).scalar_one())

    def by_step(self, campaign_id: int, after: int, upto: int) -> list[dict[str, Any]]:
        """`sequence`, `step`, `state`, `touches`: counts of a campaign's touches with keys behind the first, up to the second."""
        names = (touches.c.sequence, touches.c.step, touches.c.state)
        query = select(*names, func.count().label("touches")).where(
            touches.c.id > after, touches.c.id <= upto, touches.c.campaign_id == campaign_id
        )
        return self._rows(query.group_by(*names))

    def replies(self, campaign_id: int) -> list[dict[str, Any]]:
        """`sequence`, `step`, `touches`: the last message that those who answered had got. Costs what the answers are many."""
        answered = list(self.connection.execute(select(events.c.lead_id).where(REPLIED)).scalars())
        last = (
            select(touches.c.sequence, func.max(touches.c.step).label("step"))
            .join(prospects, prospects.c.id == touches.c.prospect_id)
            .where(
                among(self.connection, prospects.c.lead_id, set(answered)),
                prospects.c.campaign_id == campaign_id,
                prospects.c.state == "replied",
                touches.c.state == "sent",
            )
            .group_by(prospects.c.id, touches.c.sequence)
            .subquery()
        )
        return self._rows(
            select(last.c.sequence, last.c.step, func.count().label("touches")).group_by(last.c.sequence, last.c.step)
        )

    def bounces(self, campaign_id: int) -> list[dict[str, Any]]:
        """`sequence`, `step`, `touches`: messages that came back. Costs what those are many."""
        names = (touches.c.sequence, touches.c.step)
        query = (
            select(*names, func.count(events.c.touch_id.distinct()).label("touches"))
            .select_from(events)
            .join(touches, touches.c.id == events.c.touch_id)
            .where(BOUNCED, touches.c.campaign_id == campaign_id)
        )
        return self._rows(query.group_by(*names))

    # leads

    def newest_prospect(self) -> int:
        """The highest key of a prospect."""
        return int(self.connection.execute(select(func.coalesce(func.max(prospects.c.id), 0))).scalar_one())

    def leads_of(self, campaign_id: int, names: Collection[str], after: int, upto: int, most: int) -> pl.DataFrame:
        """These columns of the newest leads of a campaign whose prospects have keys behind the first, up to the second."""
        query = (
            select(prospects.c.id.label("prospect_id"), *(leads.c[name] for name in names))
            .join(leads, leads.c.id == prospects.c.lead_id)
            .where(prospects.c.id > after, prospects.c.id <= upto, prospects.c.campaign_id == campaign_id)
            .order_by(prospects.c.id.desc())
            .limit(most)
        )
        return frame(self.connection, query)

    def _any(self, query: Select[Any]) -> bool:
        return self.connection.execute(query.limit(1)).first() is not None

    def _count(self, query: Select[Any]) -> int:
        return int(self.connection.execute(select(func.count()).select_from(query.subquery())).scalar_one())

    def _rows(self, query: Select[Any]) -> list[dict[str, Any]]:
        return [dict(row) for row in self.connection.execute(query).mappings()]


@cache
def _coming(which: int, spans: int) -> Select[Any]:
    """Counts of planned touches in one row; built once, since building it takes longer than running it."""
    columns = []
    for place in range(spans):
        page = select(touches.c.id).where(
            PLANNED[which],
            touches.c.campaign_id == bindparam("campaign"),
            touches.c.mailbox == bindparam("mailbox"),
            touches.c.due_at < bindparam(f"at_{place + 1}", type_=touches.c.due_at.type),
        )
        if place:  # what is late stands in the first span
            page = page.where(touches.c.due_at >= bindparam(f"at_{place}", type_=touches.c.due_at.type))
        counted = page.limit(bindparam("most")).subquery()
        columns.append(select(func.count()).select_from(counted).scalar_subquery().label(f"span_{place}"))
    return select(*columns)
