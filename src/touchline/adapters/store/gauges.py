"""What health and metrics read: every question is answered from an index or from rows that are new since the last look."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, Select, bindparam, case, exists, func, literal_column, select, union_all

from touchline.adapters.store.campaigns import upsert
from touchline.adapters.store.query import among, domain_and_parents
from touchline.adapters.store.tables import (
    UNSETTLED,
    batches,
    campaign_versions,
    campaigns,
    controls,
    deliveries,
    leads,
    mailboxes,
    prospects,
    runs,
    schedules,
    suppressions,
    touches,
)
from touchline.model.campaign import Mailbox

# Built once: a store may have hundreds of schedules, and building a statement takes longer than running it.
_END = (runs.c.id, runs.c.state, runs.c.late, runs.c.error, runs.c.queued_at, runs.c.started_at)
_OF_ITS_OWN = runs.c.state.in_(("done", "unfinished", "failed"))
_MINE = select(*_END).where(runs.c.schedule_id == bindparam("schedule"), _OF_ITS_OWN).limit(bindparam("most"))
# Two walks along the index of slots; in one, runs that a person began would stand before or after all others.
OF_SCHEDULE = union_all(
    select(_MINE.where(runs.c.slot.is_not(None)).order_by(runs.c.slot.desc()).subquery()),
    select(_MINE.where(runs.c.slot.is_(None)).order_by(runs.c.id.desc()).subquery()),
)
BY_HAND = (
    select(*_END)
    .join(
        schedules,
        (schedules.c.job == runs.c.job)
        & (func.coalesce(schedules.c.campaign_id, 0) == func.coalesce(runs.c.campaign_id, 0)),
    )
    .where(
        schedules.c.id == bindparam("schedule"),
        runs.c.schedule_id.is_(None),
        _OF_ITS_OWN,
    )
    .order_by(runs.c.id.desc())
    .limit(bindparam("most"))
)
ASIDE = (
    select(
        batches.c.run_id,
        batches.c.stage,
        batches.c.place,
        batches.c.counts,
        batches.c.error,
        runs.c.job,
        schedules.c.name.label("schedule"),
    )
    .join(runs, runs.c.id == batches.c.run_id)
    .outerjoin(schedules, schedules.c.id == runs.c.schedule_id)
    .where(
        # A literal, so that a partial index of this condition can serve it.
        batches.c.state == literal_column("'set_aside'"),
        batches.c.place.is_not(None),
        runs.c.finished_at.is_not(None),
    )
    .order_by(batches.c.run_id.desc(), batches.c.number.desc())
    .limit(bindparam("most"))
)
_WAITS = exists().where(
    batches.c.run_id == runs.c.id, batches.c.state.in_(("set_aside", "released")), batches.c.place.is_not(None)
)
MAY_HAVE_LEFT = ("open", "sent", "uncertain")
"""Results of deliveries by which a message may be with its recipient."""

AHEAD = timedelta(hours=1)
"""A row that is later than others by more was written by a clock that was ahead."""


class Gauges:
    """Reads over several tables. `after` and `upto` are keys: rows behind the first, up to the second if it is given."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def hold(self, name: str, now: datetime) -> str | None:
        """The value of a control, which no other transaction changes before this one ends; empty where it is new."""
        held = upsert(self.connection, controls).values(name=name, value="", at=now)
        query = held.on_conflict_do_update(index_elements=["name"], set_={"at": now}).returning(controls.c.value)
        return self.connection.execute(query).scalar_one() or None

    # runs

    def ended(self, schedule_id: int, most: int) -> list[dict[str, Any]]:
        """The newest runs of a schedule that have come to an end of their own, the newest first.

        Where the last one failed, retries by a person count too: one that succeeds mends it.
        """
        asked = {"schedule": schedule_id, "most": most}
        found = self._newest(OF_SCHEDULE, asked)
        return self._newest(BY_HAND, asked, found) if found and found[0]["state"] == "failed" else found

    def _newest(self, query: Any, asked: dict[str, int], more: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
        found = [*more, *(dict(row) for row in self.connection.execute(query, asked).mappings())]
        return sorted(found, key=lambda row: (row["queued_at"], row["id"]), reverse=True)[: asked["most"]]

    def runs(self, after: int, upto: int | None = None) -> list[dict[str, Any]]:
        """`id`, `job`, `state`, `counts` of runs."""
        return self._runs(_between(runs.c.id, after, upto))

    def runs_of(self, ids: Collection[int]) -> list[dict[str, Any]]:
        """The same of these runs."""
        return self._runs([among(self.connection, runs.c.id, ids)]) if ids else []

    def _runs(self, where: Collection[Any]) -> list[dict[str, Any]]:
        query = select(runs.c.id, runs.c.job, runs.c.state, runs.c.counts).where(*where).order_by(runs.c.id)
        return [{**row, "counts": json.loads(row["counts"])} for row in self.connection.execute(query).mappings()]

    def runs_before(self, after: int, at: datetime, most: int) -> int:
        """Key up to which runs were queued before an instant, `most` further at the utmost."""
        return self._before(runs.c.id, runs.c.queued_at, after, at, most)

    def aside(self, most: int) -> list[dict[str, Any]]:
        """`run_id`, `stage`, `place`, `counts`, `error`, `job`, `schedule` of batches that were set aside and wait.

        They are of runs that have ended, the newest first.
        """
        found = self.connection.execute(ASIDE, {"most": most}).mappings()
        return [{**row, **{name: json.loads(row[name]) for name in ("place", "counts")}} for row in found]

    def old(self, before: datetime, waiting_before: datetime, most: int) -> list[dict[str, Any]]:
        """Runs that have ended and were queued before an instant, the oldest first.

        One with a batch that was set aside and may be tried again is among them only if it was queued before
        `waiting_before`.
        """
        query = (
            select(runs)
            .where(
                runs.c.queued_at < before,
                runs.c.finished_at.is_not(None),
                (runs.c.queued_at < waiting_before) | ~_WAITS,
            )
            .order_by(runs.c.queued_at)
            .limit(most)
        )
        return [{**row, "counts": json.loads(row["counts"])} for row in self.connection.execute(query).mappings()]

    # deliveries

    def deliveries_before(self, after: int, at: datetime, most: int) -> int:
        """Key up to which deliveries began before an instant, `most` further at the utmost."""
        return self._before(deliveries.c.id, deliveries.c.started_at, after, at, most)

    def results(self, after: int, upto: int | None = None) -> dict[str, int]:
        """Deliveries by result."""
        query = select(deliveries.c.result, func.count()).where(*_between(deliveries.c.id, after, upto))
        return self._mapping(query.group_by(deliveries.c.result))

    def results_of(self, ids: Collection[int]) -> dict[int, str]:
        """Results of these deliveries."""
        if not ids:
            return {}
        query = select(deliveries.c.id, deliveries.c.result).where(among(self.connection, deliveries.c.id, ids))
        return self._mapping(query)

    def unsettled(self, after: int, upto: int) -> list[int]:
        """Keys of deliveries whose result may still change."""
        query = select(deliveries.c.id).where(
            *_between(deliveries.c.id, after, upto), deliveries.c.result.in_(("open", "uncertain"))
        )
        return list(self.connection.execute(query.order_by(deliveries.c.id)).scalars())

    def breaches(self, after: int, upto: int | None, since: datetime) -> list[dict[str, Any]]:
        """`touch_id`, `at`, `suppressed_at` of deliveries since an instant that began after their recipient was suppressed."""
        query = (
            select(
                deliveries.c.touch_id,
                deliveries.c.started_at.label("at"),
                leads.c.base_address,
                leads.c.email_domain,
                leads.c.account,
            )
            .select_from(deliveries)
            .join(touches, touches.c.id == deliveries.c.touch_id)
            .join(prospects, prospects.c.id == touches.c.prospect_id)
            .join(leads, leads.c.id == prospects.c.lead_id)
            .where(
                *_between(deliveries.c.id, after, upto),
                deliveries.c.started_at > since,
                deliveries.c.result.in_(MAY_HAVE_LEFT),
            )
        )
        gone = [dict(row) for row in self.connection.execute(query).mappings()]
        of_address = self._suppressed("address", {row["base_address"] for row in gone})
        of_account = self._suppressed("account", {row["account"] for row in gone})
        parents = {row["email_domain"]: domain_and_parents(row["email_domain"]) for row in gone if row["email_domain"]}
        of_domain = self._suppressed("domain", {parent for many in parents.values() for parent in many})
        found = []
        for row in gone:
            when = [of_address.get(row["base_address"]), of_account.get(row["account"])]
            when += [of_domain.get(parent) for parent in parents.get(row["email_domain"], ())]
            first = min(filter(None, when), default=None)
            if first is not None and first < row["at"]:
                found.append({"touch_id": row["touch_id"], "at": row["at"], "suppressed_at": first})
        return found

    def _suppressed(self, kind: str, values: Collection[str | None]) -> dict[str | None, datetime]:
        asked = [value for value in values if value is not None]
        if not asked:
            return {}
        query = select(suppressions.c.value, suppressions.c.at).where(
            suppressions.c.kind == kind, among(self.connection, suppressions.c.value, asked)
        )
        return self._mapping(query)

    # mailboxes, touches, leads

    def used(self, since: datetime) -> dict[str, int]:
        """Messages by mailbox that count against its cap: gone or possibly gone since an instant, or claimed now."""
        gone = (
            select(deliveries.c.mailbox, func.count())
            .where(
                deliveries.c.mailbox.in_(select(mailboxes.c.address)),
                deliveries.c.started_at > since,
                deliveries.c.result.in_(MAY_HAVE_LEFT),
            )
            .group_by(deliveries.c.mailbox)
        )
        claimed = select(touches.c.mailbox, func.count()).where(UNSETTLED, touches.c.state == "claimed")
        found: dict[str, int] = {}
        for query in (gone, claimed.group_by(touches.c.mailbox)):
            for mailbox, count in self.connection.execute(query):
                found[mailbox] = found.get(mailbox, 0) + count
        return found

    def mailboxes(self) -> list[Mailbox]:
        """Those of every campaign that is more than a draft; one that several name stands there for each."""
        query = (
            select(campaign_versions.c.body)
            .join(
                campaigns,
                (campaigns.c.id == campaign_versions.c.campaign_id)
                & (campaigns.c.version == campaign_versions.c.version),
            )
            .where(campaigns.c.state != "draft")
        )
        # Checked when they were stored; checking all of a campaign at every look would take longer than everything else.
        bodies = map(json.loads, self.connection.execute(query).scalars())
        return [Mailbox.model_validate(mailbox) for body in bodies for mailbox in body.get("mailboxes", ())]

    def failing(self, since: datetime) -> list[dict[str, Any]]:
        """`address`, `error`, `retry_at` of mailboxes that are in error and were to be tried again after an instant."""
        query = select(mailboxes.c.address, mailboxes.c.error, mailboxes.c.retry_at).where(
            mailboxes.c.state == "error", mailboxes.c.retry_at > since
        )
        return [dict(row) for row in self.connection.execute(query.order_by(mailboxes.c.address)).mappings()]

    def campaign_changes(self) -> dict[int, datetime]:
        """When each campaign was last changed, by its key."""
        query = select(campaigns.c.id, campaigns.c.updated_at)
        return self._mapping(query)

    def uncertain(self) -> int:
        """Touches of unknown fate."""
        query = select(func.count()).select_from(touches).where(UNSETTLED, touches.c.state == "uncertain")
        return int(self.connection.execute(query).scalar_one())

    def newest_lead(self) -> int:
        """The highest key of a lead: about how many there are, without counting them."""
        return int(self.connection.execute(select(func.coalesce(func.max(leads.c.id), 0))).scalar_one())

    def _mapping(self, query: Select[Any]) -> dict[Any, Any]:
        return {row[0]: row[1] for row in self.connection.execute(query)}

    def _before(self, key: Column[Any], time: Column[Any], after: int, at: datetime, most: int) -> int:
        page = select(key, time.label("at")).where(key > after).order_by(key).limit(most).subquery()
        # A row of a clock that was ahead stays too new for years; only where it stands tells when it was written.
        new = select(func.min(page.c.id)).where(page.c.at >= at, page.c.at < at + AHEAD)
        too_new = self.connection.execute(new).scalar_one()
        old = func.max(case((page.c.at < at, page.c.id)))
        bounds = [page.c.id < too_new] if too_new is not None else []
        query = select(old, func.max(page.c.id), func.count()).select_from(page).where(*bounds)
        written_before, last, count = self.connection.execute(query).one()
        # So many at once are no transactions that are still under way.
        upto = last if count == most else written_before
        return after if upto is None else int(upto)


def _between(key: Column[Any], after: int, upto: int | None) -> list[Any]:
    return [key > after] if upto is None else [key > after, key <= upto]
